#include "booklet/core/reservations.h"

void reservations_add(struct engine *e, struct reservation *pin)
{
	pin->next = e->reservations;
	e->reservations = pin;
}

void reservations_remove(struct engine *e, struct reservation *pin)
{
	for (struct reservation **at = &e->reservations; *at; at = &(*at)->next)
		if (*at == pin) {
			*at = pin->next;
			return;
		}
}

static bool reaches(const struct reservation *p, uint64_t pos, uint64_t to)
{
	return p->pos < to && p->pos + p->len > pos;
}

uint64_t reservations_bytes(const struct engine *e)
{
	uint64_t sum = 0;

	for (const struct reservation *r = e->reservations; r; r = r->next)
		sum += r->len;
	return sum;
}

bool reservations_any(const struct engine *e, uint64_t pos, uint64_t to)
{
	for (const struct reservation *p = e->reservations; p; p = p->next)
		if (reaches(p, pos, to))
			return true;
	return false;
}

void reservations_first(struct engine *e, uint64_t pos, uint64_t to,
			uint64_t *ret_pos, uint64_t *ret_end)
{
	*ret_pos = *ret_end = to;
	pthread_rwlock_rdlock(&e->wal.lock);
	for (const struct reservation *p = e->reservations; p; p = p->next)
		if (reaches(p, pos, *ret_pos)) {
			*ret_pos = p->pos;
			*ret_end = p->pos + p->len;
		}
	pthread_rwlock_unlock(&e->wal.lock);
}
