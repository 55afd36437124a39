/* Heads and rows as bytes: a version, then fields in one order, numbers
 * little-endian, bytes with their length in front. */
#include "map/ledger_inner.h"

#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1u

void ledger_head_name(const char *job, char to[LEDGER_NOTE_NAME])
{
	snprintf(to, LEDGER_NOTE_NAME, "job/%.*s", LEDGER_NAME_MAX, job);
}

void ledger_row_name(const char *job, unsigned shard, char to[LEDGER_NOTE_NAME])
{
	snprintf(to, LEDGER_NOTE_NAME, "job/%.*s/%u", LEDGER_NAME_MAX, job,
		 shard);
}

/* ---- writing ---- */

struct writer {
	uint8_t *bytes;
	size_t len, room;
	int rc;
};

static void add(struct writer *w, const void *bytes, size_t len)
{
	if (w->rc == 0)
		w->rc = ARRAY_ROOM(w->bytes, w->room, w->len + len);
	if (w->rc < 0)
		return;
	if (len)
		memcpy(w->bytes + w->len, bytes, len);
	w->len += len;
}

static void add_number(struct writer *w, uint64_t v, size_t n)
{
	uint8_t bytes[8];

	put_le(bytes, v, n);
	add(w, bytes, n);
}

static void add_bytes(struct writer *w, const void *bytes, size_t len)
{
	add_number(w, len, 2);
	add(w, bytes, len);
}

static int finish(struct writer *w, uint8_t **ret, size_t *ret_len)
{
	if (w->rc < 0) {
		free(w->bytes);
		return w->rc;
	}
	*ret = w->bytes;
	*ret_len = w->len;
	return 0;
}

int ledger_head_pack(const struct ledger_head *h, uint8_t **ret, size_t *len)
{
	struct writer w = { .bytes = NULL };

	add_number(&w, VERSION, 1);
	add_number(&w, h->shards, 4);
	add_number(&w, h->run, 8);
	add(&w, h->identity, BLT_HASH_LEN);
	add_bytes(&w, h->function, strlen(h->function));
	return finish(&w, ret, len);
}

int ledger_row_pack(const struct ledger_row *r, uint8_t **ret, size_t *len)
{
	struct writer w = { .bytes = NULL };

	add_number(&w, VERSION, 1);
	add_number(&w, (uint64_t)r->state, 1);
	add_number(&w, r->run, 8);
	for (int i = 0; i < LEDGER__WHAT; i++)
		add_number(&w, r->count[i], 8);
	add_number(&w, (uint64_t)r->began, 8);
	add_number(&w, (uint64_t)r->renewed, 8);
	add_bytes(&w, r->owner, strlen(r->owner));
	add_number(&w, r->has_last, 1);
	add_bytes(&w, r->last.bytes, r->has_last ? r->last.len : 0);
	add_number(&w, r->n_failed, 4);
	for (size_t i = 0; i < r->n_failed; i++)
		add_bytes(&w, r->failed[i].bytes, r->failed[i].len);
	return finish(&w, ret, len);
}

/* ---- reading ---- */

struct reader {
	const uint8_t *at;
	size_t left;
	int rc;
};

static const uint8_t *take(struct reader *r, size_t n)
{
	const uint8_t *p = r->at;

	if (r->rc < 0 || n > r->left) {
		r->rc = r->rc < 0 ? r->rc : -EUCLEAN;
		return NULL;
	}
	r->at += n;
	r->left -= n;
	return p;
}

static uint64_t take_number(struct reader *r, size_t n)
{
	const uint8_t *p = take(r, n);

	return p ? get_le(p, n) : 0;
}

static void take_text(struct reader *r, char to[LEDGER_TEXT])
{
	size_t len = (size_t)take_number(r, 2);
	const uint8_t *p = take(r, len);

	if (!p || len >= LEDGER_TEXT || memchr(p, '\0', len)) {
		r->rc = r->rc < 0 ? r->rc : -EUCLEAN;
		return;
	}
	memcpy(to, p, len);
	to[len] = '\0';
}

static int take_key(struct reader *r, struct ledger_key *ret)
{
	size_t len = (size_t)take_number(r, 2);
	const uint8_t *p = take(r, len);

	if (!p)
		return r->rc;
	ret->bytes = malloc(len + 1);
	if (!ret->bytes)
		return r->rc = -ENOMEM;
	memcpy(ret->bytes, p, len);
	ret->len = len;
	return 0;
}

