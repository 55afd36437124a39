/* node.h - the inodes that the kernel knows, and the locks of the filesystem.
 *
 * A node stands for a key or for a directory's prefix from the first lookup
 * until the kernel forgets it.  Its address is the node number that the kernel
 * uses; its inode number, which users see, comes from the key's hash, and stays
 * when the key changes (rename) or goes (unlink).
 *
 * A node lives as long as it has references: one for each lookup that the
 * kernel has not forgotten, for each open handle, for a directory that is held
 * in memory, and for each pointer that nodes_find or nodes_get returned.
 *
 * A fresh node is a file that was created and is not in the store yet.  Only
 * the table knows it: lookups and listings ask here too.
 *
 * Locks, in the order in which they are taken:
 *
 *   1. names (struct bltfs)  a reader-writer lock.  Shared: node->key stays as
 *      it is, so every operation that goes from a node to the store holds it.
 *      Exclusive: rename.  Nobody who holds it waits for the tree's walk.
 *   2. node->lock            what the struct says, of one node.  Two of them
 *      are never held at once, and none by who holds names exclusively: then
 *      nobody else can be inside.
 *   3. the locks inside the store and the namespace.  Neither calls back with
 *      one held, but for blt_source (reads a stage whose node is locked) and
 *      list callbacks (copy and return).
 *   4. the table's lock      references, chains, fresh names.  A leaf.
 *
 * None is held while a message to the kernel is sent, except the one that
 * queues invalidations (notify.h), which is a leaf too.
 */
#ifndef FS_NODE_H
#define FS_NODE_H

#include "blt.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bltfs;
struct stage;
struct nodes;

#define NODE_ROOT 1 /* the root's node number, and its inode number */

/* One open file or directory, the first member of struct handle and struct
 * dir_handle: so that the end of the mount finds what is still open. */
struct node_open {
	struct node_open *next, **at;
};

enum node_link { LINK_UNKNOWN, LINK_NO, LINK_YES };

struct node {
	/* names: changed by nodes_rekey alone */
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
	struct stage *stage;  /* NULL: nothing was written */
	struct blt_view view; /* of a file that is gone, while has_view */
	bool has_view;
	bool gone;           /* no key any more: unlinked, replaced */
	int lost;            /* 0, or why what was put last may be lost */
	enum node_link link; /* shown as a symbolic link? */
	struct node_open *opens;
	unsigned nopen;  /* of a file */
	int64_t changed; /* of a directory: when a name in it changed,
			  * or 0; microseconds */
	uint64_t listed; /* of a directory: 1 + moves (struct bltfs) when the
			  * kernel began to keep its listing, or 0 */
	_Atomic uint64_t kept; /* beside.c's */
	/* the table's lock */
	uint64_t refs;
	char *fresh_name; /* NULL: not fresh */
	struct node *next_fresh, *prev_fresh;
	struct node *next_by_key, *next_by_ino;
	bool indexed; /* found by its key */
	bool held;
};

/* The nodes of fs.  salt 0: those of the mount, whose root is NODE_ROOT and
 * always there; else the numbers are others, so that a key has one here and
 * another there, and the root has references as all nodes have. */
int nodes_new(struct bltfs *fs, uint64_t salt, struct nodes **ret);
/* Frees all nodes, referenced or not; their stages and views too. */
void nodes_free(struct nodes *t); /* NULL is fine */

struct node *nodes_root(struct nodes *t);

/* From the kernel's number, which is valid while the kernel holds it. */
struct node *nodes_of(struct nodes *t, uint64_t number);
uint64_t node_number(const struct node *node);

/* Each returns a reference; nodes_find NULL where there is none.  hash is that
 * of struct blt_node. */
struct node *nodes_find(struct nodes *t, enum blt_kind kind, const void *key,
			size_t len, uint64_t hash);
int nodes_get(struct nodes *t, enum blt_kind kind, const void *key, size_t len,
	      size_t dir_len, uint64_t hash, struct node **ret);
/* The directory that the kernel knows by its prefix, with a reference. */
struct node *nodes_find_dir(struct nodes *t, const void *prefix, size_t len);
void nodes_ref(struct nodes *t, struct node *node);
void nodes_put(struct nodes *t, struct node *node, uint64_t n);

/* The inode number that a key's node has, or would get. */
uint64_t nodes_ino(struct nodes *t, enum blt_kind kind, const void *key,
		   size_t len, uint64_t hash);

/* A new file that is not stored, under that name.  Again: the name changes. */
int nodes_set_fresh(struct nodes *t, struct node *node, const char *name);
void nodes_clear_fresh(struct nodes *t, struct node *node);
bool nodes_is_fresh(struct nodes *t, struct node *node);

/* The fresh file of that name in a directory, with a reference; or NULL. */
struct node *nodes_find_fresh(struct nodes *t, const void *dir, size_t len,
			      const char *name);
bool nodes_has_fresh(struct nodes *t, const void *dir, size_t len,
		     const char *name);

/* Calls fn for the fresh files in a directory, with the table's lock held. */
typedef int nodes_fresh_fn(void *arg, const struct node *node);
int nodes_each_fresh(struct nodes *t, const void *dir, size_t len,
		     nodes_fresh_fn *fn, void *arg);

/* A directory that exists in memory alone stays. */
void nodes_hold(struct nodes *t, struct node *node, bool held);

/* No longer found by its key. */
void nodes_unindex(struct nodes *t, struct node *node);

/* Gives a node another key; names exclusive.  One that has the key already is
 * unindexed.  -ENOMEM changes nothing. */
int nodes_rekey(struct nodes *t, struct node *node, const void *key, size_t len,
		size_t dir_len, uint64_t hash);

/* The node's list of what is open; these take its lock. */
void node_add_open(struct node *node, struct node_open *open);
void node_remove_open(struct node *node, struct node_open *open);

/* How many the kernel, or we, know. */
size_t nodes_count(struct nodes *t);
/* Whether that is the root alone, and nobody has a reference to it. */
bool nodes_idle(struct nodes *t);

/* All nodes at the time of the call, with a reference each: malloc'd, n in
 * *ret_n.  The caller puts the references and frees the list. */
int nodes_all(struct nodes *t, struct node ***ret, size_t *ret_n);

#endif
