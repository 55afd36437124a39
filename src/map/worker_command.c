/* worker_command.c - a command for each item: the value on its standard input,
 * what it prints is the new value.
 *
 * What a command leaves running is killed when it has ended: this process is
 * the reaper of its descendants, so all of them come to be its children.
 */
#include "map/worker.h"

#include "blt.h"
#include "base/os.h"
#include "map/map_inner.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIP_EXIT 100
#define TRIES 2 /* of a command that dies of a signal */
#define PIECE (64u << 10)

/* The command, and what its environment is made of. */
static struct {
	char path[4096];
	unsigned serializer; /* of the keys */
	char **env;          /* env[0] is BLT_KEY */
	char *key;
	int child; /* a signalfd: some child has ended */
} cmd;

/* One run of it. */
struct run {
	struct worker *w;
	const struct worker_item *item;
	pid_t pid;
	int in, out, err; /* our ends; -1: closed */
	uint64_t given;   /* bytes of the value that are on their way */
	size_t at, len;   /* of piece */
	struct worker_buf *made;
	struct child_tail tail; /* of what it says on standard error */
	bool ended;
	int status;
};

static struct worker_buf made;
static uint8_t piece[PIECE]; /* of the value, not yet written */

/* ---- its start ---- */

static int try_path(const char *dir, size_t dir_len, const char *name)
{
	struct stat st;
	int n = snprintf(cmd.path, sizeof(cmd.path), "%.*s%s%s", (int)dir_len,
			 dir, dir_len ? "/" : "", name);

	if (n < 0 || (size_t)n >= sizeof(cmd.path))
		return -ENAMETOOLONG;
	if (access(cmd.path, X_OK) < 0)
		return -errno;
	return stat(cmd.path, &st) == 0 && S_ISDIR(st.st_mode) ? -EACCES : 0;
}

/* As execvp looks for it, but before there is an item to fail. */
static int find_command(const char *name)
{
	const char *dir = getenv("PATH");
	int rc = -ENOENT, first = -ENOENT;

	if (strchr(name, '/'))
		return try_path("", 0, name);
	while (dir && *name) {
		size_t len = strcspn(dir, ":");

		rc = try_path(len ? dir : ".", len ? len : 1, name);
		if (rc == 0)
			return 0;
		if (rc == -EACCES)
			first = rc;
		dir = dir[len] ? dir + len + 1 : NULL;
	}
	return first;
}

static int make_env(void)
{
	extern char **environ;
	size_t n = 0;

	while (environ[n])
		n++;
	cmd.env = calloc(n + 2, sizeof(*cmd.env));
	cmd.key = malloc(MAP_TEXT_ROOM + 8);
	if (!cmd.env || !cmd.key)
		return -ENOMEM;
	memcpy(cmd.key, "BLT_KEY=", 8);
	cmd.env[0] = cmd.key;
	memcpy(cmd.env + 1, environ, n * sizeof(*environ));
	return 0;
}

static int init(struct worker *w)
{
	const char *type = getenv("BLT_KEY_SERIALIZER");
	sigset_t child;
	int rc = find_command(w->argv[0]);

	if (rc < 0)
		return worker_fail_exec(w, rc);
	rc = type ? blt_serializer_code(type) : 0;
	cmd.serializer = rc > 0 ? (unsigned)rc : 0;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	cmd.child = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	if (cmd.child < 0 || make_env() < 0)
		return worker_fail(w, "out of memory or descriptors");
	return 0;
}

/* ---- one run ---- */

