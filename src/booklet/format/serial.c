/* serial.c - see serial.h.
 *
 * A check is a form (what the bytes must be like) and, for the codes whose
 * values are compressed, a decoder in front of it.
 */
#include "booklet/format/serial.h"
#include "base/json.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#define ZSTD_HEAD 18 /* a frame header is no longer than this */
#define ZSTD_MAGIC 0xfd2fb528u

enum form {
	FORM_BINARY, /* not empty */
	FORM_ARRAY,  /* a multiple of width, which may be none */
	FORM_ANY,
	FORM_UTF8,
	FORM_JSON,
	FORM_INT, /* exactly width bytes */
};

struct serial {
	const char *name;
	enum form form;
	uint8_t width;
	bool is_signed;
	bool zstd;
	enum json_parser parser;
};

/* By code.  Code 0 is a class of the user's own; the tables of pandas and
 * geopandas are Feather files, which are compressed inside. */
static const struct serial serials[] = {
	[0] = { NULL, FORM_BINARY },
	[1] = { "bytes", FORM_ANY }, /* None, in Python */
	[2] = { "str", FORM_UTF8 },
	[3] = { "pickle", FORM_BINARY },
	[4] = { "json", FORM_JSON, .parser = JSON_PYTHON },
	[5] = { "orjson", FORM_JSON, .parser = JSON_ORJSON },
	[6] = { "uint1", FORM_INT, 1, false },
	[7] = { "int1", FORM_INT, 1, true },
	[8] = { "uint2", FORM_INT, 2, false },
	[9] = { "int2", FORM_INT, 2, true },
	[10] = { "uint4", FORM_INT, 4, false },
	[11] = { "int4", FORM_INT, 4, true },
	[12] = { "uint5", FORM_INT, 5, false },
	[13] = { "int5", FORM_INT, 5, true },
	[14] = { "uint8", FORM_INT, 8, false },
	[15] = { "int8", FORM_INT, 8, true },
	[16] = { "pickle_zstd", FORM_BINARY, .zstd = true },
	[17] = { "orjson_zstd", FORM_JSON, .zstd = true,
		 .parser = JSON_ORJSON },
	[18] = { "numpy_int1", FORM_ARRAY, 1 },
	[19] = { "numpy_int2", FORM_ARRAY, 2 },
	[20] = { "numpy_int4", FORM_ARRAY, 4 },
	[21] = { "numpy_int8", FORM_ARRAY, 8 },
	[22] = { "numpy_int2_zstd", FORM_ARRAY, 2, .zstd = true },
	[23] = { "numpy_int4_zstd", FORM_ARRAY, 4, .zstd = true },
	[24] = { "numpy_int8_zstd", FORM_ARRAY, 8, .zstd = true },
	[25] = { "pd_zstd", FORM_BINARY },
	[26] = { "gpd_zstd", FORM_BINARY },
	[27] = { "zstd", FORM_ANY, .zstd = true },
	[28] = { "wkb", FORM_BINARY },
	[29] = { "wkb_zstd", FORM_BINARY, .zstd = true },
	[30] = { "msgpack", FORM_BINARY },
	[31] = { "msgpack_zstd", FORM_BINARY, .zstd = true },
	[32] = { "bytes", FORM_ANY },
};

/* A code that is not known is some binary. */
static const struct serial *serial_of(unsigned code)
{
	return &serials[code < ARRAY_SIZE(serials) ? code : 0];
}

const char *serial_name(unsigned code)
{
	return serial_of(code)->name;
}

int serial_code(const char *name)
{
	/* From the end: of two codes named "bytes" the later is used. */
	for (size_t i = ARRAY_SIZE(serials); i-- > 1;) {
		if (strcmp(serials[i].name, name) == 0)
			return (int)i;
	}
	return -EINVAL;
}

unsigned serial_int_width(unsigned code, bool *ret_signed)
{
	const struct serial *s = serial_of(code);

	if (s->form != FORM_INT)
		return 0;
	*ret_signed = s->is_signed;
	return s->width;
}

bool serial_takes_empty(unsigned code)
{
	const struct serial *s = serial_of(code);

	return (s->form == FORM_ANY || s->form == FORM_UTF8 ||
		s->form == FORM_ARRAY) &&
	       !s->zstd;
}

bool serial_takes_all(unsigned code)
{
	const struct serial *s = serial_of(code);

	return s->form == FORM_ANY && !s->zstd;
}

struct serial_check {
	const struct serial *serial;
	uint64_t len; /* of the inner form, so far */
	struct utf8 utf8;
	struct json json;

