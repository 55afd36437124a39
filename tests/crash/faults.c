/* The n-th system call or allocation fails, for every n until the work goes
 * through: the error reaches the caller, what the store held is read still, and
 * is there when it is opened again. */
#include "crash/crashwork.h"
#include "lib/rounds.h"
#include "lib/suite.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define OPERATIONS 36
#define PRUNED_AT 12
#define TRIMMED_AT 24
#define GROWS (CALL_PWRITE | CALL_FALLOCATE | CALL_PUNCH)
#define ANY_WRITE (GROWS | CALL_FTRUNCATE)

struct kind_of_fault {
	const char *name;
	struct disk_fault fault;
	bool goes_unnoticed; /* the store goes on as if nothing had been */
	bool latches;        /* no more writes from there on */
};

static const struct kind_of_fault faults[] = {
	{ .name = "EIO on a write",
	  .fault = { .calls = CALL_PWRITE, .err = EIO },
	  .latches = true },
	{ .name = "EIO on a change of size",
	  .fault = { .calls = CALL_FTRUNCATE, .err = EIO },
	  .latches = true },
	{ .name = "EIO on a reservation",
	  .fault = { .calls = CALL_FALLOCATE, .err = EIO } },
	{ .name = "EIO on fdatasync",
	  .fault = { .calls = CALL_FDATASYNC, .err = EIO },
	  .latches = true },
	{ .name = "ENOSPC on fdatasync",
	  .fault = { .calls = CALL_FDATASYNC, .err = ENOSPC },
	  .latches = true },
	{ .name = "EIO from there on",
	  .fault = { .calls = ANY_WRITE | CALL_FDATASYNC,
		     .err = EIO,
		     .for_ever = true } },
	{ .name = "ENOSPC once", .fault = { .calls = GROWS, .err = ENOSPC } },
	{ .name = "ENOSPC from there on",
	  .fault = { .calls = GROWS, .err = ENOSPC, .for_ever = true } },
	{ .name = "no reservations",
	  .fault = { .calls = CALL_FALLOCATE,
		     .err = EOPNOTSUPP,
		     .for_ever = true },
	  .goes_unnoticed = true },
	{ .name = "no holes",
	  .fault = { .calls = CALL_PUNCH, .err = EOPNOTSUPP, .for_ever = true },
	  .goes_unnoticed = true },
	{ .name = "EIO on a hole",
	  .fault = { .calls = CALL_PUNCH, .err = EIO } },
	{ .name = "EINTR",
	  .fault = { .calls = ANY_WRITE | CALL_PUNCH | CALL_FDATASYNC,
		     .err = EINTR },
	  .goes_unnoticed = true },
	{ .name = "short writes",
	  .fault = { .calls = CALL_PWRITE, .for_ever = true },
	  .goes_unnoticed = true },
	{ .name = "EIO on fstat",
	  .fault = { .calls = CALL_FSTAT, .err = EIO } },
	{ .name = "ENOMEM on mmap",
	  .fault = { .calls = CALL_MMAP, .err = ENOMEM },
	  .goes_unnoticed = true },
	{ .name = "ENOMEM on every mmap",
	  .fault = { .calls = CALL_MMAP, .err = ENOMEM, .for_ever = true } },
	{ .name = "out of memory",
	  .fault = { .calls = CALL_MALLOC, .err = ENOMEM } },
	{ .name = "out of memory from there on",
	  .fault = { .calls = CALL_MALLOC, .err = ENOMEM, .for_ever = true } },
};

static unsigned long rounds, cuts;

/* ---- memory ---- */

/* Whose allocations fail. */
static struct crashdisk *_Atomic short_of_memory;

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool memory_fails(void)
{
	struct crashdisk *d = short_of_memory;

	return d && crashdisk_memory_fails(d);
}

void *__wrap_malloc(size_t n)
{
	return memory_fails() ? NULL : malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return memory_fails() ? NULL : calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return memory_fails() ? NULL : realloc(p, n);
}

#define ok(call)                                                   \
	ck_assert_msg((call) == 0, "%s, call %lu: %s", kind->name, \
		      w.disk.fault.n, crash_says)

