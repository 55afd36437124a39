#include "main/log.h"

#include "base/json.h"

#include <errno.h>
#include <fuse_log.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define KEPT_LINES 200

static struct {
	bool debug;
	bool json;
	atomic_bool detached;
	pthread_mutex_t lock;
	char *kept[KEPT_LINES]; /* lock; a ring */
	size_t n;               /* lock; lines so far */
} state = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Among the messages of a life it tells how bad one is; in front of a person an
 * error needs no name. */
static const struct {
	const char *prefix, *name;
} levels[] = {
	[LOG_WARNING] = { "warning: ", "warning" },
	[LOG_ERR] = { "error: ", "error" },
	[LOG_INFO] = { "", "info" },
	[LOG_DEBUG] = { "", "debug" },
};

static void time_stamp(char stamp[40])
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(stamp, 40, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* The line as an object, malloc'd; NULL: no memory. */
static char *as_json(int level, const char *line)
{
	char stamp[40], *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return NULL;
	time_stamp(stamp);
	fprintf(to,
		"{\"time\": \"%s\", \"level\": \"%s\", \"pid\": %ld, \"message\": ",
		stamp, levels[level].name, (long)getpid());
	json_put_string(to, line, strlen(line));
	putc('}', to);
	if (fclose(to) == 0)
		return text;
	free(text);
	return NULL;
}

/* A message for which there is no memory is not kept. */
static void keep(int level, const char *line)
{
	char stamp[40], *text;

	time_stamp(stamp);
	if (state.json ? asprintf(&text, "%s\n", line) < 0 :
			 asprintf(&text, "%s %s%s\n", stamp,
				  levels[level].prefix, line) < 0)
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
	char text[1024], *json = NULL;
	const char *line = text;
	int saved = errno;
	size_t len;

	vsnprintf(text, sizeof(text), fmt, ap);
	len = strlen(text);
	while (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	if (state.json)
		line = json = as_json(level, text);
	if (!line)
		goto out;
	if (level != LOG_DEBUG)
		keep(level, line);
	if (atomic_load(&state.detached))
		syslog(level, "%s", line);
	else if (state.json)
		fprintf(stderr, "%s\n", line);
	else
		fprintf(stderr, "bltfs: %s%s\n",
			level == LOG_ERR ? "" : levels[level].prefix, line);
out:
	free(json);
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

void log_start(bool debug, bool json)
{
	state.debug = debug;
	state.json = json;
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
