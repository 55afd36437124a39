/* ready.h - a word to systemd (Type=notify), where it started us.
 *
 * Does nothing without NOTIFY_SOCKET in the environment.
 */
#ifndef FS_READY_H
#define FS_READY_H

/* state: "READY=1", "STOPPING=1", as in sd_notify(3); the daemon's pid goes
 * with it. */
void ready_tell(const char *state);

#endif
