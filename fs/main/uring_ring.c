#include "main/uring_inner.h"

#include "base/util.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define SUBMISSIONS 64

static _Thread_local struct uring_entry *current;

struct uring_entry *uring_entry_current(void)
{
	return current;
}

/* ---- entries ---- */

/* The header lies at the start of the page in front of the payload, what is put
 * together of a request at its end. */
static int add_entry(struct uring_ring *r, uint16_t qid,
		     struct uring_entry **ret)
{
	size_t n = atomic_load(&r->n_entries);
	size_t len = r->u->payload_len;
	struct uring_entry *e;
	char *memory;

	if (n == r->max_entries)
		return -ENOSPC;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	memory = mmap(NULL, URING_PAGE + len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		free(e);
		return -ENOMEM;
	}
	e->ring = r;
	e->qid = qid;
	e->header = (struct fuse_uring_req_header *)memory;
	e->payload = memory + URING_PAGE;
	e->iov[0] = (struct iovec){ memory, sizeof(*e->header) };
	e->iov[1] = (struct iovec){ e->payload, len };
	r->entry[n] = e;
	atomic_store(&r->n_entries, n + 1);
	*ret = e;
	return 0;
}

/* The request's parts, in a row.  The kernel does not say how long the
 * operation's own header is, but how long all of it is. */
static int put_together(struct uring_entry *e, struct fuse_in_header *in)
{
	size_t payload = e->header->ring_ent_in_out.payload_sz;
	size_t op;

	memcpy(in, e->header->in_out, sizeof(*in));
	e->commit_id = e->header->ring_ent_in_out.commit_id;
	if (in->len < sizeof(*in) || payload > e->iov[1].iov_len ||
	    payload > in->len - sizeof(*in))
		return -EPROTO;
	op = in->len - sizeof(*in) - payload;
	if (op > sizeof(e->header->op_in))
		return -EPROTO;
	e->message = e->payload - op - sizeof(*in);
	e->message_len = in->len;
	memcpy(e->message, in, sizeof(*in));
	memcpy(e->message + sizeof(*in), e->header->op_in, op);
	return 0;
}

void uring_entry_handle(struct uring_entry *e)
{
	struct fuse_buf buf = { .mem = e->message, .size = e->message_len };

	current = e;
	fuse_session_process_buf(e->ring->u->se, &buf);
	current = NULL;
}

void uring_entry_reply(struct uring_entry *e, const struct iovec *iov, int n)
{
	struct fuse_uring_ent_in_out *to = &e->header->ring_ent_in_out;
	struct fuse_out_header out;
	size_t used = 0;

	memcpy(&out, iov[0].iov_base, sizeof(out));
	for (int i = 1; i < n; i++) {
		char *at = e->payload + used;

		if (iov[i].iov_len > e->iov[1].iov_len - used) {
			out.error = -EIO;
			used = 0;
			break;
		}
		if (iov[i].iov_base != at)
			memmove(at, iov[i].iov_base, iov[i].iov_len);
		used += iov[i].iov_len;
	}
	out.len = (uint32_t)(sizeof(out) + used);
	memcpy(e->header->in_out, &out, sizeof(out));
	*to = (struct fuse_uring_ent_in_out){ .payload_sz = (uint32_t)used };
	atomic_store(&e->state, URING_REPLIED);
}

/* ---- commands; nothing is sent before the next submission ---- */

static struct io_uring_sqe *get_sqe(struct uring_ring *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->io);

	if (!sqe && io_uring_submit(&r->io) >= 0)
		sqe = io_uring_get_sqe(&r->io);
	if (!sqe)
		uring_fail(r->u, "no room for a command", -EBUSY);
	return sqe;
}