	ZSTD_DCtx *zstd; /* NULL: not compressed */
	uint8_t head[ZSTD_HEAD];
	size_t head_len;
	bool head_done;
	bool frame_done;
	size_t out_size;
	uint8_t *out;
};

static int inner_feed(struct serial_check *c, const void *bytes, size_t len)
{
	c->len += len;
	switch (c->serial->form) {
	case FORM_UTF8:
		return utf8_feed(&c->utf8, bytes, len);
	case FORM_JSON:
		return json_feed(&c->json, bytes, len);
	case FORM_INT:
		return c->len > c->serial->width ? -EINVAL : 0;
	default:
		return 0;
	}
}

static int inner_end(struct serial_check *c)
{
	const struct serial *s = c->serial;

	switch (s->form) {
	case FORM_UTF8:
		return utf8_end(&c->utf8);
	case FORM_JSON:
		return json_end(&c->json);
	case FORM_INT:
		return c->len == s->width ? 0 : -EINVAL;
	case FORM_BINARY:
		return c->len ? 0 : -EINVAL;
	case FORM_ARRAY:
		return c->len % s->width ? -EINVAL : 0;
	default:
		return 0;
	}
}

static int decode(struct serial_check *c, const void *bytes, size_t len)
{
	ZSTD_inBuffer in = { bytes, len, 0 };
	bool full = false;

	/* A full output buffer may have left more within the decoder. */
	while (in.pos < in.size || full) {
		ZSTD_outBuffer out = { c->out, c->out_size, 0 };
		size_t rc;
		int err;

		if (c->frame_done)
			return in.pos < in.size ? -EINVAL : 0;
		rc = ZSTD_decompressStream(c->zstd, &out, &in);
		if (ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation)
			return -ENOMEM;
		if (ZSTD_isError(rc))
			return -EINVAL;
		err = inner_feed(c, c->out, out.pos);
		if (err)
			return err;
		c->frame_done = rc == 0;
		full = out.pos == out.size;
	}
	return 0;
}

/* Python's zstandard wants the length of the content in the frame's header. */
static int decode_head(struct serial_check *c)
{
	unsigned long long content;

	if (c->head_len < 4 || get_le(c->head, 4) != ZSTD_MAGIC)
		return -EINVAL;
	content = ZSTD_getFrameContentSize(c->head, c->head_len);
	if (content == ZSTD_CONTENTSIZE_UNKNOWN ||
	    content == ZSTD_CONTENTSIZE_ERROR)
		return -EINVAL;
	c->head_done = true;
	return decode(c, c->head, c->head_len);
}

int serial_check_feed(struct serial_check *c, const void *bytes, size_t len)
{
	size_t n;
	int err;

	if (len == 0)
		return 0;
	if (!c->zstd)
		return inner_feed(c, bytes, len);
	if (!c->head_done) {
		n = min_u64(len, ZSTD_HEAD - c->head_len);
		memcpy(c->head + c->head_len, bytes, n);
		c->head_len += n;
		if (c->head_len < ZSTD_HEAD)
			return 0;
		err = decode_head(c);
		if (err)
			return err;
		bytes = (const uint8_t *)bytes + n;
		len -= n;
	}
	return decode(c, bytes, len);
}

int serial_check_end(struct serial_check *c)
{
	int err;

	if (c->zstd && !c->head_done) {
		err = decode_head(c);
		if (err)
			return err;
	}
	if (c->zstd && !c->frame_done)
		return -EINVAL;
	return inner_end(c);
}

int serial_check_new(unsigned code, struct serial_check **ret)
{
	struct serial_check *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->serial = serial_of(code);
	c->json.parser = c->serial->parser;
	if (c->serial->zstd) {
		c->out_size = ZSTD_DStreamOutSize();
		c->out = malloc(c->out_size);
		c->zstd = ZSTD_createDCtx();
		if (!c->out || !c->zstd) {
			serial_check_free(c);
			return -ENOMEM;
		}
	}
	*ret = c;
	return 0;
}

void serial_check_free(struct serial_check *c)
{
	if (!c)
		return;
	ZSTD_freeDCtx(c->zstd);
	free(c->out);
	free(c);
}

int serial_valid(unsigned code, const void *bytes, size_t len)
{
	struct serial_check plain = {
		.serial = serial_of(code),
		.json.parser = serial_of(code)->parser,
	};
	struct serial_check *c = &plain;
	int err;

	if (serial_takes_all(code))
		return 0;
	if (plain.serial->zstd) {
		err = serial_check_new(code, &c);
		if (err)
			return err;
	}
	err = serial_check_feed(c, bytes, len);
	if (!err)
		err = serial_check_end(c);
	if (c != &plain)
		serial_check_free(c);
	return err;
}
