#include "file/codec.h"

#include "file/write_buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define CHUNK ((size_t)256 << 10)
#define HEAD 18   /* the longest head of a frame */
#define WINDOW 27 /* log2 of what Python's decoder grants */

bool codec_known(const struct blt_info *info)
{
	const char *name = blt_serializer_name(info->value_serializer);
	size_t len = name ? strlen(name) : 0;

	if (info->value_len || len < 4 || strcmp(name + len - 4, "zstd") != 0)
		return false;
	return strcmp(name, "pd_zstd") != 0 && strcmp(name, "gpd_zstd") != 0;
}

bool codec_length(const struct blt_view *view, uint64_t *ret)
{
	static const uint8_t magic[] = { 0x28, 0xb5, 0x2f, 0xfd };
	uint8_t head[HEAD];
	int64_t n = blt_view_copy(view, head, sizeof(head), 0);
	unsigned long long len;

	if (n < 4 || memcmp(head, magic, sizeof(magic)) != 0)
		return false;
	len = ZSTD_getFrameContentSize(head, (size_t)n);
	if (len == ZSTD_CONTENTSIZE_UNKNOWN || len == ZSTD_CONTENTSIZE_ERROR ||
	    len > BLT_VALUE_MAX)
		return false;
	*ret = len;
	return true;
}

/* ---- out of the frame ---- */

struct unpacking {
	const struct blt_view *view;
	struct write_buffer *to;
	ZSTD_DCtx *ctx;
	uint8_t *in, *out; /* CHUNK each */
	uint64_t len;      /* what the head promises */
	bool ended;
};

/* One chunk of the frame, n bytes in u->in. */
static int unpack_chunk(struct unpacking *u, size_t n)
{
	ZSTD_inBuffer in = { u->in, n, 0 };
	bool full = false;

	/* a full output buffer may have left more within the decoder */
	while (in.pos < in.size || full) {
		ZSTD_outBuffer out = { u->out, CHUNK, 0 };
		size_t more;
		int rc;

		if (u->ended)
			return in.pos < in.size ? -EIO : 0;
		more = ZSTD_decompressStream(u->ctx, &out, &in);
		if (ZSTD_isError(more) || out.pos > u->len - u->to->len)
			return -EIO;
		rc = write_buffer_load(u->to, u->out, out.pos);
		if (rc < 0)
			return rc;
		u->ended = more == 0;
		full = out.pos == out.size;
	}
	return 0;
}

static int unpack(struct unpacking *u)
{
	uint64_t at = 0;
	int rc = 0;

	while (rc == 0 && at < u->view->len) {
		int64_t n = blt_view_copy(u->view, u->in, CHUNK, at);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		rc = unpack_chunk(u, (size_t)n);
		at += (uint64_t)n;
	}
	if (rc < 0)
		return rc;
	return u->ended && u->to->len == u->len ? 0 : -EIO;
}

int codec_fill(struct write_buffer *s, const struct blt_view *view)
{
	struct unpacking u = { .view = view, .to = s };
	int rc = -ENOMEM;

	if (!codec_length(view, &u.len))
		return write_buffer_fill(s, view);
	u.ctx = ZSTD_createDCtx();
	u.in = malloc(CHUNK);
	u.out = malloc(CHUNK);
	if (u.ctx && u.in && u.out) {
		ZSTD_DCtx_setParameter(u.ctx, ZSTD_d_windowLogMax, WINDOW);
		rc = unpack(&u);
	}
	ZSTD_freeDCtx(u.ctx);
	free(u.in);
	free(u.out);
	return rc;
}

/* ---- into one ---- */

static int pack_chunk(ZSTD_CCtx *ctx, ZSTD_inBuffer *in, bool last,
		      struct write_buffer *to, uint8_t *buf)
{
	size_t more = 1;

	while (last ? more > 0 : in->pos < in->size) {
		ZSTD_outBuffer out = { buf, CHUNK, 0 };
		int rc;

		more = ZSTD_compressStream2(
			ctx, &out, in, last ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(more))
			return -ENOMEM;
		rc = write_buffer_load(to, buf, out.pos);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int pack(ZSTD_CCtx *ctx, struct write_buffer *from,
		struct write_buffer *to, uint8_t *in, uint8_t *out)
{
	uint64_t at = 0;
	int rc = 0;

	if (ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(ctx, from->len)))
		return -EIO;
	do {
		int64_t n = write_buffer_read(from, in, CHUNK, at);
		ZSTD_inBuffer chunk = { in, n < 0 ? 0 : (size_t)n, 0 };

		if (n < 0)
			return (int)n;
		at += (uint64_t)n;
		rc = pack_chunk(ctx, &chunk, at == from->len, to, out);
	} while (rc == 0 && at < from->len);
	return rc;
}

int codec_pack(struct write_buffer *from, struct write_buffer_pool *pool,
	       struct write_buffer **ret)
{
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	uint8_t *in = malloc(CHUNK), *out = malloc(CHUNK);
	struct write_buffer *to = NULL;
	int rc = ctx && in && out ? write_buffer_new(pool, &to) : -ENOMEM;

	if (rc == 0)
		rc = pack(ctx, from, to, in, out);
	if (rc == 0)
		*ret = to;
	else
		write_buffer_free(to);
	ZSTD_freeCCtx(ctx);
	free(in);
	free(out);
	return rc;
}
