/* tool_seq_mount.c - blt seq on a directory of a mounted store: its daemon is
 * asked (bltfs_ioctl.h).
 */
#include "tool/mount_client.h"
#include "tool/mount_ask.h"
#include "tool/cmd/tool_seq.h"

#include "bltfs_ioctl.h"
#include "seq/seqwire.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sysexits.h>
#include <unistd.h>

#define ITEMS_MAX ((size_t)64 << 20) /* bytes, of one request */
#define TRIES 20

/* ---- requests ---- */

/* What is longer than one struct goes before it, in pieces. */
static int send_pieces(int fd, const uint8_t *bytes, size_t len,
		       struct bltfs_seq *x)
{
	struct bltfs_piece piece = { 0 };
	size_t n;
	int r;

	while (len > sizeof(x->bytes)) {
		n = (size_t)min_u64(len - sizeof(x->bytes),
				    sizeof(piece.bytes));
		piece.len = (uint32_t)n;
		memcpy(piece.bytes, bytes, n);
		r = mount_ask(fd, BLTFS_IOC_PIECE, &piece);
		if (r < 0)
			return r == -ENOENT ? -ESTALE : r;
		bytes += n; /* the answer may have changed piece.len */
		len -= n;
	}
	x->args = piece.args;
	x->len = (uint32_t)len;
	if (len)
		memcpy(x->bytes, bytes, len);
	return 0;
}

struct answer {
	uint8_t *bytes; /* malloc'd */
	size_t len;
};

static int fetch(int fd, const struct bltfs_seq *x, struct answer *ret)
{
	struct bltfs_piece piece = { .args = x->args };
	int r = bytes_append(&ret->bytes, &ret->len, x->bytes, x->len);

	while (r == 0 && piece.args) {
		r = mount_ask(fd, BLTFS_IOC_FETCH, &piece);
		if (r < 0)
			return r == -ENOENT ? -ESTALE : r;
		if (piece.len > ITEMS_MAX - ret->len)
			return -EPROTO;
		r = bytes_append(&ret->bytes, &ret->len, piece.bytes,
				 piece.len);
	}
	return r;
}

static int ask_once(int fd, struct bltfs_seq *x, const void *bytes, size_t len,
		    struct answer *ret)
{
	int r = send_pieces(fd, bytes, len, x);

	if (r == 0)
		r = mount_ask(fd, BLTFS_IOC_SEQ, x);
	if (r < 0 || !ret)
		return r;
	free(ret->bytes);
	*ret = (struct answer){ 0 };
	return fetch(fd, x, ret);
}

/* One request and its answer (NULL: none), which is the caller's to free; n: of
 * struct bltfs_seq, may be NULL.  Where many ask for much at the same moment
 * they push each other's pieces out: it is asked again then.  A request that
 * changes something has not been run, since its pieces come before it. */
static int ask(const struct tool_seq *s, const struct bltfs_seq *what,
	       const void *bytes, size_t len, uint64_t *n, struct answer *ret)
{
	struct bltfs_seq *x = malloc(sizeof(*x));
	int r = x ? -ESTALE : -ENOMEM;

	for (int i = 0; i < TRIES && r == -ESTALE; i++) {
		*x = *what;
		r = ask_once(s->fd, x, bytes, len, ret);
	}
	if (r == 0 && n)
		*n = x->n;
	free(x);
	return r;
}

/* ---- the calls ---- */

static int create(const struct tool_seq *s)
{
	const struct bltfs_seq x = { .verb = BLTFS_SEQ_CREATE };

	return ask(s, &x, NULL, 0, NULL, NULL);
}

static int len_of(const struct tool_seq *s, uint64_t *ret)
{
	const struct bltfs_seq x = { .verb = BLTFS_SEQ_LEN };

	return ask(s, &x, NULL, 0, ret, NULL);
}

static int hand_out(const struct blt_seq_item *item, const void *name,
		    size_t name_len, const struct seq_reader *to)
{
	const struct blt_seq_place place = {
		.name = name,
		.name_len = name_len,
		.record = item->n == 0 || item->fields[0].name,
	};
	int r = to->place(to->arg, &place);

	for (size_t i = 0; i < item->n && r == 0; i++)
		r = to->field(to->arg, &item->fields[i]);
	return r == 0 && to->end ? to->end(to->arg) : r;
}

static int read_item(const struct tool_seq *s, int64_t at,
		     const struct seq_reader *to)
{
	const struct bltfs_seq x = { .verb = BLTFS_SEQ_READ, .from = at };
	struct seqwire_in in = { 0 };
	struct blt_seq_item item;
	struct answer a = { 0 };
	int r = ask(s, &x, NULL, 0, NULL, &a);

	if (r == 0) {
		in.at = a.bytes;
		in.len = a.len;
		r = seqwire_item(&in, &item);
		r = r == 0 ? -EPROTO : r;
	}
	if (r > 0)
		r = hand_out(&item, "", 0, to);
	seqwire_in_free(&in);
	free(a.bytes);
	return r;
}

