#include "log.h"

#include <errno.h>
#include <fuse_log.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

static struct {
	bool debug;
	atomic_bool detached;
} state;

__attribute__((format(printf, 2, 0))) static void
log_line(int level, const char *fmt, va_list ap)
{
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
	if (atomic_load(&state.detached))
		syslog(level, "%s", line);
	else
		fprintf(stderr, "bltfs: %s%s\n", prefix[level], line);
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
