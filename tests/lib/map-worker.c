/* map-worker.c - a worker that speaks the protocol, and misbehaves as the key
 * of an item asks for.
 *
 *   map-worker [DIR] [value]    value: sends no files' places, please
 */
#include "map/wire.h"

#include "base/util.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct wire_out out;
static const char *dir;

static void say(enum wire_type type, uint64_t id, const char *key,
		const void *value, size_t len)
{
	struct wire_frame f = { .type = type,
				.id = id,
				.key = key,
				.key_len = key ? strlen(key) : 0,
				.value = value,
				.value_len = len };

	if (wire_put(&out, &f) < 0 || wire_flush(&out, 1) < 0)
		exit(9);
}

static void die(void)
{
	kill(getpid(), SIGKILL);
	pause();
}

/* The first time something is asked for in this directory. */
static bool first_time(const char *key)
{
	char path[4200];
	int fd;

	snprintf(path, sizeof(path), "%.3800s/%s", dir, key);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void flood(void)
{
	static char noise[4096];

	memset(noise, 'x', sizeof(noise));
	for (int i = 0; i < 256; i++)
		if (write(2, noise, sizeof(noise)) < 0)
			return;
}

/* How many descriptors there are beyond 0 to 3. */
static void count_files(uint64_t id)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	char text[16];
	int n = 0;

	while (d && (e = readdir(d)))
		n += atoi(e->d_name) > 3 && atoi(e->d_name) != dirfd(d);
	if (d)
		closedir(d);
	snprintf(text, sizeof(text), "%d", n);
	say(WIRE_SAME, id, NULL, text, strlen(text));
}

static void leave_child(void)
{
	if (fork() == 0)
		for (;;)
			pause();
}

/* What the key asks for; true: the item is to be answered as usual. */
static bool obey(const char *key, uint64_t id)
{
	if (!strncmp(key, "once", 4) && first_time(key))
		die();
	if (!strncmp(key, "crash", 5))
		die();
	if (!strncmp(key, "exit", 4))
		exit(3);
	if (!strncmp(key, "hang", 4))
		for (;;)
			pause();
	if (!strncmp(key, "garbage", 7) && write(1, "BM0 no frame", 12) > 0)
		for (;;)
			pause();
	if (!strncmp(key, "half", 4) && write(1, "BM1S\0\0\0", 7) > 0)
		die();
	if (!strncmp(key, "other", 5))
		say(WIRE_DONE, id + 1, NULL, NULL, 0);
	if (!strncmp(key, "child", 5)) {
		leave_child();
		die();
	}
	if (!strncmp(key, "flood", 5))
		flood();
	if (!strncmp(key, "files", 5))
		count_files(id);
	return strncmp(key, "files", 5) != 0;
}

static void answer(const char *key, uint64_t id, const void *value, size_t len)
{
	char other[300];

	if (!strncmp(key, "fail", 4)) {
		say(WIRE_SAME, id, NULL, "lost", 4);
		say(WIRE_ERROR, id, NULL, "as\nasked", 8);
		return;
	}
	if (!strncmp(key, "many", 4))
		for (int i = 0; i < 3; i++) {
			snprintf(other, sizeof(other), "%s.%d", key, i);
			say(WIRE_RESULT, id, other, value, len);
		}
	else if (strncmp(key, "skip", 4) != 0)
		say(WIRE_SAME, id, NULL, value, len);
	say(WIRE_DONE, id, NULL, NULL, 0);
}

static void work(const struct wire_frame *f)
{
	uint8_t *value = (uint8_t *)(uintptr_t)f->value;
	size_t len = f->value_len;
	char key[256];

	snprintf(key, sizeof(key), "%.*s", (int)f->key_len,
		 (const char *)f->key);
	if (f->type == WIRE_PLACE) {
		len = (size_t)get_le(value + 8, 8);
		value = malloc(len + 1);
		if (!value || pread(3, value, len,
				    (off_t)get_le(f->value, 8)) != (ssize_t)len)
			exit(8);
	}
	if (obey(key, f->id))
		answer(key, f->id, value, len);
	else
		say(WIRE_DONE, f->id, NULL, NULL, 0);
	if (f->type == WIRE_PLACE)
		free(value);
}

int main(int argc, char **argv)
{
	struct wire_frame f;
	struct wire_in in;

	dir = argc > 1 ? argv[1] : "/";
	if (argc > 2 && !strcmp(argv[2], "nohello"))
		return 5;
	wire_in_init(&in);
	wire_out_init(&out);
	say(WIRE_HELLO, argc > 2 ? 0 : WIRE_TAKES_PLACES, NULL, NULL, 0);
	while (wire_read(&in, 0) > 0)
		while (wire_next(&in, &f) > 0)
			work(&f);
	wire_in_free(&in);
	wire_out_free(&out);
	return 0;
}
