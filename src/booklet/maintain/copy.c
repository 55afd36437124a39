#include "booklet/maintain/maintain.h"

#include "booklet/log/block.h"
#include "booklet/core/snapshot.h"
#include "booklet/maintain/verify.h"
#include "base/util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BUFFER ((size_t)1 << 20)
#define INDEX_PIECE ((uint64_t)8 << 20)

struct copy {
	struct engine *from;
	struct file *to;
	const struct copy_how *how;
	struct format fmt;
	struct blt_error *err;
	struct snapshot snapshot;
	uint8_t *index; /* zeros are empty buckets, until it is written */
	uint8_t *buf;
	size_t used;   /* bytes of buf that are not in the file yet */
	uint64_t pos;  /* where buf goes */
	uint64_t done; /* bytes of the source behind the snapshot */
	uint64_t n_keys;
};

__attribute__((format(printf, 3, 4))) static int
fail(const struct copy *c, int code, const char *fmt, ...)
{
	va_list args;

	if (c->err) {
		va_start(args, fmt);
		vsnprintf(c->err->text, sizeof(c->err->text), fmt, args);
		va_end(args);
	}
	return code;
}

static int fail_read(const struct copy *c, int rc)
{
	struct blt_error damage;

	if (rc == -EUCLEAN) {
		verify_first(c->from, &damage);
		return fail(c, rc, "%s: %s", c->from->wal.file.path,
			    damage.text);
	}
	return fail(c, rc, "%s: cannot be read to its end: %s",
		    c->from->wal.file.path, strerror(-rc));
}

static int fail_write(const struct copy *c, int rc)
{
	return fail(c, rc, "%s: cannot write: %s", c->how->path, strerror(-rc));
}

static int tell(struct copy *c)
{
	int rc;

	if (!c->how->progress)
		return 0;
	rc = c->how->progress(c->how->arg, min_u64(c->done, c->snapshot.end),
			      c->snapshot.end, c->n_keys);
	if (rc == 0)
		return 0;
	return fail(c, rc < 0 ? rc : -ECANCELED, "%s: stopped", c->how->path);
}

/* ---- into the file ---- */

static int flush(struct copy *c)
{
	int rc = file_write(c->to, c->buf, c->used, c->pos);

	if (rc < 0)
		return fail_write(c, rc);
	c->pos += c->used;
	c->used = 0;
	return tell(c);
}

