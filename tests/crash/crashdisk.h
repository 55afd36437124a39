/* crashdisk.h - a disk in memory that remembers what was done to it, so that
 * the power can be cut anywhere.
 *
 *   crashdisk_init(&d, image, len)
 *   store_adopt(crashdisk_fd(&d), true, &d.table, ...)    work, close
 *   crashdisk_image(&d, &cut, &image, &len)               what a cut leaves
 *   crashdisk_release(&d)
 *
 * What an fdatasync has covered stays, of size what any sync has, and of what
 * was written before one of a range the sectors in it.  Of the writes and
 * changes of size behind the last one before the cut each other 512-byte sector
 * may have any of its versions, and the file any of its sizes: kept, dropped,
 * torn and reordered are all cases of that.  A write within one sector is
 * atomic.  What a failed fdatasync was to cover is read back as long as the
 * system runs, and no later one makes it last: that is what Linux does with
 * such pages.
 *
 * Faults: the n-th call, counted over all calls that the fault can meet, gives
 * an error or does half its work.
 *
 * Memory that is not there ends the test program.  Threads: one.
 */
#ifndef TEST_CRASHDISK_H
#define TEST_CRASHDISK_H

#include "booklet/io/file.h"

enum disk_op_kind {
	DISK_WRITE,
	DISK_RESIZE,
	DISK_SYNC,
	DISK_SYNC_RANGE,
	DISK_SYNC_FAILED,
};

struct disk_op {
	enum disk_op_kind kind;
	uint64_t pos; /* of a write, a range; the size of a resize */
	uint64_t to;  /* the end of a range */
	size_t len;
	uint8_t *data;
};

enum disk_call {
	CALL_PWRITE = 1,
	CALL_FTRUNCATE = 2,
	CALL_FALLOCATE = 4,
	CALL_FDATASYNC = 8, /* of a range, too */
	CALL_FSTAT = 16,
	CALL_MMAP = 32,
	CALL_PUNCH = 64,   /* an fallocate that makes a hole */
	CALL_MALLOC = 128, /* the engine's; a test's own goes through */
};

struct disk_fault {
	unsigned calls;  /* which ones it meets, a set of enum disk_call */
	int err;         /* 0: a write does a part of its work */
	unsigned long n; /* the first one that fails, from 1 on; 0: none */
	bool for_ever;   /* and all that follow */
};

struct crashdisk {
	struct file_ops table;
	int fd;
	uint8_t *base; /* as it was at the beginning: durable */
	size_t base_len;
	struct disk_op *op;
	size_t n, room;
	unsigned long reserves, holes;

	struct disk_fault fault;
	unsigned long met;    /* calls that the fault could meet */
	bool failed;          /* it has come */
	bool failed_in_place; /* not at the file's end, where it grows */

	uint8_t *durable; /* the image with the first durable_at calls */
	size_t durable_len, durable_room, durable_at;
};

void crashdisk_init(struct crashdisk *d, const uint8_t *image, size_t len);
void crashdisk_release(struct crashdisk *d);

/* A descriptor for one open of a store, which closes it. */
int crashdisk_fd(const struct crashdisk *d);

/* The file as the running system sees it, malloc'd. */
uint8_t *crashdisk_now(const struct crashdisk *d, size_t *ret_len);

enum cut_how {
	CUT_NONE,    /* nothing behind the last fdatasync is left */
	CUT_ALL,     /* everything: the process died, the system lives */
	CUT_PREFIX,  /* in order up to some call, which is torn */
	CUT_SECTORS, /* each sector at a moment of its own */
	CUT_PAGES,   /* each page of 4096 bytes */
	CUT_SUBSET,  /* each call kept, dropped or torn */
	CUT_HOWS,
};

struct cut {
	size_t at; /* calls before it */
	enum cut_how how;
	uint64_t seed;
};

/* malloc'd.  Cheapest where cuts come in the order of their at. */
uint8_t *crashdisk_image(struct crashdisk *d, const struct cut *cut,
			 size_t *ret_len);

/* A disk where a process died at a call and the system lives: what it wrote is
 * there, and is not durable yet. */
void crashdisk_kill(struct crashdisk *d, size_t at, struct crashdisk *ret);

/* A value from a seed and two numbers that looks random. */
uint64_t crash_mix(uint64_t seed, uint64_t a, uint64_t b);

/* Whether an allocation of the engine is to fail (CALL_MALLOC). */
bool crashdisk_memory_fails(struct crashdisk *d);

#endif
