/* The entries of ledger_each as bytes, for a process that has not got the
 * store: each
 *
 *   2 bytes  length of the job's name       4 bytes  length of the head
 *   4 bytes  shard                          4 bytes  length of the row, or
 *   1 byte   running                                 2^32 - 1: there is none
 *   name, head, row
 */
#include "map/ledger_inner.h"

#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEAD 15u
#define NONE UINT32_MAX

struct packed {
	uint8_t *bytes;
	size_t len;
};

static int add(void *arg, const struct ledger_entry *e)
{
	struct packed *p = arg;
	uint8_t fixed[HEAD], *head = NULL, *row = NULL;
	size_t head_len = 0, row_len = 0;
	int rc = ledger_head_pack(e->head, &head, &head_len);

	if (rc == 0 && e->row)
		rc = ledger_row_pack(e->row, &row, &row_len);
	put_le(fixed, strlen(e->job), 2);
	put_le(fixed + 2, e->shard, 4);
	put_le(fixed + 6, e->running, 1);
	put_le(fixed + 7, head_len, 4);
	put_le(fixed + 11, row ? row_len : NONE, 4);
	if (rc == 0)
		rc = bytes_append(&p->bytes, &p->len, fixed, HEAD);
	if (rc == 0)
		rc = bytes_append(&p->bytes, &p->len, e->job, strlen(e->job));
	if (rc == 0)
		rc = bytes_append(&p->bytes, &p->len, head, head_len);
	if (rc == 0 && row)
		rc = bytes_append(&p->bytes, &p->len, row, row_len);
	free(head);
	free(row);
	return rc;
}

int ledger_pack(struct blt *store, uint8_t **ret, size_t *ret_len)
{
	struct packed p = { .bytes = NULL };
	int rc = bytes_append(&p.bytes, &p.len, "", 0);

	if (rc == 0)
		rc = ledger_each(store, NULL, add, &p);
	if (rc < 0) {
		free(p.bytes);
		return rc;
	}
	*ret = p.bytes;
	*ret_len = p.len;
	return 0;
}

/* One entry at at, of left bytes: how many it has, or negative. */
static int64_t tell(const uint8_t *at, size_t left, const char *job,
		    ledger_fn *fn, void *arg)
{
	struct ledger_row row = { .state = LEDGER_STOPPED };
	size_t name_len, head_len, row_len, len;
	char name[LEDGER_NAME_MAX + 1];
	struct ledger_entry e = { .job = name };
	struct ledger_head head;
	int rc;

	if (left < HEAD)
		return -EPROTO;
	name_len = (size_t)get_le(at, 2);
	head_len = (size_t)get_le(at + 7, 4);
	row_len = (size_t)get_le(at + 11, 4);
	len = HEAD + name_len + head_len + (row_len == NONE ? 0 : row_len);
	if (name_len > LEDGER_NAME_MAX || len > left)
		return -EPROTO;
	memcpy(name, at + HEAD, name_len);
	name[name_len] = '\0';
	e.shard = (unsigned)get_le(at + 2, 4);
	e.running = at[6] != 0;
	e.head = &head;
	rc = ledger_head_unpack(at + HEAD + name_len, head_len, &head);
	if (rc == 0 && row_len != NONE) {
		rc = ledger_row_unpack(at + HEAD + name_len + head_len, row_len,
				       &row);
		e.row = &row;
	}
	if (rc == 0 && ledger_is_name(name) && (!job || strcmp(job, name) == 0))
		rc = fn(arg, &e);
	ledger_row_release(&row);
	return rc == -EUCLEAN ? -EPROTO : rc < 0 ? rc : (int64_t)len;
}

struct named {
	ledger_fn *fn;
	void *arg;
	bool any;
};

static int note_any(void *arg, const struct ledger_entry *e)
{
	struct named *n = arg;

	n->any = true;
	return n->fn(n->arg, e);
}

int ledger_unpack(const uint8_t *bytes, size_t len, const char *job,
		  ledger_fn *fn, void *arg)
{
	struct named n = { .fn = fn, .arg = arg };

	for (size_t at = 0; at < len;) {
		int64_t rc = tell(bytes + at, len - at, job, note_any, &n);

		if (rc < 0)
			return (int)rc;
		at += (size_t)rc;
	}
	return job && !n.any ? -ENOENT : 0;
}
