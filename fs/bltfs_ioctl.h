/* bltfs_ioctl.h - asking a mounted store's daemon to do things.
 *
 *   int fd = open("/mnt/kv", O_RDONLY | O_DIRECTORY);
 *   struct bltfs_reindex r = { .buckets = 0 };
 *   struct bltfs_job_info info;
 *
 *   ioctl(fd, BLTFS_IOC_REINDEX, &r);            returns at once
 *   info.job = r.job;
 *   ioctl(fd, BLTFS_IOC_JOB, &info);             how far it is
 *
 * On the root directory of a mount, or on the file "control" in its control
 * directory (those of keys and sequences on the file or directory itself);
 * bltfs-control(7) describes each.  Only the user that the daemon
 * runs as may: EACCES.  ENOTTY: no such mount, or one with -o control=none.
 *
 * All structs have the same layout for 32 and 64 bits.  Fields named reserved
 * must be zeros (EINVAL).  Times are microseconds since the Unix epoch.
 */
#ifndef BLTFS_IOCTL_H
#define BLTFS_IOCTL_H

#include <stdint.h>
#include <sys/ioctl.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BLTFS_PATH_MAX 4096
#define BLTFS_TEXT_MAX 512
#define BLTFS_PIECE_MAX 8192

/* Every request that starts a job gives back its number. */
struct bltfs_job {
	uint64_t job; /* out; in for CANCEL */
};

struct bltfs_reindex {
	uint64_t job;     /* out */
	uint32_t buckets; /* 0: the next size */
	uint32_t reserved;
};

struct bltfs_prune {
	uint64_t job;       /* out */
	int64_t older_than; /* keys with an earlier time go; 0: none */
	uint64_t args;      /* the keys that stay nevertheless: pieces, in which
			     * each is its length in 4 bytes, little-endian,
			     * and its bytes.  0: none */
};

/* What would be too long for one struct, piece by piece, for the request that
 * follows. */
struct bltfs_piece {
	uint64_t args; /* 0 in the first; out: the number for the others */
	uint32_t len;
	uint32_t reserved;
	uint8_t bytes[BLTFS_PIECE_MAX];
};

struct bltfs_map {
	uint64_t job;  /* out */
	uint64_t args; /* what is to be done, as blt(1) of the same version
			* writes it */
};

#define BLTFS_TRANSPORT_DEVICE 0u
#define BLTFS_TRANSPORT_IO_URING 1u

/* The store, as the daemon has it, and how that takes requests. */
struct bltfs_store {
	uint64_t keys;
	uint64_t file_size;
	uint32_t version;
	uint32_t buckets;
	uint32_t value_len; /* 0: any */
	uint32_t key_serializer, value_serializer;
	uint32_t timestamps;                /* 1: they are kept */
	uint64_t index_offset, data_offset; /* in the file */
	int64_t created, modified;          /* times */
	uint8_t uuid[16];
	uint32_t transport; /* BLTFS_TRANSPORT_* */
	uint32_t reserved;
	char path[BLTFS_PATH_MAX];
};

/* The key of an open file in the mount, in pieces; on the file itself. */
struct bltfs_key {
	uint64_t offset;   /* in: from there on */
	uint64_t key_len;  /* out: of all of it */
	uint64_t size;     /* of the value */
	int64_t timestamp; /* -1: the store keeps none */
	uint32_t len;      /* of bytes */
	uint32_t reserved;
	uint8_t bytes[BLTFS_PIECE_MAX];
};

#define BLTFS_COPY_REPLACE 1u       /* what stands at path */
#define BLTFS_COPY_VALUE_LEN 2u     /* value_len counts; else as in the store */
#define BLTFS_COPY_TIMESTAMPS 4u    /* keep times from now on */
#define BLTFS_COPY_NO_TIMESTAMPS 8u /* leave them out */
#define BLTFS_COPY_BOOKLET 16u      /* of that engine, not of the store's */
#define BLTFS_COPY_LMDB 32u

struct bltfs_copy {
	uint64_t job;       /* out */
	uint32_t flags;     /* BLTFS_COPY_... */
	uint32_t buckets;   /* 0: what fits */
	uint32_t value_len; /* 0: any */
	uint32_t reserved;
	char path[BLTFS_PATH_MAX]; /* absolute; ends in a NUL */
};

