/* tool_system.h - programs, mounts and processes, for the commands that deal
 * with them.
 *
 * Errors: negative errnos, or as each says.
 * Threads: one.
 */
#ifndef BLT_TOOL_SYSTEM_H
#define BLT_TOOL_SYSTEM_H

#include "base/mountinfo.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* ---- tool_run.c ---- */

/* Runs a program, found by PATH, to its end and keeps the first line of what
 * it prints, on either stream.  Its exit code, 128 after a signal, or a
 * negative errno where it could not be run. */
int tool_run(char *const argv[], char *said, size_t len);
/* The first program of that name in PATH; path has PATH_MAX. */
bool tool_find_program(const char *name, char *path, struct stat *st);
/* The bltfs beside this program, else the first in PATH; likewise. */
bool tool_find_daemon(char *path);

/* ---- tool_mount.c ---- */

/* Whether its daemon died and left it behind. */
bool tool_mount_is_dead(const char *point);
/* Descriptors (pidfd) of up to max processes that hold a flock on the file and
 * run the named program; their number or a negative errno. */
int tool_lock_holders(const char *path, const char *comm, int *fds, int max);
/* Says which processes have something open below a path, as far as this user
 * may know: "12 (bash), 14 (vim)"; empty where none can be seen. */
void tool_users_of(const char *point, char *buf, size_t len);
/* The same for those who have a copy of the mount in another mount namespace,
 * one a namespace. */
void tool_mount_copies(const struct mountinfo *m, char *buf, size_t len);

#endif