/* What the store says of writes once the fault is over. */
static void check_after(const struct kind_of_fault *kind, struct crashwork *w)
{
	/* An index that is being moved has no way back: it waits for the next
	 * open. */
	bool moving = store_of(w->store)->engine.wal.next.offset != 0;
	bool full = kind->fault.err == ENOSPC && !w->disk.failed_in_place &&
		    !moving;
	int rc;

	w->error = 0;
	ck_assert_int_eq(crashwork_put(w), 0);
	rc = w->error;

	ck_assert_msg(rc == 0 || rc == -EIO, "%s, call %lu: a put gives %d",
		      kind->name, w->disk.fault.n, rc);
	if (kind->latches)
		ck_assert_msg(rc == -EIO, "%s, call %lu: writes go on",
			      kind->name, w->disk.fault.n);
	if (full)
		ck_assert_msg(rc == 0 && blt_sync(w->store) == 0,
			      "%s, call %lu: no way on with space again",
			      kind->name, w->disk.fault.n);
}

/* Opens the store again, as often as it takes without faults: once. */
static void check_again(const struct kind_of_fault *kind, struct crashwork *was)
{
	struct cut power = { .at = was->disk.n, .how = CUT_NONE };
	struct crash_totals t = { 0 };
	struct crashwork w = *was;
	size_t first, n = crashwork_possible(was, &power, &first);

	was->store = NULL;
	ck_assert_msg(crashwork_check(was, 4, &t) == 0, "%s, call %lu: %s",
		      kind->name, was->disk.fault.n, crash_says);
	cuts += t.images;
	w = *was;
	w.faulty = false;
	w.disk.table.arg = &w.disk;
	w.disk.fault = (struct disk_fault){ 0 };
	ok(crashwork_open(&w));
	ok(crashwork_find(&w, first, n));
	w.error = 0;
	ok(crashwork_do(&w, 5));
	ok(crashwork_holds(&w));
	ok(crashwork_end(&w));
	*was = w;
	was->disk.table.arg = &was->disk;
}

/* Whether the fault came. */
static bool run_round(const struct kind_of_fault *kind, unsigned store,
		      unsigned long n)
{
	struct crashwork w;
	bool came;

	ok(crashwork_begin(&w, &crash_kinds[store], 4242 + store));
	/* The next open recovers under the fault. */
	ok(crashwork_do(&w, 6));
	w.faulty = true;
	w.big_values = true;
	w.disk.fault = kind->fault;
	w.disk.fault.n = n;
	for (unsigned i = 0; i < OPERATIONS && w.store; i++) {
		int rc;

		short_of_memory = &w.disk;
		rc = i == PRUNED_AT  ? crashwork_prune(&w) :
		     i == TRIMMED_AT ? crashwork_trim(&w) :
				       crashwork_do(&w, 1);
		short_of_memory = NULL;
		ok(rc);
		if (w.store)
			ok(crashwork_holds(&w));
		if (w.disk.failed && !kind->goes_unnoticed &&
		    !kind->fault.for_ever)
			break;
	}
	came = w.disk.failed;
	if (kind->goes_unnoticed)
		ck_assert_msg(w.error == 0, "%s, call %lu: gives %d",
			      kind->name, n, w.error);
	w.disk.fault.n = kind->fault.for_ever ? n : 0;
	if (w.store && came && !kind->goes_unnoticed) {
		w.disk.fault.n = 0;
		check_after(kind, &w);
		ok(crashwork_holds(&w));
	}
	if (w.store)
		(void)crashwork_end(&w);
	w.disk.fault.n = n;
	check_again(kind, &w);
	crashwork_release(&w);
	rounds++;
	return came;
}

START_TEST(errors_lose_nothing)
{
	const struct kind_of_fault *kind = &faults[_i];

	for (unsigned store = 0; store < CRASH_KINDS - 1; store++) {
		unsigned long n = 1;

		while (run_round(kind, store, n))
			n += rounds_stride();
		ck_assert_msg(n > 1 || kind->fault.calls == CALL_MMAP ||
				      kind->fault.calls == CALL_FTRUNCATE ||
				      kind->fault.calls == CALL_FALLOCATE,
			      "%s never came", kind->name);
	}
	printf("%s: %lu rounds, %lu images\n", kind->name, rounds, cuts);
	fflush(stdout);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("faults");
	TCase *tc = tcase_create("faults");

	tcase_set_timeout(tc, 0);
	tcase_add_loop_test(tc, errors_lose_nothing, 0, ARRAY_SIZE(faults));
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