/* The n items of one answer; behind: the name of the last, for the next. */
static int hand_out_all(const struct answer *a, uint64_t n,
			const struct seq_reader *to, struct seqwire_out *behind)
{
	struct seqwire_in in = { .at = a->bytes, .len = a->len };
	struct blt_seq_item item;
	const void *name;
	size_t len;
	int r, got;

	while ((r = seqwire_take_text(&in, &name, &len)) > 0) {
		got = seqwire_item(&in, &item);
		r = got == 0 || n-- == 0 ? -EPROTO : got;
		if (r > 0)
			r = hand_out(&item, name, len, to);
		if (r != 0)
			break;
		behind->len = 0;
		seqwire_text(behind, name, len);
		seqwire_kind(behind, item.n == 0 || item.fields[0].name);
		r = behind->error;
		if (r < 0)
			break;
	}
	seqwire_in_free(&in);
	return r == 0 && n > 0 ? -EPROTO : r;
}

static int each(const struct tool_seq *s, int64_t from, int64_t to,
		const struct seq_reader *reader)
{
	struct bltfs_seq x = { .verb = BLTFS_SEQ_SLICE, .from = from };
	struct seqwire_out behind = { .max = BLTFS_PIECE_MAX };
	uint64_t left = to > from ? (uint64_t)(to - from) : 0, n = 1;
	struct answer a = { 0 };
	int r = 0;

	while (left > 0 && n > 0 && r == 0) {
		x.n = left;
		r = ask(s, &x, behind.bytes, behind.len, &n, &a);
		if (r == 0)
			r = hand_out_all(&a, n, reader, &behind);
		left -= min_u64(n, left);
	}
	free(behind.bytes);
	free(a.bytes);
	return r;
}

static int put(const struct tool_seq *s, enum seq_put how, int64_t at,
	       const struct blt_seq_item *items, size_t n)
{
	static const uint32_t verbs[] = {
		[SEQ_APPEND] = BLTFS_SEQ_APPEND,
		[SEQ_INSERT] = BLTFS_SEQ_INSERT,
		[SEQ_SET] = BLTFS_SEQ_SET,
		[SEQ_UPDATE] = BLTFS_SEQ_UPDATE,
	};
	const struct bltfs_seq x = { .verb = verbs[how], .from = at };
	struct seqwire_out out = { .max = ITEMS_MAX };
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = seqwire_put(&out, &items[i]);
	if (r == 0)
		r = ask(s, &x, out.bytes, out.len, NULL, NULL);
	free(out.bytes);
	return r;
}

static int delete_items(const struct tool_seq *s, int64_t from, int64_t to)
{
	const struct bltfs_seq x = {
		.verb = BLTFS_SEQ_DELETE,
		.from = from,
		.to = to,
	};

	return ask(s, &x, NULL, 0, NULL, NULL);
}

static int move(const struct tool_seq *s, int64_t from, int64_t to)
{
	const struct bltfs_seq x = {
		.verb = BLTFS_SEQ_MOVE,
		.from = from,
		.to = to,
	};

	return ask(s, &x, NULL, 0, NULL, NULL);
}

static const struct seq_calls calls = {
	.create = create,
	.len = len_of,
	.read = read_item,
	.each = each,
	.put = put,
	.remove = delete_items,
	.move = move,
};

/* ---- opening ---- */

/* What is a directory and takes no requests, with err. */
static int fail_directory(const struct tool *t, const char *path, int fd,
			  int err)
{
	struct statfs st;

	if (err != -ENOTTY && err != -ENOSYS)
		return mount_client_fail(t, path, err);
	if (fstatfs(fd, &st) == 0 && st.f_type == FUSE_SUPER_MAGIC)
		return tool_fail(t, EX_UNAVAILABLE,
				 "%s: its mount takes no requests: it is no "
				 "store's, or was mounted with control=none",
				 path);
	return tool_fail(t, EX_NOINPUT,
			 "%s: is a directory, and on no mount of a store",
			 path);
}

/* Asks for the length only to see whether anybody answers.  *ret: somebody
 * does. */
static int probe(const struct tool *t, const char *path, bool *ret)
{
	struct bltfs_seq x = { .verb = BLTFS_SEQ_LEN };
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int code = 0, err;

	*ret = false;
	if (fd < 0)
		return errno == ENOTCONN ?
			       mount_client_fail(t, path, -ENOTCONN) :
			       0;
	err = mount_ask(fd, BLTFS_IOC_SEQ, &x);
	*ret = err != -ENOTTY && err != -ENOSYS && err != -EACCES;
	if (!*ret && !tool_is_environment(fd))
		code = fail_directory(t, path, fd, err);
	close(fd);
	return code;
}

int tool_seq_is_mounted(const struct tool *t, const char *path, bool *ret)
{
	char *copy;
	int code = 0;

	*ret = false;
	if (t->n_args > 2 && !strcmp(t->arg[0], "create"))
		return 0;
	/* one that is to be made: where it would be says */
	if (access(path, F_OK) == 0 || strcmp(t->arg[0], "create") != 0)
		return probe(t, path, ret);
	copy = strdup(path);
	if (!copy)
		return tool_fail(t, EX_OSERR, "out of memory");
	code = probe(t, dirname(copy), ret);
	free(copy);
	return code;
}

int tool_seq_open_mount(struct tool_seq *s, bool make)
{
	const struct tool *t = s->t;
	uint64_t n;
	int r;

	s->calls = &calls;
	if (make && mkdir(s->name, 0777) < 0 && errno != EEXIST)
		return tool_fail_create(t, s->name, -errno);
	s->fd = open(s->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0)
		return tool_fail_file(t, s->name, "open", -errno);
	if (make)
		return 0;
	tool_catch_first_signal();
	r = len_of(s, &n);
	return r < 0 ? tool_seq_fail(s, NULL, r) : 0;
}
