/* uring_abi.h - what the kernel and a FUSE server say to each other over
 * io_uring: names and values of include/uapi/linux/fuse.h of Linux 6.14, for
 * headers that are older.  Other definitions of that file come from the
 * system's own <linux/fuse.h>.
 */
#ifndef FS_URING_ABI_H
#define FS_URING_ABI_H

#include <linux/fuse.h>
#include <stdint.h>

#ifndef FUSE_OVER_IO_URING

/* In the flags of INIT, of which the upper 32 are flags2. */
#define FUSE_OVER_IO_URING (1ULL << 41)

#define FUSE_URING_IN_OUT_HEADER_SZ 128
#define FUSE_URING_OP_IN_OUT_SZ 128

struct fuse_uring_ent_in_out {
	uint64_t flags;
	uint64_t commit_id; /* the request, for COMMIT_AND_FETCH */
	uint32_t payload_sz;
	uint32_t padding;
	uint64_t reserved;
};

struct fuse_uring_req_header {
	/* struct fuse_in_header, then struct fuse_out_header */
	char in_out[FUSE_URING_IN_OUT_HEADER_SZ];
	char op_in[FUSE_URING_OP_IN_OUT_SZ];
	struct fuse_uring_ent_in_out ring_ent_in_out;
};

enum fuse_uring_cmd {
	FUSE_IO_URING_CMD_INVALID = 0,
	/* The entry's memory, as two iovecs; the first request completes it. */
	FUSE_IO_URING_CMD_REGISTER = 1,
	/* The reply in the entry; the next request completes it. */
	FUSE_IO_URING_CMD_COMMIT_AND_FETCH = 2,
};

/* Where a submission entry of 128 bytes has room for a command. */
struct fuse_uring_cmd_req {
	uint64_t flags;
	uint64_t commit_id;
	uint16_t qid; /* the processor's number */
	uint8_t padding[6];
};

#endif

#endif
