/* worker_exec.c - a command that speaks the protocol itself takes this
 * process's place. */
#include "map/worker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static int init(struct worker *w)
{
	/* A handler would not outlive the exec, this does. */
	signal(SIGTERM, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execvp(w->argv[0], w->argv);
	return worker_fail_exec(w, -errno);
}

const struct worker_kind worker_framed = { .name = "framed", .init = init };