int ledger_head_unpack(const void *bytes, size_t len, struct ledger_head *ret)
{
	struct reader r = { bytes, len, 0 };
	struct ledger_head h = { .shards = 0 };
	const uint8_t *identity;

	if (take_number(&r, 1) != VERSION)
		return -EUCLEAN;
	h.shards = (unsigned)take_number(&r, 4);
	h.run = take_number(&r, 8);
	identity = take(&r, BLT_HASH_LEN);
	if (identity)
		memcpy(h.identity, identity, BLT_HASH_LEN);
	take_text(&r, h.function);
	if (r.rc == 0 && (r.left || !h.shards || h.shards > LEDGER_SHARDS_MAX))
		r.rc = -EUCLEAN;
	if (r.rc == 0)
		*ret = h;
	return r.rc;
}

static int take_failed(struct reader *r, struct ledger_row *row, uint64_t n)
{
	struct ledger_key key;
	int rc = n <= LEDGER_FAILED_MAX ? 0 : -EUCLEAN;

	for (uint64_t i = 0; i < n && rc == 0; i++) {
		rc = take_key(r, &key);
		if (rc < 0)
			break;
		rc = ledger_add_failed(row, key.bytes, key.len);
		free(key.bytes);
	}
	return rc == -EDQUOT ? -EUCLEAN : rc;
}

int ledger_row_unpack(const void *bytes, size_t len, struct ledger_row *ret)
{
	struct reader r = { bytes, len, 0 };
	struct ledger_row row = { .state = LEDGER_STOPPED };
	uint64_t state, n_failed;

	if (take_number(&r, 1) != VERSION)
		return -EUCLEAN;
	state = take_number(&r, 1);
	row.run = take_number(&r, 8);
	for (int i = 0; i < LEDGER__WHAT; i++)
		row.count[i] = take_number(&r, 8);
	row.began = (int64_t)take_number(&r, 8);
	row.renewed = (int64_t)take_number(&r, 8);
	take_text(&r, row.owner);
	row.has_last = take_number(&r, 1) != 0;
	if (r.rc == 0 && state < LEDGER__STATES)
		r.rc = take_key(&r, &row.last);
	n_failed = take_number(&r, 4);
	if (r.rc == 0)
		r.rc = take_failed(&r, &row, n_failed);
	if (r.rc == 0 && (r.left || state >= LEDGER__STATES))
		r.rc = -EUCLEAN;
	if (r.rc < 0) {
		ledger_row_release(&row);
		return r.rc;
	}
	row.state = (enum ledger_state)state;
	*ret = row;
	return 0;
}

void ledger_row_release(struct ledger_row *r)
{
	for (size_t i = 0; i < r->n_failed; i++)
		free(r->failed[i].bytes);
	free(r->failed);
	free(r->last.bytes);
	*r = (struct ledger_row){ .state = LEDGER_STOPPED };
}

/* ---- what failed ---- */

static size_t find_failed(const struct ledger_row *r, const void *key,
			  size_t len)
{
	size_t i = 0;

	while (i < r->n_failed &&
	       compare_bytes(r->failed[i].bytes, r->failed[i].len, key, len))
		i++;
	return i;
}

/* Room doubles at each power of two. */
int ledger_add_failed(struct ledger_row *r, const void *key, size_t len)
{
	size_t n = r->n_failed;
	struct ledger_key *more;
	uint8_t *copy;

	if (find_failed(r, key, len) < n)
		return 0;
	if (n == LEDGER_FAILED_MAX ||
	    r->failed_bytes + len > LEDGER_FAILED_BYTES + BLT_KEY_MAX)
		return -EDQUOT;
	if ((n & (n - 1)) == 0) {
		more = realloc(r->failed, (n ? 2 * n : 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		r->failed = more;
	}
	copy = malloc(len + 1);
	if (!copy)
		return -ENOMEM;
	if (len)
		memcpy(copy, key, len);
	r->failed[r->n_failed++] = (struct ledger_key){ copy, len };
	r->failed_bytes += len;
	return 0;
}

void ledger_drop_failed(struct ledger_row *r, const void *key, size_t len)
{
	size_t i = find_failed(r, key, len);

	if (i == r->n_failed)
		return;
	free(r->failed[i].bytes);
	r->failed_bytes -= len;
	r->failed[i] = r->failed[--r->n_failed];
}