enum bltfs_job_state {
	BLTFS_JOB_QUEUED,
	BLTFS_JOB_RUNNING,
	BLTFS_JOB_DONE,
	BLTFS_JOB_FAILED,
	BLTFS_JOB_CANCELLED,
};

struct bltfs_job_info {
	uint64_t job;    /* in and out */
	uint32_t state;  /* enum bltfs_job_state */
	int32_t error;   /* an errno, where it failed */
	uint64_t items;  /* keys so far */
	uint64_t done;   /* bytes; of a map keys */
	uint64_t total;  /* of how many; 0: not known */
	uint64_t errors; /* items that failed */
	uint64_t rate;   /* of done a second; of items where done is 0 */
	int64_t left;    /* microseconds, estimated; -1: not known */
	int64_t queued, started, ended; /* times; 0: not yet */
	uint64_t fact[4]; /* what the kind counts: bltfs-control(7) */
	char kind[16];
	char text[BLTFS_TEXT_MAX]; /* what came of it, or why it failed */
};

/* One line on an item that failed. */
struct bltfs_job_error {
	uint64_t job;               /* in */
	uint64_t index;             /* in; from 0.  ENODATA: behind the last */
	uint64_t key_len;           /* out; the key is so much of the text, */
	char text[BLTFS_PIECE_MAX]; /* out; then ": " and the reason */
};

/* A transaction.  Its directory is "txn/" and its name in the control
 * directory.
 */
#define BLTFS_TXN_FORCE 1u /* of COMMIT: whatever others have changed */

struct bltfs_txn {
	char name[256]; /* ends in a NUL.  BEGIN: out where it was empty.  NEXT:
			 * in and out */
	uint32_t flags; /* BLTFS_TXN_... */
	uint32_t reserved;
	int64_t began; /* these four are out, of NEXT: a time, */
	uint64_t changed, seen, conflicts; /* and numbers of keys */
};

/* A key that kept it from being committed. */
struct bltfs_txn_key {
	char name[256];             /* in: of the transaction */
	uint64_t index;             /* in; from 0.  ENODATA: behind the last */
	char path[BLTFS_PIECE_MAX]; /* out: of the key; cut where it is longer
				     */
};

/* A directory as a sequence of items (blt(1), seq); on an open directory of the
 * mount.  Positions count from 0, or as negative numbers from the end.
 *
 * An item is its number of fields (UINT32_MAX: a value, as one field), and of
 * each its name and its value, each as its length and its bytes; numbers are 4
 * bytes, little-endian.  An answer that is longer than bytes goes on in args:
 * see BLTFS_IOC_FETCH.
 *
 * ENOENT: it is no sequence; ERANGE: no such position; ENOTDIR: UPDATE of a
 * value; E2BIG: more than 64 MiB: use the item's files; ESTALE: pieces that
 * others have pushed out, nothing is done.
 */
enum bltfs_seq_verb {
	BLTFS_SEQ_CREATE, /* makes the directory a sequence */
	BLTFS_SEQ_LEN,    /* n: the number of items */
	BLTFS_SEQ_READ,   /* the item at from */
	BLTFS_SEQ_SLICE,  /* items from from on (or behind the one whose length
			   * of name, name, and kind, 1: a record, stand in
			   * bytes), n at most: some of them, each behind its
			   * name and that one's length, and their number */
	BLTFS_SEQ_INSERT, /* items in front of from */
	BLTFS_SEQ_APPEND,
	BLTFS_SEQ_DELETE, /* from up to to, which is left out */
	BLTFS_SEQ_MOVE,   /* from to to */
	BLTFS_SEQ_SET,    /* from becomes the item */
	BLTFS_SEQ_UPDATE, /* fields of from */
};

struct bltfs_seq {
	uint64_t args; /* in: pieces, which bytes go on from; out: 0, or an
			* answer goes on there */
	uint32_t verb; /* enum bltfs_seq_verb */
	uint32_t len;  /* in and out: of bytes */
	int64_t from, to;
	uint64_t n; /* in and out */
	uint8_t bytes[BLTFS_PIECE_MAX];
};