static int make_pipe(int *ret_ours, int *ret_its, bool to_it)
{
	int fd[2];

	if (pipe2(fd, O_CLOEXEC) < 0)
		return -errno;
	*ret_ours = fd[to_it];
	*ret_its = fd[!to_it];
	if (fcntl(*ret_ours, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

static int start(struct run *r)
{
	int its[3] = { -1, -1, -1 };
	const struct child_how how = { .program = cmd.path,
				       .argv = r->w->argv,
				       .env = cmd.env,
				       .fds = its,
				       .n_fds = 3 };
	int rc = make_pipe(&r->in, &its[0], true);

	if (rc == 0)
		rc = make_pipe(&r->out, &its[1], false);
	if (rc == 0)
		rc = make_pipe(&r->err, &its[2], false);
	if (rc == 0)
		rc = child_start(&how, &r->pid);
	for (int i = 0; i < 3; i++)
		child_shut(&its[i]);
	return rc < 0 ? worker_fail_exec(r->w, rc) : 0;
}

/* More of the value into piece; 0 at its end. */
static int next_piece(struct run *r)
{
	size_t n = (size_t)min_u64(PIECE, r->item->len - r->given);

	r->at = 0;
	r->len = n;
	if (r->item->value)
		memcpy(piece, (const uint8_t *)r->item->value + r->given, n);
	else if (worker_read(r->w, r->item, piece, n, r->given) < 0)
		return -1;
	r->given += n;
	return 0;
}

/* A command need not read what it is given. */
static int give(struct run *r)
{
	ssize_t n;

	if (r->at == r->len && next_piece(r) < 0)
		return -1;
	if (r->at == r->len) {
		child_shut(&r->in);
		return 0;
	}
	n = write(r->in, piece + r->at, r->len - r->at);
	if (n >= 0)
		r->at += (size_t)n;
	else if (errno != EAGAIN && errno != EINTR)
		child_shut(&r->in);
	return 0;
}

/* At most max bytes of its output. */
static int take(struct run *r, size_t max)
{
	struct worker_buf *b = r->made;
	ssize_t n;

	if (worker_room(r->w, b, max) < 0)
		return -1;
	n = read(r->out, b->bytes + b->len, max);
	if (n > 0)
		b->len += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		child_shut(&r->out);
	if (b->len > BLT_VALUE_MAX)
		return worker_fail(r->w, "its output is longer than 4294967295 "
					 "bytes");
	return 0;
}

static void listen_to(struct run *r, size_t max)
{
	char said[4096];
	ssize_t n = read(r->err, said, max < sizeof(said) ? max : sizeof(said));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		child_shut(&r->err);
	if (n > 0)
		child_tail_add(&r->tail, said, (size_t)n);
}

static size_t waiting(int fd)
{
	int n = 0;

	return fd >= 0 && ioctl(fd, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

/* What it had written when it ended; something that it left running may go on
 * writing, and is not waited for. */
static int take_rest(struct run *r)
{
	size_t left = waiting(r->out);
	int rc = 0;

	while (rc == 0 && left && r->out >= 0) {
		size_t before = r->made->len;

		rc = take(r, left);
		left -= min_u64(left, r->made->len - before);
	}
	left = waiting(r->err);
	for (; left && r->err >= 0; left -= min_u64(left, 4096))
		listen_to(r, left);
	return rc;
}

static void note_end(struct run *r)
{
	struct signalfd_siginfo some;

	while (read(cmd.child, &some, sizeof(some)) > 0)
		;
	if (!r->ended && waitpid(r->pid, &r->status, WNOHANG) == r->pid)
		r->ended = true;
}

static int step(struct run *r)
{
	struct pollfd p[] = {
		{ cmd.child, POLLIN, 0 }, { r->w->fd, 0, 0 },
		{ r->in, POLLOUT, 0 },    { r->out, POLLIN, 0 },
		{ r->err, POLLIN, 0 },
	};
	int rc = 0;

	if (poll(p, ARRAY_SIZE(p), -1) < 0)
		return errno == EINTR ? 0 : worker_fail(r->w, "poll failed");
	if (p[1].revents & (POLLHUP | POLLERR))
		worker_die(); /* nobody is there to take the result */
	if (p[4].revents)
		listen_to(r, PIECE);
	if (p[3].revents)
		rc = take(r, PIECE);
	if (rc == 0 && p[2].revents)
		rc = give(r);
	if (p[0].revents)
		note_end(r);
	return rc;
}

/* ---- its end ---- */

static bool kill_children(void)
{
	char path[64];
	FILE *f;
	int pid;
	bool any = false;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children",
		 (int)getpid());
	f = fopen(path, "re");
	if (!f)
		return false;
	while (fscanf(f, "%d", &pid) == 1) {
		kill(pid, SIGKILL);
		any = true;
	}
	fclose(f);
	return any;
}

/* Each that dies hands its own children over to us. */
static void reap_all(void)
{
	while (waitpid(-1, NULL, WNOHANG) >= 0) {
		if (!kill_children())
			return;
		waitpid(-1, NULL, 0);
	}
}

static int finish(struct run *r)
{
	char text[CHILD_TAIL_LINE];
	int code;

	child_tail_line(&r->tail, text);
	if (WIFSIGNALED(r->status))
		return worker_fail(r->w, "died of signal %d (%s)%s",
				   WTERMSIG(r->status),
				   strsignal(WTERMSIG(r->status)), text);
	code = WEXITSTATUS(r->status);
	if (code == SKIP_EXIT)
		return 0;
	if (code)
		return worker_fail(r->w, "exit %d%s", code, text);
	return worker_result(r->w, NULL, 0, r->made->bytes, r->made->len);
}

static int run_once(struct run *r)
{
	int rc;

	made.len = 0;
	rc = start(r);
	if (rc == 0) {
		while (rc == 0 && !r->ended)
			rc = step(r);
		if (rc == 0)
			rc = take_rest(r);
		if (!r->ended) {
			kill(r->pid, SIGKILL);
			waitpid(r->pid, &r->status, 0);
		}
	}
	child_shut(&r->in);
	child_shut(&r->out);
	child_shut(&r->err);
	reap_all();
	return rc;
}

/* One that died may do better: it was killed for want of memory, perhaps. */
static int run(struct worker *w, const struct worker_item *item)
{
	const struct run fresh = { .w = w,
				   .item = item,
				   .made = &made,
				   .in = -1,
				   .out = -1,
				   .err = -1 };
	struct run r;
	int rc;

	if (map_text(cmd.serializer, item->key, item->key_len, cmd.key + 8) < 0)
		return worker_fail(w, "its key is too long");
	for (int tries = 0; tries < TRIES; tries++) {
		r = fresh;
		rc = run_once(&r);
		if (rc < 0)
			return rc;
		if (!WIFSIGNALED(r.status))
			break;
	}
	return finish(&r);
}

const struct worker_kind worker_command = { "command", init, run, false };
