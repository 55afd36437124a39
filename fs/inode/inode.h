/* inode.h - the inodes that the kernel knows, and the locks of the filesystem.
 *
 * An inode stands for a key or for a directory's prefix from the first lookup
 * until the kernel forgets it.  Its address is the node ID that the kernel
 * uses; its inode number, which users see, comes from the key's hash, and stays
 * when the key changes (rename) or goes (unlink).
 *
 * An inode lives as long as it has references: one for each lookup that the
 * kernel has not forgotten, for each open handle, for a directory that is held
 * in memory, and for each pointer that inodes_find or inodes_get returned.
 *
 * A fresh inode is a file that was created and is not in the store yet.  Only
 * the table knows it: lookups and listings ask here too.
 *
 * Locks, in the order in which they are taken:
 *
 *   1. names (struct bltfs)  a reader-writer lock.  Shared: inode->key stays as
 *      it is, so every operation that goes from an inode to the store holds it.
 *      Exclusive: rename.  Nobody who holds it waits for the tree's walk.
 *   2. inode->lock           what the struct says, of one inode.  Two of them
 *      are never held at once, and none by who holds names exclusively: then
 *      nobody else can be inside.
 *   3. the locks inside the store and the namespace.  Neither calls back with
 *      one held, but for blt_source (reads a buffer whose inode is locked) and
 *      list callbacks (copy and return).
 *   4. the table's lock      references, chains, fresh names.  A leaf.
 *
 * None is held while a message to the kernel is sent, except the one that
 * queues invalidations (notify_queue.h), which is a leaf too.
 */
#ifndef FS_INODE_H
#define FS_INODE_H

#include "blt.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bltfs;
struct write_buffer;
struct inodes;

#define INODE_ROOT 1 /* the root's node ID, and its inode number */

/* One open file or directory, the first member of struct handle and struct
 * dir_handle: so that the end of the mount finds what is still open. */
struct inode_open {
	struct inode_open *next, **at;
};

enum inode_link { LINK_UNKNOWN, LINK_NO, LINK_YES };

struct inode {
	/* names: changed by inodes_rekey alone */
	enum blt_kind kind;
	uint8_t *key; /* or a directory's prefix */
	size_t key_len;
	size_t dir_len; /* so much of it is the prefix of the
			 * directory it is in */
	uint64_t hash;
	/* fixed */
	uint64_t ino;
	struct bltfs *fs; /* whose it is: the mount's, or a transaction's */
	/* lock */
	pthread_mutex_t lock;
	struct write_buffer *buffer; /* NULL: nothing was written */
	struct blt_view view; /* of a file that is gone, while has_view */
	bool has_view;
	bool gone;             /* no key any more: unlinked, replaced */
	int lost;              /* 0, or why what was put last may be lost */
	struct blt_attrs last; /* of one that is gone (rights.h) */
	enum inode_link link;  /* shown as a symbolic link? */
	struct inode_open *opens;
	unsigned nopen;  /* of a file */
	int64_t changed; /* of a directory: when a name in it changed,
			  * or 0; microseconds */
	uint64_t listed; /* of a directory: 1 + moves (struct bltfs) when the
			  * kernel began to keep its listing, or 0 */
	_Atomic uint64_t kept; /* cache_validity.c's */
	/* the table's lock */
	uint64_t refs;
	char *fresh_name; /* NULL: not fresh */
	struct inode *next_fresh, *prev_fresh;
	struct inode *next_by_key, *next_by_ino, *next_by_fresh;
	bool indexed; /* found by its key */
	bool held;
};

/* The inodes of fs.  salt 0: those of the mount, whose root is INODE_ROOT and
 * always there; else the numbers are others, so that a key has one here and
 * another there, and the root has references as all inodes have. */
int inodes_new(struct bltfs *fs, uint64_t salt, struct inodes **ret);
/* Frees all inodes, referenced or not; their buffers and views too. */
void inodes_free(struct inodes *t); /* NULL is fine */

struct inode *inodes_root(struct inodes *t);

/* From the kernel's number, which is valid while the kernel holds it. */
struct inode *inodes_of(struct inodes *t, uint64_t number);
uint64_t inode_nodeid(const struct inode *inode);

/* Each returns a reference; inodes_find NULL where there is none.  hash is that
 * of struct blt_node. */
struct inode *inodes_find(struct inodes *t, enum blt_kind kind, const void *key,
			  size_t len, uint64_t hash);
int inodes_get(struct inodes *t, enum blt_kind kind, const void *key,
	       size_t len, size_t dir_len, uint64_t hash, struct inode **ret);
/* The directory that the kernel knows by its prefix, with a reference. */
struct inode *inodes_find_dir(struct inodes *t, const void *prefix, size_t len);
void inodes_ref(struct inodes *t, struct inode *inode);
void inodes_put(struct inodes *t, struct inode *inode, uint64_t n);

/* The inode number that a key's inode has, or would get. */
uint64_t inodes_ino(struct inodes *t, enum blt_kind kind, const void *key,
		    size_t len, uint64_t hash);

/* A new file that is not stored, under that name.  Again: the name changes. */
int inodes_set_fresh(struct inodes *t, struct inode *inode, const char *name);
void inodes_clear_fresh(struct inodes *t, struct inode *inode);
bool inodes_is_fresh(struct inodes *t, struct inode *inode);

/* The fresh file of that name in a directory, with a reference; or NULL. */
struct inode *inodes_find_fresh(struct inodes *t, const void *dir, size_t len,
				const char *name);
bool inodes_has_fresh(struct inodes *t, const void *dir, size_t len,
		      const char *name);

/* Calls fn for the fresh files in a directory, with the table's lock held. */
typedef int inodes_fresh_fn(void *arg, const struct inode *inode);
int inodes_each_fresh(struct inodes *t, const void *dir, size_t len,
		      inodes_fresh_fn *fn, void *arg);

/* A directory that exists in memory alone stays. */
void inodes_hold(struct inodes *t, struct inode *inode, bool held);

/* No longer found by its key. */
void inodes_unindex(struct inodes *t, struct inode *inode);

/* Gives an inode another key; names exclusive.  One that has the key already is
 * unindexed.  -ENOMEM changes nothing. */
int inodes_rekey(struct inodes *t, struct inode *inode, const void *key,
		 size_t len, size_t dir_len, uint64_t hash);

/* The inode's list of what is open; these take its lock. */
void inode_add_open(struct inode *inode, struct inode_open *open);
void inode_remove_open(struct inode *inode, struct inode_open *open);

/* How many the kernel, or we, know. */
size_t inodes_count(struct inodes *t);
/* Whether that is the root alone, and nobody has a reference to it. */
bool inodes_idle(struct inodes *t);

/* All inodes at the time of the call, with a reference each: malloc'd, n in
 * *ret_n.  The caller puts the references and frees the list. */
int inodes_all(struct inodes *t, struct inode ***ret, size_t *ret_n);

#endif
