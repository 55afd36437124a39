/* Two tables (lmdb_dir_cursor.h). */
#include "lmdb/lmdb_dir_cursor.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MARKS 65536u
#define ENDS 1024u

struct txn_keyset_entry {
	uint64_t cookie; /* 0: none */
	uint32_t dir;    /* a hash of the directory */
	uint16_t len;
	uint8_t *name; /* the component */
};

struct lmdb_cookie_cache {
	pthread_mutex_t lock;
	struct txn_keyset_entry at[MARKS]; /* under lock, as these */
	struct txn_keyset_entry
		end[ENDS]; /* the last names of listings, in turn */
	unsigned n_ends;
};

struct lmdb_cookie_cache *lmdb_cookie_cache_new(void)
{
	struct lmdb_cookie_cache *cookies = calloc(1, sizeof(*cookies));

	if (cookies)
		pthread_mutex_init(&cookies->lock, NULL);
	return cookies;
}

void lmdb_cookie_cache_free(struct lmdb_cookie_cache *cookies)
{
	if (!cookies)
		return;
	for (size_t i = 0; i < MARKS; i++)
		free(cookies->at[i].name);
	for (size_t i = 0; i < ENDS; i++)
		free(cookies->end[i].name);
	pthread_mutex_destroy(&cookies->lock);
	free(cookies);
}

static void set_mark(struct txn_keyset_entry *m, uint32_t dir, uint64_t cookie,
		     const uint8_t *name, size_t len)
{
	uint8_t *copy;

	if (m->cookie == cookie && m->dir == dir)
		return;
	copy = malloc(len + 1);
	if (!copy)
		return;
	memcpy(copy, name, len);
	free(m->name);
	m->cookie = cookie;
	m->dir = dir;
	m->len = (uint16_t)len;
	m->name = copy;
}

void lmdb_cookie_cache_set(struct lmdb_cookie_cache *cookies, uint32_t dir,
			   uint64_t cookie, const uint8_t *name, size_t len)
{
	pthread_mutex_lock(&cookies->lock);
	set_mark(&cookies->at[(cookie >> 1) % MARKS], dir, cookie, name, len);
	pthread_mutex_unlock(&cookies->lock);
}

void lmdb_cookie_cache_end(struct lmdb_cookie_cache *cookies, uint32_t dir,
			   uint64_t cookie, const uint8_t *name, size_t len)
{
	pthread_mutex_lock(&cookies->lock);
	set_mark(&cookies->end[cookies->n_ends++ % ENDS], dir, cookie, name,
		 len);
	pthread_mutex_unlock(&cookies->lock);
}

static bool take_mark(const struct txn_keyset_entry *m, uint32_t dir,
		      uint64_t cookie, uint8_t *name, size_t *ret_len)
{
	if (m->cookie != cookie || m->dir != dir)
		return false;
	memcpy(name, m->name, m->len);
	*ret_len = m->len;
	return true;
}

bool lmdb_cookie_cache_find(struct lmdb_cookie_cache *cookies, uint32_t dir,
			    uint64_t cookie, uint8_t *name, size_t *ret_len)
{
	bool found;

	pthread_mutex_lock(&cookies->lock);
	found = take_mark(&cookies->at[(cookie >> 1) % MARKS], dir, cookie,
			  name, ret_len);
	for (size_t i = 0; !found && i < ENDS; i++)
		found = take_mark(&cookies->end[i], dir, cookie, name, ret_len);
	pthread_mutex_unlock(&cookies->lock);
	return found;
}
