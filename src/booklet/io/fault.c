/* SIGBUS as an error.
 *
 * The handler is installed once per process, at the first file_try, and jumps
 * back to the file_try that the faulting thread stands in.  A SIGBUS of a
 * thread that stands in none is not ours: the action that was there before is
 * put back, and the access, done again on return, meets it. */
#include "booklet/io/file.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

static _Thread_local sigjmp_buf *way_back;
static struct sigaction before;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *interrupted = context;

	(void)info;
	if (way_back) {
		/* What a return from here would do. */
		pthread_sigmask(SIG_SETMASK, &interrupted->uc_sigmask, NULL);
		siglongjmp(*way_back, 1);
	}
	sigaction(sig, &before, NULL);
}

static void install(void)
{
	struct sigaction act = { .sa_sigaction = on_sigbus,
				 .sa_flags = SA_SIGINFO };

	sigemptyset(&act.sa_mask);
	sigaction(SIGBUS, &act, &before);
}

struct copy {
	void *to;
	const void *from;
	size_t len;
};

static int copy_bytes(void *arg)
{
	const struct copy *c = arg;

	memcpy(c->to, c->from, c->len);
	return 0;
}

int file_copy(void *to, const void *from, size_t len)
{
	struct copy c = { to, from, len };

	return file_try(copy_bytes, &c);
}

int file_read(const struct file *f, void *to, size_t len, uint64_t pos)
{
	return file_copy(to, file_ptr(f, pos), len);
}

int file_try(int (*fn)(void *arg), void *arg)
{
	sigjmp_buf here, *const outer = way_back;
	int rc;

	pthread_once(&once, install);
	/* The signal mask, whose saving is a system call, the handler restores.
	 */
	if (sigsetjmp(here, 0)) {
		way_back = outer;
		return -EIO;
	}
	way_back = &here;
	rc = fn(arg);
	way_back = outer;
	return rc;
}
