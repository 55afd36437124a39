/* Gives any bytes to blt load as its input: the command itself, with the store
 * in a memory file and messages that go nowhere.  What was loaded must be a
 * store without a fault. */
#include "fuzz.h"
#include "booklet/store/store.h"
#include "tool/tool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- what load uses of the tool ---- */

int tool_open(struct tool *t, const char *path, enum blt_mode mode,
	      const struct blt_create_options *create)
{
	(void)t;
	(void)path;
	(void)mode;
	(void)create;
	return 0;
}

static void __attribute__((format(printf, 1, 0)))
format(const char *fmt, va_list args)
{
	char line[256];

	vsnprintf(line, sizeof(line), fmt, args);
}

void tool_say(const struct tool *t, const char *fmt, ...)
{
	va_list args;

	(void)t;
	va_start(args, fmt);
	format(fmt, args);
	va_end(args);
}

int tool_fail(const struct tool *t, int exit_code, const char *fmt, ...)
{
	va_list args;

	(void)t;
	va_start(args, fmt);
	format(fmt, args);
	va_end(args);
	return exit_code;
}

int tool_fail_file(const struct tool *t, const char *path, const char *doing,
		   int err)
{
	(void)t;
	(void)path;
	(void)doing;
	(void)err;
	return 1;
}

int tool_fail_store(const struct tool *t, const char *key, int err)
{
	(void)t;
	(void)key;
	(void)err;
	return 1;
}

int tool_print_counts(const struct tool *t, const struct tool_counts *c,
		      bool done)
{
	(void)t;
	(void)c;
	(void)done;
	return 0;
}

int tool_write_all(int fd, const void *bytes, size_t len)
{
	return write(fd, bytes, len) == (ssize_t)len ? 0 : -EIO;
}

int tool_signal(void)
{
	return 0;
}

void progress_start(struct progress *p, const char *what, uint64_t total,
		    bool off)
{
	(void)what;
	(void)total;
	(void)off;
	*p = (struct progress){ .on = false };
}

void progress_show(struct progress *p, uint64_t bytes, uint64_t items)
{
	(void)p;
	(void)bytes;
	(void)items;
}

void progress_end(struct progress *p)
{
	(void)p;
}

/* ---- empty stores of a few kinds ---- */

#define KINDS 4

static struct {
	uint8_t bytes[512];
	size_t len;
} empty[KINDS];

static void make_empty(int kind)
{
	static const char *const key[KINDS] = { "str", "bytes", "uint4",
						"str" };
	static const char *const value[KINDS] = { "bytes", NULL, "json",
						  "zstd" };
	struct blt_open_options how = { .mode = BLT_CREATE };
	char path[] = "/tmp/fuzz-load.XXXXXX";
	int fd = mkstemp(path);
	struct blt *store;
	ssize_t n;

	how.create.n_buckets = 7;
	how.create.key_serializer = (unsigned)blt_serializer_code(key[kind]);
	if (value[kind])
		how.create.value_serializer =
			(unsigned)blt_serializer_code(value[kind]);
	else
		how.create.value_len = 3;
	if (fd < 0 || blt_open(path, &how, &store, NULL) < 0 ||
	    blt_close(store) < 0)
		abort();
	n = read(fd, empty[kind].bytes, sizeof(empty[kind].bytes));
	if (n <= 0)
		abort();
	empty[kind].len = (size_t)n;
	unlink(path);
	close(fd);
}

static int print(void *arg, const struct blt_fault *fault)
{
	(void)arg;
	fprintf(stderr, "at %llu: %s\n", (unsigned long long)fault->position,
		fault->text);
	return 0;
}

static void load(int kind, const char *input)
{
	static char command[] = "memory file", path[64];
	struct tool t = { .cmd = &tool_load, .n_args = 2 };
	char *arg[] = { command, path, NULL };
	struct file_ops ops = fuzz_ops();
	struct blt_check_options opts = { .values = true };
	struct blt_check_result result;
	struct blt_error err;

	snprintf(path, sizeof(path), "%s", input);
	t.arg = arg;
	if (store_adopt(fuzz_file(empty[kind].bytes, empty[kind].len), true,
			&ops, &t.store, &err) < 0)
		abort();
	tool_load.run(&t);
	if (blt_check(t.store, &opts, print, NULL, &result) < 0 ||
	    result.faults || result.warnings)
		abort();
	if (blt_close(t.store) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char input[64];
	int fd = fuzz_file(data, size);

	for (int kind = 0; kind < KINDS && !empty[kind].len; kind++)
		make_empty(kind);
	if (fd < 0)
		return 0;
	snprintf(input, sizeof(input), "/proc/self/fd/%d", fd);
	load((int)(size % KINDS), input);
	close(fd);
	return 0;
}
