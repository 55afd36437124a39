/* Two tables (lmdb_marks.h). */
#include "lmdb/lmdb_marks.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MARKS 65536u
#define ENDS 1024u

struct mark {
	uint64_t cookie; /* 0: none */
	uint32_t dir;    /* a hash of the directory */
	uint16_t len;
	uint8_t *name; /* the component */
};

struct lmdb_marks {
	pthread_mutex_t lock;
	struct mark at[MARKS]; /* under lock, as these */
	struct mark end[ENDS]; /* the last names of listings, in turn */
	unsigned n_ends;
};

struct lmdb_marks *lmdb_marks_new(void)
{
	struct lmdb_marks *marks = calloc(1, sizeof(*marks));

	if (marks)
		pthread_mutex_init(&marks->lock, NULL);
	return marks;
}

void lmdb_marks_free(struct lmdb_marks *marks)
{
	if (!marks)
		return;
	for (size_t i = 0; i < MARKS; i++)
		free(marks->at[i].name);
	for (size_t i = 0; i < ENDS; i++)
		free(marks->end[i].name);
	pthread_mutex_destroy(&marks->lock);
	free(marks);
}

static void set_mark(struct mark *m, uint32_t dir, uint64_t cookie,
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

void lmdb_marks_set(struct lmdb_marks *marks, uint32_t dir, uint64_t cookie,
		    const uint8_t *name, size_t len)
{
	pthread_mutex_lock(&marks->lock);
	set_mark(&marks->at[(cookie >> 1) % MARKS], dir, cookie, name, len);
	pthread_mutex_unlock(&marks->lock);
}

void lmdb_marks_end(struct lmdb_marks *marks, uint32_t dir, uint64_t cookie,
		    const uint8_t *name, size_t len)
{
	pthread_mutex_lock(&marks->lock);
	set_mark(&marks->end[marks->n_ends++ % ENDS], dir, cookie, name, len);
	pthread_mutex_unlock(&marks->lock);
}

static bool take_mark(const struct mark *m, uint32_t dir, uint64_t cookie,
		      uint8_t *name, size_t *ret_len)
{
	if (m->cookie != cookie || m->dir != dir)
		return false;
	memcpy(name, m->name, m->len);
	*ret_len = m->len;
	return true;
}

bool lmdb_marks_find(struct lmdb_marks *marks, uint32_t dir, uint64_t cookie,
		     uint8_t *name, size_t *ret_len)
{
	bool found;

	pthread_mutex_lock(&marks->lock);
	found = take_mark(&marks->at[(cookie >> 1) % MARKS], dir, cookie, name,
			  ret_len);
	for (size_t i = 0; !found && i < ENDS; i++)
		found = take_mark(&marks->end[i], dir, cookie, name, ret_len);
	pthread_mutex_unlock(&marks->lock);
	return found;
}
