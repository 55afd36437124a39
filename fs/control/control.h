/* control.h - the control directory, and what it can be told.
 *
 * A command is a row of one table (control_command.c): a word that may be
 * written to the file "control", an ioctl with its struct, or both; the word's
 * arguments become the struct, so what runs knows no text.  A file is a row of
 * another (control.c); what is open, control_file.c.
 *
 * Inodes here are numbers of their own, above all addresses of inodes.  Nothing
 * is kept by the kernel.  A file is a snapshot from open to close.
 *
 * Only the daemon's own user gets in, whatever the modes say: the caller asks
 * control_allows at each request.  What a written text may do is limited: it
 * neither runs a program nor destroys data, since an archive may hold a file
 * of that name.
 *
 * Results are 0 or -errno unless said otherwise.  Any thread; a struct
 * control_handle has its own lock.
 */
#ifndef FS_CONTROL_H
#define FS_CONTROL_H

#include "main/bltfs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

#define CONTROL_INO (UINT64_C(1) << 63)

struct control;

/* Jobs and what they need; once the namespace and the syncer are there. */
int control_new(struct bltfs *fs, struct control **ret);
/* Jobs are asked to stop; waited for. */
void control_stop(struct control *c); /* NULL is fine */
void control_free(struct control *c); /* NULL is fine */

static inline bool control_owns(uint64_t ino)
{
	return ino & CONTROL_INO;
}

/* Whether the name in that directory is the control directory's. */
bool control_is_name(const struct bltfs *fs, uint64_t dir, const char *name);

bool control_allows(uid_t uid);

/* ---- the files ---- */

/* ret->st_ino is the inode's number. */
int control_lookup(struct bltfs *fs, uint64_t dir, const char *name,
		   struct stat *ret);
int control_stat(struct bltfs *fs, uint64_t ino, struct stat *ret);

/* The directory of the transactions, where mkdir(2) begins one and rmdir(2)
 * aborts it.  A name in it is no inode of the control directory, but a
 * transaction's root. */
bool control_is_txns(uint64_t ino);

struct control_handle;

int control_open(struct bltfs *fs, uint64_t ino, int flags,
		 struct control_handle **ret);
/* Bytes, or -errno. */
int64_t control_read(struct control_handle *h, void *buf, size_t n,
		     uint64_t offset);
int64_t control_write(struct bltfs *fs, struct control_handle *h,
		      const char *buf, size_t n, uint64_t offset);
int control_cut(struct control_handle *h, uint64_t len);
int control_flush(struct bltfs *fs, struct control_handle *h);
void control_close(struct control_handle *h);
/* Where a mount ends the kernel may not tell any more what was closed. */
void control_close_all(struct control *c);

/* A directory's names as they were when it was opened. */
struct control_name {
	char name[256];
	uint64_t ino;
	mode_t type;
};
int control_list(struct bltfs *fs, uint64_t dir, struct control_name **ret,
		 size_t *ret_n);
/* BLTFS_IOC_ATTEND on the open directory of that handle, which has been closed:
 * its jobs are cancelled. */
int control_attend(struct control *c, uint64_t handle, uint64_t job);
void control_left(struct control *c, uint64_t handle);

int control_opendir(struct bltfs *fs, uint64_t ino,
		    struct control_handle **ret);
/* Until control_close. */
const struct control_name *control_names(const struct control_handle *h,
					 size_t *ret_n);

/* ---- the commands ---- */

/* One line.  Says in *reply (malloc'd, with a line feed) what came of it,
 * whatever the result. */
int control_line(struct bltfs *fs, const char *line, char **reply);

/* Whether it may take so long, and wait for other requests, that no thread
 * which answers these may run it. */
bool control_is_slow(unsigned cmd);
/* Before and behind such a one: control_free waits for it. */
void control_slow_begin(struct control *c);
void control_slow_end(struct control *c);
void control_slow_wait(struct control *c); /* NULL is fine */

/* arg: len bytes, in and out.  *ret_len: how many of them go back.  -ENOTTY:
 * none of ours. */
bool control_knows_ioctl(unsigned cmd);
int control_ioctl(struct bltfs *fs, unsigned cmd, void *arg, size_t len,
		  size_t *ret_len);

#endif
