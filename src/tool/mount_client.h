/* mount_client.h - a mounted store: its daemon is asked.
 *
 *   code = tool_work(t, BLTFS_IOC_CLEAR, &args, &request);
 *
 * does what takes long, wherever the store is; or, piece by piece:
 *
 *   int fd;
 *   code = mount_client_open(t, path, &fd);         -1: no mount, a store file
 *   code = mount_client_start(t, fd, BLTFS_IOC_..., &args);
 *
 * Both show how far a job is: a line that is rewritten where standard error is
 * a terminal, else one for each tenth.  A signal cancels the job; --detach
 * prints its number and leaves it.
 *
 * Errors: exit codes, after a message.
 */
#ifndef BLT_MOUNT_CLIENT_H
#define BLT_MOUNT_CLIENT_H

#include "job/job.h"
#include "tool/tool.h"

/* ---- mount_client.c ---- */

/* Whether the path is a mount point of a store, or a store file.  Anything else
 * is an error.  *ret_fd is -1 for a file, else the caller's to close. */
int mount_client_open(const struct tool *t, const char *path, int *ret_fd);
bool tool_is_mount(const char *path);
/* In silence: -1 where it is none. */
int tool_mount_fd(const char *path);
/* Whether an open directory, which is no mount, is a store of LMDB's. */
bool tool_is_environment(int fd);
/* As mount_client_open, for a command that is for mounts alone. */
int mount_client_mount(const struct tool *t, const char *path, int *ret_fd);

/* tool_catch_signals, for who waits for a daemon: a second signal ends the
 * process, since a daemon may never answer.  In tool_open.c. */
void tool_catch_first_signal(void);

/* An ioctl on it failed, with a negative errno: what that means. */
int mount_client_fail(const struct tool *t, const char *path, int err);

/* Facts of the store, as far as the daemon tells them; ret_path (malloc'd, or
 * NULL) its file. */
int mount_client_store(const struct tool *t, int fd, struct blt_info *ret,
		       char **ret_path);
/* How its daemon takes requests, in a word; NULL: not known. */
const char *mount_client_transport(int fd);

/* The store file of the mount at a path, as its daemon says; malloc'd.  NULL,
 * in silence, where it cannot be asked. */
char *mount_client_path(const char *point);

/* Hands over what is too long for one struct; *ret_args goes into the request.
 */
int mount_client_pieces(const struct tool *t, int fd, const void *bytes,
			size_t len, uint64_t *ret_args);

/* ---- mount_client_key.c ---- */

/* The key of a path in the mount (fd its root, or AT_FDCWD), or by --hex and
 * --raw.  stat may be NULL. */
int mount_client_key(const struct tool *t, int fd, const char *arg,
		     struct tool_key *ret, struct blt_stat *stat);

/* ---- mount_client_job.c ---- */

/* Starts a job of the daemon's, waits for its end and says nothing of it where
 * it went well. */
int mount_client_result(const struct tool *t, int fd, unsigned cmd, void *args,
			struct job_info *ret);

/* Starts a job of the daemon's and waits for its end, or not (--detach). Closes
 * fd. */
int mount_client_start(const struct tool *t, int fd, unsigned cmd, void *args);

/* The job of that number: 0 or -errno. */
int mount_client_job(int fd, uint64_t id, struct job_info *ret);

/* All jobs of a mount, by number: 1, 0 at the end, or -errno.
 *
 *   struct job_list list = { .fd = fd };
 *   while ((r = mount_client_next_job(&list, &info)) > 0) ...; */
struct job_list {
	int fd;
	uint64_t last; /* number */
	unsigned n;    /* jobs so far */
};
int mount_client_next_job(struct job_list *list, struct job_info *ret);

/* Opens the store file t->arg[0] for a job of this process, which it then is,
 * on the open store. */
int tool_open_alone(struct tool *t);
int tool_job_run(const struct tool *t, const struct job_request *req);

/* Work on t->arg[0], for writing: the daemon of a mount is asked by that ioctl,
 * whose args begin with the job's number; on a store file the request is a job
 * of this process. */
int tool_work(struct tool *t, unsigned cmd, void *args,
	      const struct job_request *req);

/* What to do where a copy failed with that text, or "". */
const char *tool_copy_advice(const struct tool *t, int err, const char *text);

/* One job as an object, by itself or in an array. */
void tool_print_job_json(struct jout *j, const struct job_info *info);

/* clang-format off */
#define TOOL_OPT_DETACH \
	{ OPT_DETACH, 'd', "detach", NULL, \
	  "on a mount: print the job's number and return" }
#define TOOL_OPT_JOB \
	TOOL_OPT_DETACH, \
	{ OPT_QUIET, 'q', "quiet", NULL, "no progress and no report" }, \
	TOOL_OPT_JSON_COUNTS
/* clang-format on */

#endif
