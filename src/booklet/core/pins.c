#include "booklet/core/pins.h"

void pins_add(struct engine *e, struct pin *pin)
{
	pin->next = e->pins;
	e->pins = pin;
}

void pins_remove(struct engine *e, struct pin *pin)
{
	for (struct pin **at = &e->pins; *at; at = &(*at)->next)
		if (*at == pin) {
			*at = pin->next;
			return;
		}
}

static bool reaches(const struct pin *p, uint64_t pos, uint64_t to)
{
	return p->pos < to && p->pos + p->len > pos;
}

bool pins_any(const struct engine *e, uint64_t pos, uint64_t to)
{
	for (const struct pin *p = e->pins; p; p = p->next)
		if (reaches(p, pos, to))
			return true;
	return false;
}

void pins_first(struct engine *e, uint64_t pos, uint64_t to, uint64_t *ret_pos,
		uint64_t *ret_end)
{
	*ret_pos = *ret_end = to;
	pthread_rwlock_rdlock(&e->space.lock);
	for (const struct pin *p = e->pins; p; p = p->next)
		if (reaches(p, pos, *ret_pos)) {
			*ret_pos = p->pos;
			*ret_end = p->pos + p->len;
		}
	pthread_rwlock_unlock(&e->space.lock);
}