/* The control directory's name. */
struct bltfs_name {
	char name[256];
};

#define BLTFS_IOC_MAGIC 0xb7

#define BLTFS_IOC_NAME _IOR(BLTFS_IOC_MAGIC, 0, struct bltfs_name)
/* What was closed is durable when it returns. */
#define BLTFS_IOC_SYNC _IO(BLTFS_IOC_MAGIC, 1)
/* Start a job. */
#define BLTFS_IOC_REINDEX _IOWR(BLTFS_IOC_MAGIC, 2, struct bltfs_reindex)
#define BLTFS_IOC_COPY _IOWR(BLTFS_IOC_MAGIC, 3, struct bltfs_copy)
#define BLTFS_IOC_CLEAR _IOWR(BLTFS_IOC_MAGIC, 4, struct bltfs_job)
#define BLTFS_IOC_COUNT _IOWR(BLTFS_IOC_MAGIC, 5, struct bltfs_job)
#define BLTFS_IOC_PRUNE _IOWR(BLTFS_IOC_MAGIC, 6, struct bltfs_prune)
#define BLTFS_IOC_TRIM _IOWR(BLTFS_IOC_MAGIC, 7, struct bltfs_job)
#define BLTFS_IOC_MAP _IOWR(BLTFS_IOC_MAGIC, 8, struct bltfs_map)
#define BLTFS_IOC_PIECE _IOWR(BLTFS_IOC_MAGIC, 9, struct bltfs_piece)
#define BLTFS_IOC_STORE _IOR(BLTFS_IOC_MAGIC, 10, struct bltfs_store)
#define BLTFS_IOC_KEY _IOWR(BLTFS_IOC_MAGIC, 11, struct bltfs_key)
#define BLTFS_IOC_SEQ _IOWR(BLTFS_IOC_MAGIC, 12, struct bltfs_seq)
/* The next piece of an answer.  args is 0 where it was the last. */
#define BLTFS_IOC_FETCH _IOWR(BLTFS_IOC_MAGIC, 13, struct bltfs_piece)
/* Transactions: ENOENT where there is none of that name.  COMMIT is EAGAIN
 * where others have changed what it has read; NEXT gives the first whose name
 * comes behind that. */
#define BLTFS_IOC_TXN_BEGIN _IOWR(BLTFS_IOC_MAGIC, 24, struct bltfs_txn)
#define BLTFS_IOC_TXN_COMMIT _IOWR(BLTFS_IOC_MAGIC, 25, struct bltfs_txn)
#define BLTFS_IOC_TXN_ABORT _IOWR(BLTFS_IOC_MAGIC, 26, struct bltfs_txn)
#define BLTFS_IOC_TXN_NEXT _IOWR(BLTFS_IOC_MAGIC, 27, struct bltfs_txn)
#define BLTFS_IOC_TXN_KEY _IOWR(BLTFS_IOC_MAGIC, 28, struct bltfs_txn_key)
/* About jobs: that one; the first with a higher number (ESRCH: none is left);
 * a line on a failed item; stop it. */
#define BLTFS_IOC_JOB _IOWR(BLTFS_IOC_MAGIC, 16, struct bltfs_job_info)
#define BLTFS_IOC_NEXT_JOB _IOWR(BLTFS_IOC_MAGIC, 17, struct bltfs_job_info)
#define BLTFS_IOC_JOB_ERROR _IOWR(BLTFS_IOC_MAGIC, 18, struct bltfs_job_error)
#define BLTFS_IOC_CANCEL _IOWR(BLTFS_IOC_MAGIC, 19, struct bltfs_job)
/* How far the maps with a name are: args is an answer to be fetched. */
#define BLTFS_IOC_LEDGER _IOWR(BLTFS_IOC_MAGIC, 20, struct bltfs_map)
/* The job is cancelled when this open directory, the root, is closed, as it is
 * where its process dies. */
#define BLTFS_IOC_ATTEND _IOWR(BLTFS_IOC_MAGIC, 21, struct bltfs_job)

#ifdef __cplusplus
}
#endif

#endif
