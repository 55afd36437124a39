/* The notes of all jobs as bytes, for a process that has not got the store. Who
 * has it does not make an entry of each shard: a head of a few bytes claims
 * thousands.  Of each note
 *
 *   1 byte   running
 *   2 bytes  length of its name
 *   4 bytes  length of its bytes
 *   name, bytes
 */
#include "map/ledger_inner.h"

#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEAD 7u

static int add(uint8_t **bytes, size_t *len, const struct ledger_copy *c)
{
	size_t name_len = strlen(c->name);
	uint8_t fixed[HEAD];
	int rc;

	put_le(fixed, c->running, 1);
	put_le(fixed + 1, name_len, 2);
	put_le(fixed + 3, c->note.len, 4);
	rc = bytes_append(bytes, len, fixed, HEAD);
	if (rc == 0)
		rc = bytes_append(bytes, len, c->name, name_len);
	if (rc == 0)
		rc = bytes_append(bytes, len, c->note.bytes, c->note.len);
	return rc;
}

int ledger_pack(struct blt *store, uint8_t **ret, size_t *ret_len)
{
	struct ledger_copies all = { .n = 0 };
	uint8_t *bytes = NULL;
	size_t len = 0;
	int rc = ledger_copies_take(store, &all);

	if (rc < 0)
		return rc;
	rc = bytes_append(&bytes, &len, "", 0);
	for (size_t i = 0; rc == 0 && i < all.n; i++)
		rc = add(&bytes, &len, &all.at[i]);
	ledger_copies_drop(&all);
	if (rc < 0) {
		free(bytes);
		return rc;
	}
	*ret = bytes;
	*ret_len = len;
	return 0;
}

/* One note at at, of left bytes: how many it has, or negative. */
static int64_t take(const uint8_t *at, size_t left, struct ledger_copies *to)
{
	size_t name_len, len;
	int rc;

	if (left < HEAD)
		return -EPROTO;
	name_len = (size_t)get_le(at + 1, 2);
	len = (size_t)get_le(at + 3, 4);
	if (name_len > left - HEAD || len > left - HEAD - name_len ||
	    name_len < strlen("job/") || memcmp(at + HEAD, "job/", 4) != 0)
		return -EPROTO;
	rc = ledger_copies_add(to, at + HEAD, name_len, at + HEAD + name_len,
			       len);
	if (rc < 0)
		return rc;
	to->at[to->n - 1].running = at[0] != 0;
	return (int64_t)(HEAD + name_len + len);
}

int ledger_unpack(const uint8_t *bytes, size_t len, const char *job,
		  ledger_fn *fn, void *arg)
{
	struct ledger_copies all = { .n = 0 };
	int64_t n = 0;
	int rc;

	for (size_t at = 0; at < len && n >= 0; at += (size_t)n) {
		n = take(bytes + at, len - at, &all);
		if (n < 0)
			break;
	}
	rc = n < 0 ? (int)n : ledger_copies_tell(&all, job, fn, arg);
	ledger_copies_drop(&all);
	return rc;
}