static void command(struct uring_ring *r, struct uring_entry *e, uint32_t op,
		    uint16_t qid)
{
	struct fuse_uring_cmd_req req = { .commit_id = e->commit_id,
					  .qid = qid };
	const bool registers = op == FUSE_IO_URING_CMD_REGISTER;
	struct io_uring_sqe *sqe = get_sqe(r);

	if (!sqe)
		return;
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fuse_session_fd(r->u->se),
			 registers ? e->iov : NULL, registers ? 2 : 0, 0);
	sqe->cmd_op = op;
	memcpy(sqe->cmd, &req, sizeof(req));
	io_uring_sqe_set_data(sqe, e);
	atomic_store(&e->state, URING_FETCHING);
}

static void commit(struct uring_ring *r, struct uring_entry *e)
{
	command(r, e, FUSE_IO_URING_CMD_COMMIT_AND_FETCH, e->qid);
}

static void listen_again(struct uring_ring *r)
{
	struct io_uring_sqe *sqe = get_sqe(r);

	if (!sqe)
		return;
	io_uring_prep_read(sqe, r->event, &r->event_count,
			   sizeof(r->event_count), 0);
	io_uring_sqe_set_data(sqe, r);
}

/* The queue keeps an entry to fetch with, while others are away. */
static void spare(struct uring_ring *r, uint16_t qid)
{
	struct uring_entry *e;

	if (atomic_load(&r->u->phase) != URING_RUN)
		return;
	for (size_t i = 0; i < atomic_load(&r->n_entries); i++) {
		e = r->entry[i];
		if (e->qid == qid && atomic_load(&e->state) == URING_FETCHING)
			return;
	}
	if (add_entry(r, qid, &e) == 0)
		command(r, e, FUSE_IO_URING_CMD_REGISTER, qid);
}

/* ---- completions ---- */

static bool is_slow(const struct uring *u, const struct fuse_in_header *in)
{
	return u->config.is_slow &&
	       u->config.is_slow(u->config.arg, in->opcode, in->nodeid);
}

static void refuse(struct uring_entry *e, int err)
{
	struct fuse_out_header out = { .unique = e->commit_id, .error = err };
	struct iovec iov = { &out, sizeof(out) };

	uring_entry_reply(e, &iov, 1);
}

/* A request that comes when no more are handled stays as it is. */
static void serve(struct uring_ring *r, struct uring_entry *e)
{
	struct uring *u = r->u;
	struct fuse_in_header in;

	atomic_store(&e->state, URING_SERVED);
	if (atomic_load(&u->phase) >= URING_DRAIN)
		return;
	if (put_together(e, &in) < 0) {
		refuse(e, -EIO);
	} else {
		atomic_store(&e->unique, in.unique);
		if (!is_slow(u, &in) || uring_slow_add(&u->slow, e) < 0)
			uring_entry_handle(e);
	}
	if (atomic_load(&e->state) == URING_REPLIED)
		commit(r, e);
	else
		spare(r, e->qid);
}

static bool is_connected(struct uring_ring *r)
{
	struct pollfd at = { .fd = fuse_session_fd(r->u->se) };

	return poll(&at, 1, 0) == 0 || !(at.revents & POLLERR);
}

/* A spare that the kernel does not take (it has no commit_id yet) is none. */
static void refused(struct uring_ring *r, struct uring_entry *e, int err)
{
	if (!is_connected(r)) {
		r->ended = true;
		return;
	}
	atomic_store(&e->state, URING_SERVED);
	if (e->commit_id)
		uring_fail(r->u, "the kernel did not take a reply", err);
}

static void commit_replied(struct uring_ring *r)
{
	for (size_t i = 0; i < atomic_load(&r->n_entries); i++) {
		if (atomic_load(&r->entry[i]->state) == URING_REPLIED)
			commit(r, r->entry[i]);
	}
}

/* What was committed is not to wait for the request behind it. */
static void take_completions(struct uring_ring *r)
{
	struct io_uring_cqe *cqe;

	while (!r->ended && io_uring_peek_cqe(&r->io, &cqe) == 0) {
		void *data = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&r->io, cqe);
		if (io_uring_sq_ready(&r->io))
			io_uring_submit(&r->io);
		if (data == r) {
			listen_again(r);
			commit_replied(r);
		} else if (res < 0) {
			refused(r, data, res);
		} else {
			serve(r, data);
		}
	}
}

