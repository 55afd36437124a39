#include "main/log.h"

#include <errno.h>
#include <fuse_log.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#define KEPT_LINES 200

static struct {
	bool debug;
	atomic_bool detached;
	pthread_mutex_t lock;
	char *kept[KEPT_LINES]; /* lock; a ring */
	size_t n;               /* lock; lines so far */
} state = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* A message for which there is no memory is not kept. */
static void keep(const char *prefix, const char *line)
{
	struct tm tm;
	time_t now = time(NULL);
	char stamp[40], *text;

	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (asprintf(&text, "%s %s%s\n", stamp, prefix, line) < 0)
		return;
	pthread_mutex_lock(&state.lock);
	free(state.kept[state.n % KEPT_LINES]);
	state.kept[state.n++ % KEPT_LINES] = text;
	pthread_mutex_unlock(&state.lock);
}

void log_print(FILE *to)
{
	pthread_mutex_lock(&state.lock);
	for (size_t i = 0; i < KEPT_LINES; i++) {
		const char *line = state.kept[(state.n + i) % KEPT_LINES];

		if (line)
			fputs(line, to);
	}
	pthread_mutex_unlock(&state.lock);
}

void log_end(void)
{
	pthread_mutex_lock(&state.lock);
	for (size_t i = 0; i < KEPT_LINES; i++) {
		free(state.kept[i]);
		state.kept[i] = NULL;
	}
	pthread_mutex_unlock(&state.lock);
}

__attribute__((format(printf, 2, 0))) static void
log_line(int level, const char *fmt, va_list ap)
{
	/* Among the messages of a life it tells how bad one is; in front of a
	 * person an error needs no name. */
	static const char *const prefix[] = {
		[LOG_WARNING] = "warning: ",
		[LOG_ERR] = "error: ",
		[LOG_INFO] = "",
		[LOG_DEBUG] = "",
	};
	char line[1024];
	int saved = errno;
	size_t len;

	vsnprintf(line, sizeof(line), fmt, ap);
	len = strlen(line);
	while (len > 0 && line[len - 1] == '\n')
		line[--len] = '\0';
	if (level != LOG_DEBUG)
		keep(prefix[level], line);
	if (atomic_load(&state.detached))
		syslog(level, "%s", line);
	else
		fprintf(stderr, "bltfs: %s%s\n",
			level == LOG_ERR ? "" : prefix[level], line);
	errno = saved;
}

/* libfuse reports an unknown option, a failed mount, and with -d each
 * message. */
__attribute__((format(printf, 2, 0))) static void
log_from_fuse(enum fuse_log_level level, const char *fmt, va_list ap)
{
	if (level == FUSE_LOG_DEBUG && !state.debug)
		return;
	log_line(level <= FUSE_LOG_ERR     ? LOG_ERR :
		 level <= FUSE_LOG_WARNING ? LOG_WARNING :
		 level <= FUSE_LOG_INFO    ? LOG_INFO :
					     LOG_DEBUG,
		 fmt, ap);
}

void log_start(bool debug)
{
	state.debug = debug;
	fuse_set_log_func(log_from_fuse);
}

void log_detach(void)
{
	openlog("bltfs", LOG_PID, LOG_DAEMON);
	atomic_store(&state.detached, true);
}

void log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_ERR, fmt, ap);
	va_end(ap);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_WARNING, fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_INFO, fmt, ap);
	va_end(ap);
}
