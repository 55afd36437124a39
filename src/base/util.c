#include "base/util.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void hex_encode(char *to, const void *from, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = from;

	for (size_t i = 0; i < len; i++) {
		*to++ = digits[p[i] >> 4];
		*to++ = digits[p[i] & 15];
	}
	*to = '\0';
}

/* Not isxdigit: the locale has no say here. */
int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_decode(void *to, const char *from, size_t len)
{
	uint8_t *p = to;

	if (len % 2 != 0)
		return -EINVAL;
	for (size_t i = 0; i < len; i += 2) {
		int high = hex_digit(from[i]);
		int low = hex_digit(from[i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		*p++ = (uint8_t)(high << 4 | low);
	}
	return 0;
}

const char *show_bytes(const void *bytes, size_t len, char to[SHOWN_ROOM])
{
	const uint8_t *from = bytes;
	size_t n = min_u64(len, SHOWN_BYTES);
	char *at = to;

	for (size_t i = 0; i < n; i++)
		at += sprintf(at,
			      from[i] < 0x20 || from[i] >= 0x7f ? "\\x%02x" :
								  "%c",
			      from[i]);
	strcpy(at, len > n ? "..." : "");
	return to;
}

/* From so much on, a system call each is nothing beside what is done with it.
 */
#define SCRATCH_MUCH ((size_t)256 << 10)

void *scratch_get(size_t len)
{
	void *p;

	if (len < SCRATCH_MUCH)
		return malloc(len);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		 -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

void *scratch_zeroed(size_t len)
{
	return len < SCRATCH_MUCH ? calloc(1, len) : scratch_get(len);
}

void scratch_put(void *p, size_t len)
{
	if (len < SCRATCH_MUCH)
		free(p);
	else if (p)
		munmap(p, len);
}

void *scratch_resize(void *p, size_t old_len, size_t len)
{
	void *to;

	if (old_len < SCRATCH_MUCH && len < SCRATCH_MUCH)
		return realloc(p, len);
	to = scratch_get(len);
	if (to && p)
		memcpy(to, p, old_len < len ? old_len : len);
	if (to)
		scratch_put(p, old_len);
	return to;
}

int pread_all(int fd, void *to, size_t n, uint64_t pos)
{
	uint8_t *p = to;

	while (n) {
		ssize_t got = pread(fd, p, n, (off_t)pos);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -ENODATA;
		p += got;
		pos += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

static int64_t clock_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t now_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

int64_t steady_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

void steady_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

struct timespec steady_timespec(int64_t us)
{
	return (struct timespec){ .tv_sec = us / 1000000,
				  .tv_nsec = us % 1000000 * 1000 };
}

/* Of a pinned thread. */
static _Thread_local bool is_pinned;
static _Thread_local cpu_set_t pinned_to, allowed;

int thread_pin(int cpu)
{
	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return -EINVAL;
	if (!is_pinned && sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return -errno;
	CPU_ZERO(&pinned_to);
	CPU_SET((size_t)cpu, &pinned_to);
	if (sched_setaffinity(0, sizeof(pinned_to), &pinned_to) < 0)
		return -errno;
	is_pinned = true;
	return 0;
}

bool thread_unpin(void)
{
	if (is_pinned)
		(void)sched_setaffinity(0, sizeof(allowed), &allowed);
	return is_pinned;
}

void thread_repin(bool pinned)
{
	if (pinned)
		(void)sched_setaffinity(0, sizeof(pinned_to), &pinned_to);
}

int thread_start(pthread_t *ret, void *(*run)(void *arg), void *arg)
{
	const bool pinned = thread_unpin();
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	/* Blocked, it could not be handled: file_try needs it. */
	sigdelset(&all, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = -pthread_create(ret, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	thread_repin(pinned);
	return rc;
}

int utf8_feed(struct utf8 *u, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	const uint8_t *end = p + len;
	uint64_t eight;

	while (p < end) {
		/* eight bytes of ASCII at a time: most text is that */
		if (u->need == 0 && end - p >= 8) {
			memcpy(&eight, p, 8);
			if ((eight & UINT64_C(0x8080808080808080)) == 0) {
				p += 8;
				continue;
			}
		}
		if (utf8_step(u, *p++) < 0)
			return -EINVAL;
	}
	return 0;
}

size_t utf8_char(const uint8_t *s, size_t len)
{
	struct utf8 u = { 0 };

	for (size_t i = 0; i < len; i++) {
		if (utf8_step(&u, s[i]) < 0)
			return 0;
		if (!u.need)
			return i + 1;
	}
	return 0;
}
