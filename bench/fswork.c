/* fswork DIRECTORY FILES THREADS WORK - one kind of work on the files f0 to
 * f(FILES - 1) of a directory, shared among threads; prints "WALL CPU" in
 * nanoseconds a file (CPU is this process's own).
 * fswork FILE MIBS 1 write-big|read-big - one file in pieces of 1 MiB;
 * nanoseconds a MiB. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 64
#define LENGTH 512
#define PIECE (1u << 20)

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fswork: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int dir;

static void stat_one(const char *name)
{
	struct stat st;

	must(fstatat(dir, name, &st, 0) == 0, name);
}

static void miss_one(const char *name)
{
	char other[32];
	struct stat st;

	snprintf(other, sizeof(other), "m%s", name + 1);
	must(fstatat(dir, other, &st, 0) < 0 && errno == ENOENT, other);
}

static void read_one(const char *name)
{
	char buf[4096];
	int fd = openat(dir, name, O_RDONLY);

	must(fd >= 0 && read(fd, buf, sizeof(buf)) == LENGTH, name);
	must(close(fd) == 0, name);
}

static void write_file(const char *name, int flags)
{
	static const char bytes[LENGTH];
	int fd = openat(dir, name, O_WRONLY | flags, 0644);

	must(fd >= 0 && write(fd, bytes, LENGTH) == LENGTH, name);
	must(close(fd) == 0, name);
}

static void create_one(const char *name)
{
	write_file(name, O_CREAT);
}

static void overwrite_one(const char *name)
{
	write_file(name, O_TRUNC);
}

static void rename_one(const char *name)
{
	char other[32];

	snprintf(other, sizeof(other), "n%s", name);
	must(renameat(dir, name, dir, other) == 0, name);
}

static void unlink_one(const char *name)
{
	char other[32];

	snprintf(other, sizeof(other), "n%s", name);
	must(unlinkat(dir, other, 0) == 0, name);
}

static const struct {
	const char *name;
	void (*one)(const char *name);
} works[] = {
	{ "create", create_one }, { "stat", stat_one },
	{ "miss", miss_one },     { "read", read_one },
	{ "warm", stat_one },     { "overwrite", overwrite_one },
	{ "rename", rename_one }, { "unlink", unlink_one },
};

static void write_big(const char *path, size_t n)
{
	char *piece = malloc(PIECE);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	must(piece && fd >= 0, path);
	for (size_t i = 0; i < n; i++) {
		memset(piece, (int)i, PIECE);
		must(write(fd, piece, PIECE) == PIECE, path);
	}
	must(fsync(fd) == 0 && close(fd) == 0, path);
	free(piece);
}

static void read_big(const char *path, size_t n)
{
	char *piece = malloc(PIECE);
	int fd = open(path, O_RDONLY);

	must(piece && fd >= 0, path);
	for (size_t i = 0; i < n; i++)
		must(read(fd, piece, PIECE) == PIECE, path);
	close(fd);
	free(piece);
}

static void list(const char *path, size_t n)
{
	DIR *d = opendir(path);
	size_t met = 0;

	must(d != NULL, path);
	while (readdir(d))
		met++;
	closedir(d);
	must(met >= n, "too few names");
}

static const struct {
	const char *name;
	void (*all)(const char *path, size_t n);
} wholes[] = {
	{ "write-big", write_big },
	{ "read-big", read_big },
	{ "list", list },
};

struct share {
	void (*one)(const char *name);
	size_t from, to;
	pthread_t thread;
};

static void *do_share(void *arg)
{
	const struct share *s = arg;
	char name[32];

	for (size_t i = s->from; i < s->to; i++) {
		snprintf(name, sizeof(name), "f%zu", i);
		s->one(name);
	}
	return NULL;
}

static void share_out(void (*one)(const char *name), size_t n, size_t threads)
{
	struct share s[THREADS_MAX];

	for (size_t i = 0; i < threads; i++) {
		s[i] = (struct share){ one, n * i / threads,
				       n * (i + 1) / threads, 0 };
		must(pthread_create(&s[i].thread, NULL, do_share, &s[i]) == 0,
		     "pthread_create");
	}
	for (size_t i = 0; i < threads; i++)
		pthread_join(s[i].thread, NULL);
}

static double read_clock(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int run(const char *path, size_t n, size_t threads, const char *work)
{
	for (size_t i = 0; i < sizeof(wholes) / sizeof(wholes[0]); i++)
		if (strcmp(wholes[i].name, work) == 0) {
			wholes[i].all(path, n);
			return 0;
		}
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		if (strcmp(works[i].name, work) == 0) {
			dir = open(path, O_RDONLY | O_DIRECTORY);
			must(dir >= 0, path);
			share_out(works[i].one, n, threads);
			close(dir);
			return 0;
		}
	return 64;
}

int main(int argc, char **argv)
{
	size_t n = argc == 5 ? strtoul(argv[2], NULL, 10) : 0;
	size_t threads = n ? strtoul(argv[3], NULL, 10) : 0;
	double wall = read_clock(CLOCK_MONOTONIC);
	double cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID);
	int rc;

	if (!threads || threads > THREADS_MAX)
		return 64;
	rc = run(argv[1], n, threads, argv[4]);
	if (rc == 0)
		printf("%.1f %.1f\n",
		       (read_clock(CLOCK_MONOTONIC) - wall) / (double)n,
		       (read_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu) /
			       (double)n);
	return rc;
}
