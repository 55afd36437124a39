#include "dir/absent.h"

#include "blt.h"
#include "main/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PLACES 256u
#define FOR_NS INT64_C(1000000000)

struct absent {
	pthread_mutex_t lock;
	struct {
		const struct inode *dir; /* NULL: nothing */
		int64_t at;
		char name[256];
	} place[PLACES]; /* lock */
};

int absent_new(struct absent **ret)
{
	struct absent *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	pthread_mutex_init(&a->lock, NULL);
	*ret = a;
	return 0;
}

void absent_free(struct absent *a)
{
	if (!a)
		return;
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static size_t place_of(const struct inode *dir, const char *name)
{
	return (size_t)((blt_key_hash(name, strlen(name)) ^
			 (uintptr_t)dir >> 4) %
			PLACES);
}

void absent_note(struct absent *a, const struct inode *dir, const char *name)
{
	size_t i;

	if (!a || strlen(name) >= sizeof(a->place[0].name))
		return;
	i = place_of(dir, name);
	pthread_mutex_lock(&a->lock);
	a->place[i].dir = dir;
	a->place[i].at = clock_ticks_ns();
	strcpy(a->place[i].name, name);
	pthread_mutex_unlock(&a->lock);
}

bool absent_take(struct absent *a, const struct inode *dir, const char *name)
{
	bool is = false;
	size_t i;

	if (!a)
		return false;
	i = place_of(dir, name);
	pthread_mutex_lock(&a->lock);
	if (a->place[i].dir == dir && strcmp(a->place[i].name, name) == 0) {
		is = clock_ticks_ns() - a->place[i].at < FOR_NS;
		a->place[i].dir = NULL;
	}
	pthread_mutex_unlock(&a->lock);
	return is;
}