/* Bytes of the source, whose file somebody may cut short. */
static int add(struct copy *c, const uint8_t *bytes, uint64_t len)
{
	while (len) {
		size_t n = (size_t)min_u64(len, BUFFER - c->used);
		int rc = file_copy(c->buf + c->used, bytes, n);

		if (rc < 0)
			return fail_read(c, rc);
		c->used += n;
		bytes += n;
		len -= n;
		if (c->used < BUFFER)
			continue;
		rc = flush(c);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- what fits, and what does not ---- */

static const char *key_text(const struct block *b, char text[SHOWN_ROOM])
{
	uint8_t key[SHOWN_BYTES];
	size_t n = (size_t)min_u64(b->head.key_len, sizeof(key));
	bool read = file_copy(key, b->key, n) == 0;

	return show_bytes(key, read ? b->head.key_len : 0, text);
}

static int check_block(const struct copy *c, const struct block *b)
{
	const struct format *from = &c->from->wal.fmt;
	const char *path = c->from->wal.file.path;
	char text[SHOWN_ROOM];
	bool hidden = format_hidden(from, &b->head.hash);

	if (c->fmt.fixed && hidden)
		return fail(c, -EINVAL,
			    "%s: has metadata or a reserved slot, for which a "
			    "store of values of a fixed length has no place; "
			    "delete them first",
			    path);
	if (c->fmt.fixed && b->head.value_len != c->fmt.value_len)
		return fail(c, -EINVAL,
			    "%s: the value of the key %s has %u bytes, and all "
			    "values of the copy are to have %u",
			    path, key_text(b, text), b->head.value_len,
			    c->fmt.value_len);
	if (!hidden && format_hidden(&c->fmt, &b->head.hash))
		return fail(c, -EINVAL,
			    "%s: the key %s would be a hidden entry in a store "
			    "of values of any length",
			    path, key_text(b, text));
	return 0;
}

/* ---- blocks ---- */

static int copy_block(struct copy *c, const struct block *b)
{
	struct block_head head = b->head;
	uint8_t bytes[FORMAT_HEAD_MAX];
	uint8_t *entry;
	int rc = check_block(c, b);

	if (rc < 0)
		return rc;
	entry = c->index +
		format_index_len(keyhash_bucket(&head.hash, c->fmt.n_buckets));
	head.next = get_le(entry, FORMAT_POS_LEN);
	if (head.next <= FORMAT_LAST)
		head.next = FORMAT_LAST;
	if (head.timestamp < 0)
		head.timestamp = c->how->now;
	put_le(entry, c->pos + c->used, FORMAT_POS_LEN);
	format_head_encode(&c->fmt, &head, bytes);
	rc = add(c, bytes, format_head_len(&c->fmt));
	if (rc == 0)
		rc = add(c, b->key, (uint64_t)head.key_len + head.value_len);
	c->n_keys += !format_hidden(&c->fmt, &head.hash);
	c->done = b->pos + b->len;
	return rc;
}

static int copy_blocks(struct copy *c)
{
	struct block b = { 0 };
	int rc = 0, result = 0;

	snapshot_start(&c->snapshot, c->from, false);
	while (result == 0 && (rc = snapshot_next(&c->snapshot, &b)) > 0)
		result = copy_block(c, &b);
	if (result == 0 && rc < 0)
		result = fail_read(c, rc);
	if (result == 0)
		result = flush(c);
	snapshot_end(&c->snapshot);
	return result;
}

/* ---- the rest of the file ---- */

static int write_index(struct copy *c)
{
	uint64_t len = format_index_len(c->fmt.n_buckets);
	int rc = 0;

	for (uint64_t at = 0; at < len; at += FORMAT_POS_LEN)
		if (get_le(c->index + at, FORMAT_POS_LEN) == 0)
			put_le(c->index + at, FORMAT_LAST, FORMAT_POS_LEN);
	for (uint64_t at = 0; at < len && rc == 0; at += INDEX_PIECE) {
		rc = file_write(c->to, c->index + at,
				(size_t)min_u64(INDEX_PIECE, len - at),
				c->fmt.index_offset + at);
		rc = rc < 0 ? fail_write(c, rc) : tell(c);
	}
	return rc;
}

static int write_header(struct copy *c)
{
	uint64_t n = min_u64(c->n_keys, FORMAT_N_KEYS_OPEN - 1);
	int rc;

	format_set_n_keys(&c->fmt, (uint32_t)n);
	rc = file_write(c->to, c->fmt.raw, FORMAT_HEADER_LEN, 0);
	if (rc == 0)
		rc = file_sync(c->to);
	return rc < 0 ? fail_write(c, rc) : 0;
}

int copy_into(struct engine *from, struct file *to, const struct copy_how *how,
	      struct blt_error *err)
{
	struct copy c = { .from = from,
			  .to = to,
			  .how = how,
			  .fmt = *how->fmt,
			  .err = err,
			  .pos = how->fmt->data_offset };
	size_t index_len = (size_t)format_index_len(c.fmt.n_buckets);
	int rc;

	c.index = mmap(NULL, index_len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	c.buf = malloc(BUFFER);
	if (c.index == MAP_FAILED || !c.buf)
		rc = fail(&c, -ENOMEM,
			  "%s: no memory for an index of %u buckets", how->path,
			  c.fmt.n_buckets);
	else
		rc = copy_blocks(&c);
	if (rc == 0)
		rc = write_index(&c);
	if (rc == 0)
		rc = write_header(&c);
	if (c.index != MAP_FAILED)
		munmap(c.index, index_len);
	free(c.buf);
	return rc;
}
