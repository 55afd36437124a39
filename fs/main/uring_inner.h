/* uring_inner.h - what the files of the io_uring transport share; uring.h has
 * the protocol.
 *
 *   uring.c       the whole: INIT, start, end, replies
 *   uring_ring.c  one thread with its ring
 *   uring_slow.c  threads for requests that take long
 */
#ifndef FS_URING_INNER_H
#define FS_URING_INNER_H

#include "main/uring.h"
#include "main/uring_abi.h"

#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>

#define URING_ENTRIES 48  /* of a ring at most, besides its first ones */
#define URING_SLOW_MAX 16 /* threads */
#define URING_PER_CPU 2   /* rings */
#define URING_PAGE 4096
/* So much memory for payloads is reasonable; it is touched only by long
 * requests and replies. */
#define URING_MEMORY_MAX ((size_t)1 << 30)

enum uring_state {
	URING_FETCHING,
	URING_SERVED,
	URING_REPLIED,
};

struct uring_entry {
	struct uring_ring *ring;
	uint16_t qid;
	_Atomic(enum uring_state) state;
	_Atomic uint64_t unique; /* awaits the reply of this; 0: of none */
	uint64_t commit_id;      /* the ring's thread's */
	struct fuse_uring_req_header *header;
	/* page-aligned; the request's headers are put right in front of it */
	char *payload;
	char *message; /* these, and how long all of the request is */
	size_t message_len;
	struct iovec iov[2];      /* header and payload, for REGISTER */
	struct uring_entry *next; /* slow.lock */
};

/* The thread's own, but for what says otherwise. */
struct uring_ring {
	struct uring *u;
	struct io_uring io;
	pthread_t thread;
	int cpu; /* -1: not pinned */
	uint16_t first_qid, n_qids;
	int event; /* eventfd: a reply from elsewhere, or a new phase */
	uint64_t event_count;
	size_t max_entries;
	_Atomic size_t n_entries; /* any thread reads, and entry[] below it */
	struct uring_entry **entry;
	bool ended;   /* the connection is */
	bool drained; /* has told so */
};

enum uring_phase {
	URING_MAKE,
	URING_REGISTER,
	URING_RUN,
	URING_DRAIN,
	URING_STOP,
};

struct uring_slow {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct uring_entry *head, **tail; /* lock */
	unsigned n_threads, n_idle;       /* lock */
	bool stop;                        /* lock */
	pthread_t thread[URING_SLOW_MAX];
};

struct uring {
	struct fuse_session *se;
	struct uring_config config;
	bool offered; /* by the kernel's INIT */
	size_t payload_len;
	size_t n_rings;
	struct uring_ring *ring;
	size_t n_started; /* threads */
	atomic_bool running;
	_Atomic int error;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	_Atomic(enum uring_phase) phase; /* changed with lock held */
	size_t n_done;                   /* lock; threads with this phase */
	int failed;                      /* lock; the first error of one */
	struct uring_slow slow;
	char why[256];
};

/* ---- uring_ring.c ---- */

/* What a ring's thread runs; arg: the ring. */
void *uring_ring_run(void *arg);
/* Wakes its thread.  Any thread. */
void uring_ring_wake(struct uring_ring *r);
void uring_ring_free(struct uring_ring *r);
/* Makes the kernel go back to the device. */
void uring_ring_way_back(struct uring *u);

/* Handles the entry's request in this thread. */
void uring_entry_handle(struct uring_entry *e);
/* Fills it. */
void uring_entry_reply(struct uring_entry *e, const struct iovec *iov, int n);
/* The entry whose request this thread handles, or NULL. */
struct uring_entry *uring_entry_current(void);

/* ---- uring.c ---- */

/* A ring's thread has done, or failed, what the phase asks for. */
void uring_done(struct uring *u, int rc);
/* Waits for another phase than that. */
enum uring_phase uring_await(struct uring *u, enum uring_phase not );
/* Something failed that must not: the session ends. */
void uring_fail(struct uring *u, const char *what, int err);

/* ---- uring_slow.c ---- */

void uring_slow_init(struct uring_slow *s);
/* -errno where there is no thread for it. */
int uring_slow_add(struct uring_slow *s, struct uring_entry *e);
/* Ends when the last has been handled. */
void uring_slow_stop(struct uring_slow *s);
void uring_slow_release(struct uring_slow *s);

#endif
