#include "main/daemon.h"

#include "main/clock.h"
#include "main/bltfs.h"
#include "main/options.h"
#include "main/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define THREADS 10 /* as many as libfuse has at most */

/* ---- the device ----
 *
 * A thread that waits for its next request when the last unmount disconnects
 * gets ENODEV, which to libfuse is the end.  One that is just being handed a
 * request gets ECONNABORTED (fs/fuse/dev.c of Linux, fuse_dev_do_read), which
 * to libfuse is a device that fails.  Closing many files in a lazy unmount
 * meets that more often than not.
 */

static void see_init(struct bltfs *fs, const void *message, size_t n)
{
	struct fuse_in_header in;
	struct fuse_init_in init;

	if (fs->init_unique || n < sizeof(in) + sizeof(init))
		return;
	memcpy(&in, message, sizeof(in));
	memcpy(&init, (const char *)message + sizeof(in), sizeof(init));
	if (in.opcode != FUSE_INIT)
		return;
	fs->init_unique = in.unique;
	fs->clears_ids = init.flags & FUSE_HANDLE_KILLPRIV_V2;
	if (init.flags & FUSE_INIT_EXT)
		uring_offer(fs->uring, init.flags2);
}

static bool answers_init(const struct bltfs *fs, const struct iovec *iov, int n)
{
	struct fuse_out_header out;

	if (!fs->init_unique || n != 2)
		return false;
	memcpy(&out, iov[0].iov_base, sizeof(out));
	return out.unique == fs->init_unique && out.error == 0;
}

static ssize_t read_device(int fd, void *buf, size_t len, void *arg)
{
	ssize_t n = read(fd, buf, len);

	if (n < 0 && errno == ECONNABORTED)
		errno = ENODEV;
	if (n > 0)
		see_init(arg, buf, (size_t)n);
	return n;
}

/* libfuse knows neither flag.  FUSE_HANDLE_KILLPRIV_V2: we take set-ID bits
 * away (rights.h), and the kernel need not ask for security.capability before
 * each write. */
static void patch_init(const struct bltfs *fs, struct fuse_init_out *out)
{
	if (fs->clears_ids)
		out->flags |= FUSE_HANDLE_KILLPRIV_V2;
	uring_patch_init(fs->uring, out);
}

/* INIT's answer: the mount is live, unless a signal or -o io_uring=yes has told
 * the session to exit. */
static ssize_t write_init(struct bltfs *fs, int fd, const struct iovec *iov)
{
	struct iovec parts[2] = { iov[0], iov[1] };
	struct fuse_init_out out;
	ssize_t n;

	if (iov[1].iov_len == sizeof(out)) {
		memcpy(&out, iov[1].iov_base, sizeof(out));
		patch_init(fs, &out);
		parts[1].iov_base = &out;
	} else {
		fs->clears_ids = false;
	}
	n = writev(fd, parts, 2);
	if (n >= 0 && !fuse_session_exited(fs->session))
		fs->live(fs, uring_start(fs->uring));
	return n;
}

static ssize_t write_device(int fd, struct iovec *iov, int n, void *arg)
{
	struct bltfs *fs = arg;
	ssize_t taken = uring_reply(fs->uring, iov, n);

	if (taken >= 0)
		return taken;
	if (answers_init(fs, iov, n))
		return write_init(fs, fd, iov);
	return writev(fd, iov, n);
}

static ssize_t splice_device(int in, off_t *at_in, int out, off_t *at_out,
			     size_t len, unsigned flags, void *arg)
{
	(void)arg;
	return splice(in, at_in, out, at_out, len, flags);
}

static int take_device(struct fuse_session *se)
{
	static const struct fuse_custom_io io = {
		.read = read_device,
		.writev = write_device,
		.splice_send = splice_device,
	};

	return fuse_session_custom_io(se, &io, fuse_session_fd(se));
}

/* ---- the threads ---- */

struct loop {
	struct fuse_session *se;
	int64_t poll_ns;
	atomic_flag polling; /* a thread is */
	sem_t ended;         /* posted by each thread at its end */
	_Atomic int error;
};

/* Until a request is there or the time is over.  Another thread may take it
 * first: then the read that follows sleeps. */
static void poll_briefly(struct loop *l)
{
	struct pollfd at = { .fd = fuse_session_fd(l->se), .events = POLLIN };
	int64_t end;

	if (atomic_flag_test_and_set(&l->polling))
		return;
	end = clock_ticks_ns() + l->poll_ns;
	while (poll(&at, 1, 0) == 0 && clock_ticks_ns() < end)
		;
	atomic_flag_clear(&l->polling);
}

static void free_buffer(void *arg)
{
	struct fuse_buf *buf = arg;

	free(buf->mem);
}

/* A request in buf; 0: the mount has ended.  The one place where the thread
 * may be cancelled. */
static int take_request(struct loop *l, struct fuse_buf *buf)
{
	int rc;

	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	do
		rc = fuse_session_receive_buf(l->se, buf);
	while ((rc == -EINTR || rc == -EAGAIN) && !fuse_session_exited(l->se));
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return rc == -EINTR || rc == -EAGAIN ? 0 : rc;
}

static void serve(struct loop *l, struct fuse_buf *buf)
{
	int rc = 1;

	while (rc > 0 && !fuse_session_exited(l->se)) {
		rc = take_request(l, buf);
		if (rc > 0) {
			fuse_session_process_buf(l->se, buf);
			poll_briefly(l);
		}
	}
	if (rc < 0)
		atomic_store(&l->error, rc);
	fuse_session_exit(l->se);
	sem_post(&l->ended);
}

static void *run(void *arg)
{
	struct fuse_buf buf = { .mem = NULL };

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_cleanup_push(free_buffer, &buf);
	serve(arg, &buf);
	pthread_cleanup_pop(1);
	return NULL;
}

static int run_threads(struct loop *l)
{
	pthread_t thread[THREADS];
	unsigned n = 0;
	int rc = 0;

	while (n < THREADS && rc == 0) {
		rc = -pthread_create(&thread[n], NULL, run, l);
		n += rc == 0;
	}
	if (n == 0)
		return rc;
	/* daemon.h makes the session exit and interrupts this */
	while (!fuse_session_exited(l->se))
		sem_wait(&l->ended);
	for (unsigned i = 0; i < n; i++)
		pthread_cancel(thread[i]);
	for (unsigned i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	return atomic_load(&l->error);
}

static int run_polling(struct fuse_session *se, const struct options *opts)
{
	struct loop l = {
		.se = se,
		.poll_ns = (int64_t)opts->poll_us * 1000,
		.polling = ATOMIC_FLAG_INIT,
	};
	int rc;

	if (sem_init(&l.ended, 0, 0) < 0)
		return -errno;
	rc = run_threads(&l);
	sem_destroy(&l.ended);
	return rc;
}

int loop_run(struct fuse_session *se, const struct options *opts)
{
	struct fuse_loop_config *config;
	int rc = take_device(se);

	if (rc < 0)
		return rc;
	if (opts->single)
		return fuse_session_loop(se);
	if (opts->poll_us)
		return run_polling(se, opts);
	config = fuse_loop_cfg_create();
	if (!config)
		return -ENOMEM;
	fuse_loop_cfg_set_clone_fd(config, opts->clone_fd);
	rc = fuse_session_loop_mt(se, config);
	fuse_loop_cfg_destroy(config);
	return rc;
}
