/* Checks any bytes as a store, and rebuilds one from them, which must have no
 * fault. */
#include "fuzz.h"
#include "booklet/maintain/salvage.h"
#include "booklet/store/store.h"

#include <stdio.h>
#include <stdlib.h>

static int print(void *arg, const struct blt_fault *fault)
{
	(void)arg;
	fprintf(stderr, "at %llu: %s\n", (unsigned long long)fault->position,
		fault->text);
	return 0;
}

static int count(void *arg, const struct blt_fault *fault)
{
	uint64_t *n = arg;

	*n += fault->kind != BLT_FAULT_LOAD;
	return 0;
}

static void check(const uint8_t *data, size_t size)
{
	struct blt_check_options opts = { .values = true };
	struct blt_check_result result;
	struct file_ops ops = fuzz_ops();
	struct blt_error err;
	struct blt *store;
	uint64_t n = 0;
	int fd = fuzz_file(data, size);

	if (fd < 0 || store_adopt(fd, false, &ops, &store, &err) < 0)
		return;
	if (blt_check(store, &opts, count, &n, &result) < 0 ||
	    result.faults != n)
		abort();
	blt_close(store);
}

/* The rebuilt store must open, be sound and hold what the salvage says. */
static void judge(int fd, const struct salvage *s)
{
	struct blt_check_result result;
	struct file_ops ops = fuzz_ops();
	struct blt_error err;
	struct blt *store;

	if (store_adopt(fd, false, &ops, &store, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	if (blt_check(store, NULL, print, NULL, &result) < 0 ||
	    result.keys != s->result.keys)
		abort();
	/* Fields of the header that nothing depends on stay as they were. */
	if (result.live_blocks != s->n || result.skipped_bytes)
		abort();
	blt_close(store);
}

static void rebuild(const uint8_t *data, size_t size)
{
	static const struct blt_rebuild_options opts = { .to = "" };
	struct file_ops ops = fuzz_ops();
	struct salvage_header header;
	struct file file, to;
	struct salvage s;
	int fd = fuzz_file(data, size), out;

	if (fd < 0 || file_adopt(&file, fd, false, &ops) < 0)
		abort();
	if (salvage_header(&file, NULL, &header) < 0 ||
	    salvage_start(&s, &file, &header, &opts) < 0) {
		file_close(&file);
		return;
	}
	out = fuzz_file(NULL, 0);
	if (file_adopt(&to, out, true, &ops) < 0 || salvage_scan(&s) < 0 ||
	    salvage_write(&s, &to) < 0)
		abort();
	judge(dup(out), &s);
	file_close(&to);
	salvage_release(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check(data, size);
	rebuild(data, size);
	return 0;
}
