/* Two tables. */
#include "engine/cookie_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MARKS 65536u
#define ENDS 1024u

struct cookie_mark {
	uint64_t cookie; /* 0: none */
	uint32_t dir;    /* a hash of the directory */
	uint16_t len;
	uint8_t *name; /* the component */
};

struct cookie_cache {
	pthread_mutex_t lock;
	struct cookie_mark at[MARKS]; /* under lock, as these */
	/* the last names of listings, in turn */
	struct cookie_mark end[ENDS];
	unsigned n_ends;
};

struct cookie_cache *cookie_cache_new(void)
{
	struct cookie_cache *cookies = calloc(1, sizeof(*cookies));

	if (cookies)
		pthread_mutex_init(&cookies->lock, NULL);
	return cookies;
}

void cookie_cache_free(struct cookie_cache *cookies)
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

static void set_mark(struct cookie_mark *m, uint32_t dir, uint64_t cookie,
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

void cookie_cache_set(struct cookie_cache *cookies, uint32_t dir,
		      uint64_t cookie, const uint8_t *name, size_t len)
{
	pthread_mutex_lock(&cookies->lock);
	set_mark(&cookies->at[(cookie >> 1) % MARKS], dir, cookie, name, len);
	pthread_mutex_unlock(&cookies->lock);
}

void cookie_cache_end(struct cookie_cache *cookies, uint32_t dir,
		      uint64_t cookie, const uint8_t *name, size_t len)
{
	pthread_mutex_lock(&cookies->lock);
	set_mark(&cookies->end[cookies->n_ends++ % ENDS], dir, cookie, name,
		 len);
	pthread_mutex_unlock(&cookies->lock);
}

static bool take_mark(const struct cookie_mark *m, uint32_t dir,
		      uint64_t cookie, uint8_t *name, size_t *ret_len)
{
	if (m->cookie != cookie || m->dir != dir)
		return false;
	memcpy(name, m->name, m->len);
	*ret_len = m->len;
	return true;
}

bool cookie_cache_find(struct cookie_cache *cookies, uint32_t dir,
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
