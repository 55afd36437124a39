/* sound.h - for unit tests: a store in which blt_check finds nothing. */
#ifndef TEST_SOUND_H
#define TEST_SOUND_H

#include "blt.h"

#include "lib/checked.h"

static inline int sound_fault(void *arg, const struct blt_fault *f)
{
	(void)arg;
	ck_abort_msg("%s at %llu: %s", blt_fault_name(f->kind),
		     (unsigned long long)f->position, f->text);
	return -1;
}

static inline void check_sound(struct blt *s)
{
	struct blt_check_options o = { .values = true };
	struct blt_check_result r;

	ck_assert_int_eq(blt_check(s, &o, sound_fault, NULL, &r), 0);
	ck_assert_uint_eq(r.faults + r.warnings, 0);
}

#endif
