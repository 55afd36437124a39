/* worker.c - bltfs-map-worker: its start, and the loop over its items. */
#include "map/worker.h"

#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#define LATE_BYTES (16u << 10) /* answers that wait; and how long */
#define LATE_US 1000
#define KEEP_VALUE (16u << 20) /* more is given back after its item */

static const struct worker_kind *const kinds[] = {
	&worker_builtin,
	&worker_command,
	&worker_framed,
	&worker_shared,
};

static const struct worker_kind *find_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i]->name, name))
			return kinds[i];
	return NULL;
}

static void die_with_all(int sig)
{
	(void)sig;
	worker_die();
}

/* Whoever started this is to be outlived by nothing of it. */
static void die_with_parent(void)
{
	struct sigaction act = { .sa_handler = die_with_all };

	sigemptyset(&act.sa_mask);
	sigaction(SIGTERM, &act, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
}

/* The socket goes where no function stumbles over it. */
static int own_socket(void)
{
	int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0 || null < 0)
		return -1;
	dup2(null, STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	close(null);
	return fd;
}

/* Here and not before the exec: an open environment does not bear a fork.
 * Where it cannot be, values come through the socket. */
static void open_store(struct worker *w)
{
	struct blt_open_options how = {
		.mode = BLT_READ,
		.engine = getenv("BLT_STORE_ENGINE"),
		.db = getenv("BLT_STORE_DB"),
	};
	const char *path = getenv("BLT_STORE");

	if (path && how.engine && blt_open(path, &how, &w->store, NULL) < 0)
		w->store = NULL;
}

static int send_text(struct worker *w, enum wire_type type)
{
	struct wire_frame f = {
		.type = type,
		.id = w->id,
		.time = WIRE_NO_TIME,
		.value = w->why,
		.value_len = strlen(w->why),
	};

	return wire_put(&w->out, &f);
}

/* Were an answer kept, a crash would be blamed on the wrong item, or cost that
 * item a second run.  Where an item takes microseconds that is the lesser evil.
 * A slow item's answer never waits for the next one. */
static int send_answer(struct worker *w)
{
	int64_t now = w->kind->late ? steady_us() : 0;

	if (w->kind->late && wire_pending(&w->out) < LATE_BYTES &&
	    now - w->sent < LATE_US)
		return 0;
	w->sent = now;
	return wire_flush(&w->out, w->fd);
}

static int read_frame(const struct wire_frame *f, struct worker_item *ret)
{
	*ret = (struct worker_item){
		.key = f->key,
		.key_len = f->key_len,
		.value = f->value,
		.len = f->value_len,
		.time = f->time,
	};
	if (f->type == WIRE_ITEM)
		return 0;
	if (f->value_len != 16)
		return -EPROTO;
	ret->value = NULL;
	ret->pos = get_le(f->value, 8);
	ret->len = get_le((const uint8_t *)f->value + 8, 8);
	return 0;
}

/* The value of a WIRE_KEY; false where it is another one now. */
static bool read_key(struct worker *w, struct worker_item *item,
		     struct blt_view *view)
{
	if (!w->store || blt_get(w->store, item->key, item->key_len, view) < 0)
		return false;
	item->value = view->data;
	return view->offset == item->pos && view->len == item->len;
}

static int run_item(struct worker *w, const struct wire_frame *f)
{
	const size_t before = wire_pending(&w->out);
	struct wire_frame end = { .type = WIRE_DONE,
				  .id = f->id,
				  .time = WIRE_NO_TIME };
	struct blt_view view = { 0 };
	struct worker_item item;
	int rc = read_frame(f, &item);

	if (rc < 0)
		return rc;
	w->id = f->id;
	if (f->type == WIRE_KEY && !read_key(w, &item, &view))
		end.type = WIRE_AGAIN;
	else
		rc = w->kind->run(w, &item);
	blt_view_release(&view);
	if (rc < 0) {
		/* What it gave before it failed does not count. */
		w->out.end = w->out.at + before;
		rc = send_text(w, WIRE_ERROR);
	} else {
		rc = wire_put(&w->out, &end);
	}
	if (w->value.room > KEEP_VALUE) {
		free(w->value.bytes);
		w->value = (struct worker_buf){ 0 };
	}
	return rc < 0 ? rc : send_answer(w);
}

static int serve(struct worker *w)
{
	struct wire_frame f = { .type = WIRE_HELLO, .time = WIRE_NO_TIME };
	int rc;

	f.id = WIRE_TAKES_PLACES | (w->kind->late ? WIRE_ANSWERS_LATE : 0) |
	       (w->store ? WIRE_READS_KEYS : 0);
	rc = wire_put(&w->out, &f);
	while (rc == 0) {
		while ((rc = wire_next(&w->in, &f)) > 0) {
			if (f.type != WIRE_ITEM && f.type != WIRE_PLACE &&
			    f.type != WIRE_KEY)
				return -EPROTO;
			rc = run_item(w, &f);
			if (rc < 0)
				return rc;
		}
		if (rc == 0)
			rc = wire_flush(&w->out, w->fd);
		if (rc < 0)
			return rc;
		rc = wire_read(&w->in, w->fd);
		w->sent = w->kind->late ? steady_us() : 0;
		if (rc == 0)
			return 0; /* no more items */
		rc = rc < 0 ? rc : 0;
	}
	return rc;
}

static int refuse(struct worker *w)
{
	if (send_text(w, WIRE_FATAL) == 0)
		(void)wire_flush(&w->out, w->fd);
	return EX_UNAVAILABLE;
}

int main(int argc, char **argv)
{
	static struct worker w;
	int rc;

	if (argc < 3 || !find_kind(argv[1])) {
		fputs("usage: bltfs-map-worker KIND ARGUMENT...\n"
		      "A part of bltfs; \"blt map\" starts it.\n",
		      stderr);
		return EX_USAGE;
	}
	w.kind = find_kind(argv[1]);
	w.argv = argv + 2;
	w.fd = STDIN_FILENO;
	closefrom(WORKER_STORE_FD + 1);
	die_with_parent();
	if (w.kind != &worker_framed) {
		fcntl(WORKER_STORE_FD, F_SETFD, FD_CLOEXEC);
		w.fd = own_socket();
		if (w.fd < 0)
			return EX_OSERR;
	}
	if (w.kind->init(&w) < 0)
		return refuse(&w);
	open_store(&w);
	rc = serve(&w);
	blt_close(w.store);
	/* Its memory goes with it; this is for those who look for leaks. */
	wire_in_free(&w.in);
	wire_out_free(&w.out);
	free(w.value.bytes);
	return rc < 0 ? EX_PROTOCOL : EX_OK;
}

/* A command that speaks the protocol itself takes this
 * process's place. */

static int framed_init(struct worker *w)
{
	/* A handler would not outlive the exec, this does. */
	signal(SIGTERM, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execvp(w->argv[0], w->argv);
	return worker_fail_exec(w, -errno);
}

const struct worker_kind worker_framed = { .name = "framed",
					   .init = framed_init };
