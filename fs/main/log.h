/* log.h - the daemon's log: stderr, or syslog once it is detached.
 *
 * An event is logged once, by the code that knows what it means for the user.
 * Calls keep errno.  log_start comes before any thread; the rest is for any
 * thread.
 */
#ifndef FS_LOG_H
#define FS_LOG_H

#include <stdbool.h>
#include <stdio.h>

/* json: each message is an object of JSON on a line of its own. */
void log_start(bool debug, bool json);

/* From now on to syslog. */
void log_detach(void);

__attribute__((format(printf, 1, 2))) void log_error(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void log_warn(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void log_info(const char *fmt, ...);

/* The last messages, each with its time; and their memory back, at the end. */
void log_print(FILE *to);
void log_end(void);

#endif