/* ---- the thread ---- */

static int make(struct uring_ring *r)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN,
	};
	struct uring_entry *e;
	int rc;

	if (r->cpu >= 0)
		(void)thread_pin(r->cpu); /* or it is slower */
	r->max_entries = (size_t)r->n_qids + URING_ENTRIES;
	r->entry = calloc(r->max_entries, sizeof(struct uring_entry *));
	if (!r->entry)
		return -ENOMEM;
	for (unsigned i = 0; i < r->n_qids; i++) {
		rc = add_entry(r, (uint16_t)(r->first_qid + i), &e);
		if (rc < 0)
			return rc;
	}
	rc = io_uring_queue_init_params(SUBMISSIONS, &r->io, &params);
	if (rc == 0)
		(void)io_uring_register_ring_fd(&r->io); /* or dearer calls */
	return rc;
}

/* What the kernel refuses it refuses at once. */
static int register_entries(struct uring_ring *r)
{
	struct io_uring_cqe *cqe;
	unsigned head;
	int rc = 0;

	for (size_t i = 0; i < r->n_qids; i++)
		command(r, r->entry[i], FUSE_IO_URING_CMD_REGISTER,
			r->entry[i]->qid);
	listen_again(r);
	while (rc >= 0 && io_uring_sq_ready(&r->io))
		rc = io_uring_submit(&r->io);
	if (rc < 0)
		return rc;
	rc = 0;
	io_uring_for_each_cqe(&r->io, head, cqe)
	{
		if (io_uring_cqe_get_data(cqe) != r && cqe->res < 0)
			rc = cqe->res;
	}
	return rc;
}

static void tell_drained(struct uring_ring *r)
{
	if (!r->drained && atomic_load(&r->u->phase) >= URING_DRAIN) {
		r->drained = true;
		uring_done(r->u, 0);
	}
}

static void loop(struct uring_ring *r)
{
	while (!r->ended && atomic_load(&r->u->phase) != URING_STOP) {
		int rc = io_uring_submit_and_wait(&r->io, 1);

		if (rc < 0 && rc != -EINTR) {
			uring_fail(r->u, "waiting failed", rc);
			return;
		}
		take_completions(r);
		tell_drained(r);
	}
}

void *uring_ring_run(void *arg)
{
	struct uring_ring *r = arg;
	struct uring *u = r->u;
	int rc = make(r);
	bool made = rc == 0;

	uring_done(u, rc);
	if (uring_await(u, URING_MAKE) == URING_REGISTER) {
		uring_done(u, register_entries(r));
		if (uring_await(u, URING_REGISTER) != URING_STOP)
			loop(r);
	}
	/* an ended one waits for the others */
	while (atomic_load(&u->phase) != URING_STOP) {
		uring_await(u, r->drained ? URING_DRAIN : URING_RUN);
		tell_drained(r);
	}
	if (made)
		io_uring_queue_exit(&r->io);
	return NULL;
}

void uring_ring_wake(struct uring_ring *r)
{
	(void)eventfd_write(r->event, 1);
}

void uring_ring_free(struct uring_ring *r)
{
	for (size_t i = 0; i < atomic_load(&r->n_entries); i++) {
		struct uring_entry *e = r->entry[i];

		munmap(e->header, URING_PAGE + e->iov[1].iov_len);
		free(e);
	}
	free(r->entry);
	if (r->event >= 0)
		close(r->event);
}

void uring_ring_way_back(struct uring *u)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SQE128 };
	struct uring_ring r = { .u = u };
	struct uring_entry none = { .ring = &r };

	if (io_uring_queue_init_params(2, &r.io, &params) < 0)
		return;
	command(&r, &none, FUSE_IO_URING_CMD_REGISTER, UINT16_MAX);
	io_uring_submit_and_wait(&r.io, 1);
	io_uring_queue_exit(&r.io);
}
