/* mapping.h - keys that become other keys, in the store and in the inodes.
 *
 * A rename is one mapping, of a file's key or of all that begins with a
 * directory's prefix; an exchange is two.  The caller holds names exclusively:
 * mapping_apply changes the store in one batch, mapping_rekey the inodes after.
 * Keys are borrowed from the caller.  Results are 0 or -errno.
 */
#ifndef FS_MAPPING_H
#define FS_MAPPING_H

#include "main/bltfs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A directory of more than this is -EXDEV: mv(1) then copies. */
#define MAPPING_MAX_KEYS 100000
#define MAPPING_MAX_BYTES (UINT64_C(1) << 30)

struct mapping {
	enum blt_kind kind;
	const uint8_t *from, *to; /* keys, or prefixes */
	size_t from_len, to_len;
	size_t to_dir_len;
};

/* Whether it changes that key, or prefix. */
bool mapping_covers(const struct mapping *m, enum blt_kind kind,
		    const uint8_t *key, size_t len);

/* All n of them, or nothing.  An entry leaves the directory left for entered:
 * left is then kept in being.  Next is syncer_done. */
int mapping_apply(struct bltfs *fs, const struct mapping *m, size_t n,
		  struct inode *left, struct inode *entered);

/* The records of directories, which do not go with a key (rights.h): behind a
 * rename, and behind an exchange. */
void mapping_move_rights(struct bltfs *fs, const struct mapping *m);
void mapping_exchange_rights(struct bltfs *fs, const struct mapping m[2]);

/* One inode that is covered; and all there are. */
int mapping_rekey(struct bltfs *fs, struct inode *inode,
		  const struct mapping *m);
void mapping_rekey_all(struct bltfs *fs, const struct mapping *m, size_t n_m);

#endif
