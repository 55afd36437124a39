/* control_txn.h - the ioctls of transactions.
 *
 * Rows of the table of commands (control_command.c): arg is the ioctl's struct.
 * 0 or -errno; any thread.
 */
#ifndef FS_CONTROL_TXN_H
#define FS_CONTROL_TXN_H

#include "main/bltfs.h"

int control_txn_begin(struct bltfs *fs, void *arg);    /* bltfs_txn */
int control_txn_commit(struct bltfs *fs, void *arg);   /* bltfs_txn */
int control_txn_abort(struct bltfs *fs, void *arg);    /* bltfs_txn */
int control_txn_next(struct bltfs *fs, void *arg);     /* bltfs_txn */
int control_txn_conflict(struct bltfs *fs, void *arg); /* _txn_key */

#endif
