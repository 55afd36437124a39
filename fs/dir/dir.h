/* dir.h - names in directories: look up, list, make, remove.
 *
 * No call wants a lock held; each takes names shared itself, and waits for the
 * tree's walk before that where it needs the whole tree.
 */
#ifndef FS_DIR_H
#define FS_DIR_H

#include "inode/rights.h"
#include "main/bltfs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* What a name stands for.  inode holds a reference, the caller's to put. */
struct dir_found {
	struct inode *inode;
	struct stat st;
	bool sure; /* the answer may be kept (struct blt_node) */
};

/* -ENOENT: nothing there. */
int dir_lookup(struct bltfs *fs, struct inode *dir, const char *name,
	       struct dir_found *ret);

enum dir_make {
	DIR_LATER,     /* it is stored with its first content */
	DIR_EXCLUSIVE, /* the same, but its name is taken at once, for other
			* users of the store, too */
	DIR_NOW,       /* an empty one */
};

/* A new file.  -EEXIST where there is one.  who: the mode that is asked for,
 * and who asks. */
int dir_create(struct bltfs *fs, struct inode *dir, const char *name,
	       const struct rights *who, enum dir_make how,
	       struct dir_found *ret);
int dir_symlink(struct bltfs *fs, struct inode *dir, const char *name,
		const struct rights *who, const char *target,
		struct dir_found *ret);
int dir_mkdir(struct bltfs *fs, struct inode *dir, const char *name,
	      const struct rights *who, struct dir_found *ret);
int dir_unlink(struct bltfs *fs, struct inode *dir, const char *name);
int dir_rmdir(struct bltfs *fs, struct inode *dir, const char *name);

/* Sets a directory's time, in its marker. */
int dir_touch(struct bltfs *fs, struct inode *dir, int64_t mtime);

/* Whether the walk of the names has ended, as it does once. */
bool dir_is_complete(struct bltfs *fs);

/* ---- for rename, which holds names itself ---- */

/* The directory's entry at name goes in this batch; adds what keeps the
 * directory in being. */
int dir_keep(struct bltfs *fs, struct blt_batch *batch, struct inode *dir);
/* 1 where nothing is in the directory, stored or fresh, else 0. */
int dir_is_empty(struct bltfs *fs, const void *prefix, size_t len);
/* A name in it came or went. */
void dir_changed(struct inode *dir);
/* With the directory of that name the key beside it has another name. */
void dir_notify_pair(struct bltfs *fs, struct inode *dir, const char *name);
/* The same behind the going of a directory, where there is such a key. */
void dir_notify_left(struct bltfs *fs, struct inode *dir, const char *name,
		     const void *prefix, size_t len);
/* names is held: blt_ns_key, with a message where only text can be a key. */
int dir_new_key(struct bltfs *fs, struct inode *dir, const char *name,
		enum blt_kind kind, uint8_t **ret_key, size_t *ret_len);
/* blt_stat_key of a file: a marker is none. */
int dir_stat_file(struct bltfs *fs, const void *key, size_t len,
		  struct blt_stat *ret);
/* names is held: the inode that a name stands for, fresh or stored; *ret_inode
 * NULL where none is known.  The caller frees ret->key. */
int dir_resolve(struct bltfs *fs, struct inode *dir, const char *name,
		struct blt_node *ret, struct inode **ret_inode);

/* ---- listing ---- */

/* One open directory, in fuse_file_info's fh. */
struct dir_handle;

int dir_open(struct bltfs *fs, struct inode *dir, struct dir_handle **ret);
void dir_close(struct bltfs *fs, struct dir_handle *h);
/* Whether the kernel may keep what this handle lists. */
bool dir_cacheable(struct dir_handle *h);
/* Whether it may use what it kept of earlier ones. */
bool dir_keeps(struct dir_handle *h);

struct dir_entry {
	const char *name;    /* as long as its listing */
	uint64_t offset;     /* the listing goes on behind here */
	struct stat st;      /* st_ino and the type at least */
	struct inode *inode; /* a reference, where asked for; not "." and
			      * ".." */
};

struct dir_listing {
	struct dir_entry *entry;
	size_t n;
	char *bytes; /* the names */
};

/* Up to budget bytes of entries behind offset, where one costs cost(name_len).
 * dir_free_listing puts the references from which on. */
int dir_list(struct bltfs *fs, struct dir_handle *h, uint64_t offset,
	     size_t budget, size_t (*cost)(size_t name_len), bool inodes,
	     struct dir_listing *ret);
void dir_free_listing(struct bltfs *fs, struct dir_listing *l, size_t from);

/* What stat(2) shows of an inode.
 *
 * The caller holds names shared (inode.h).
 */

/* 0, -ENOENT, -ESTALE, ...  known: what a lookup or listing just found in the
 * store, or NULL: then the store is asked. */
int attr_get(struct bltfs *fs, struct inode *inode,
	     const struct blt_stat *known, struct stat *ret);

/* Rename(2).
 *
 * One batch moves all keys, so others see everything moved or nothing.  Open
 * files follow; what is replaced lives on for those who have it open.
 */

/* flags: those of renameat2(2).  No lock is held by the caller. */
int move_name(struct bltfs *fs, struct inode *from_dir, const char *from,
	      struct inode *to_dir, const char *to, unsigned flags);

#endif
