/* seq_positions.h - the items of a sequence by their positions: the directory
 * .at in it, whose names are numbers, and each of these a symbolic link to the
 * item that is there now.
 *
 * The directory's inode is made of its sequence's inode, which it holds a
 * reference to for each lookup.  A link is made anew by each lookup, with its
 * target, and goes when the kernel forgets it: the kernel keeps what it has
 * read of a link, and positions move.  So neither name is kept by the kernel.
 *
 * Inodes here are also such as control_owns() is true for: what is not asked of
 * this module is refused there.
 *
 * Results are 0 or -errno.  Any thread, no lock held.
 */
#ifndef FS_SEQ_POSITIONS_H
#define FS_SEQ_POSITIONS_H

#include "main/bltfs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct seq_positions;

int seq_positions_new(struct seq_positions **ret);
void seq_positions_free(struct seq_positions *at); /* NULL is fine */

bool seq_positions_owns(uint64_t ino);

/* Whether the name in that directory, which is no inode of ours or of the
 * control directory's, is that of the positions. */
bool seq_positions_is_name(struct bltfs *fs, uint64_t dir, const char *name);

/* Each takes a reference, for seq_positions_forget: the positions of the
 * sequence dir; the link of that name in them.  ret->st_ino is the number that
 * the kernel is to use. */
int seq_positions_lookup(struct bltfs *fs, uint64_t dir, struct stat *ret);
int seq_positions_lookup_link(struct bltfs *fs, uint64_t at, const char *name,
			      struct stat *ret);
void seq_positions_forget(struct bltfs *fs, uint64_t ino, uint64_t n);

int seq_positions_stat(struct bltfs *fs, uint64_t ino, struct stat *ret);

/* A link's target. */
#define SEQ_POSITIONS_TARGET (3 + 256) /* ../NAME and its NUL */
int seq_positions_readlink(uint64_t ino, char ret[SEQ_POSITIONS_TARGET]);

/* How many positions there are. */
int seq_positions_count(struct bltfs *fs, uint64_t at, uint64_t *ret);

#endif
