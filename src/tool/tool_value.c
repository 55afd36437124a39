/* tool_value.c - values on their way into the store, of any length in a fixed
 * amount of memory.
 */
#include "tool/tool.h"
#include "base/os.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define SPOOL_MEMORY (1u << 20)
#define READ_SIZE (64u << 10)

int tool_spool_init(struct tool_spool *s)
{
	*s = (struct tool_spool){ .fd = -1, .half = -1 };
	s->buf = malloc(SPOOL_MEMORY);
	return s->buf ? 0 : -ENOMEM;
}

void tool_spool_free(struct tool_spool *s)
{
	if (!s->buf)
		return;
	free(s->buf);
	s->buf = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

void tool_spool_reset(struct tool_spool *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->used = 0;
	s->len = 0;
	s->half = -1;
}

static int spill(struct tool_spool *s)
{
	int r;

	if (s->fd < 0) {
		r = unnamed_file(unnamed_dir());
		if (r < 0)
			return r;
		s->fd = r;
	}
	r = tool_write_all(s->fd, s->buf, s->used);
	if (r < 0)
		return r;
	s->used = 0;
	return 0;
}

int tool_spool_add(struct tool_spool *s, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	/* More will never be taken, and need not fill the disk first. */
	if (s->len + len > BLT_VALUE_MAX)
		return -EFBIG;
	s->len += len;
	while (len) {
		size_t n = SPOOL_MEMORY - s->used;
		int r;

		if (n > len)
			n = len;
		memcpy(s->buf + s->used, p, n);
		s->used += n;
		p += n;
		len -= n;
		if (len || s->fd >= 0) {
			r = s->used == SPOOL_MEMORY ? spill(s) : 0;
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int tool_spool_add_hex(struct tool_spool *s, const char *digits, size_t len)
{
	uint8_t out[4096];
	size_t n = 0;
	int r;

	for (size_t i = 0; i < len; i++) {
		int v = hex_digit(digits[i]);

		if (v < 0 && strchr(" \t\r\n", digits[i]) && digits[i])
			continue;
		if (v < 0)
			return -EINVAL;
		if (s->half < 0) {
			s->half = v;
			continue;
		}
		out[n++] = (uint8_t)(s->half << 4 | v);
		s->half = -1;
		if (n < sizeof(out))
			continue;
		r = tool_spool_add(s, out, n);
		if (r < 0)
			return r;
		n = 0;
	}
	return tool_spool_add(s, out, n);
}

int tool_spool_end(struct tool_spool *s)
{
	if (s->half >= 0)
		return -EINVAL;
	return s->fd >= 0 ? spill(s) : 0;
}

int tool_spool_read(struct tool_spool *s, int fd, bool hex)
{
	char *buf = malloc(READ_SIZE);
	int r = buf ? 0 : -ENOMEM;

	while (!r) {
		ssize_t n = read(fd, buf, READ_SIZE);

		if (n == 0)
			break;
		if (n < 0 && errno == EINTR && !tool_signal())
			continue;
		if (n < 0)
			r = -errno;
		else if (hex)
			r = tool_spool_add_hex(s, buf, (size_t)n);
		else
			r = tool_spool_add(s, buf, (size_t)n);
	}
	free(buf);
	return r ? r : tool_spool_end(s);
}

/* Exactly n bytes; a file that ends before is one that somebody cut short. */
int tool_read_at(int fd, void *buf, size_t n, uint64_t offset)
{
	uint8_t *p = buf;

	while (n) {
		ssize_t got = pread(fd, p, n, (off_t)offset);

		if (got < 0 && errno == EINTR && !tool_signal())
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -ENODATA;
		p += got;
		n -= (size_t)got;
		offset += (uint64_t)got;
	}
	return 0;
}

static int read_spool(void *arg, void *buf, size_t n, uint64_t offset)
{
	const struct tool_spool *s = arg;

	if (s->fd >= 0)
		return tool_read_at(s->fd, buf, n, offset);
	memcpy(buf, s->buf + offset, n);
	return 0;
}

struct blt_source tool_spool_source(struct tool_spool *s)
{
	return (struct blt_source){ s->len, read_spool, s };
}

static int read_file(void *arg, void *buf, size_t n, uint64_t offset)
{
	struct tool_value *v = arg;

	return tool_read_at(v->fd, buf, n, offset);
}

static int spool_input(struct tool *t, struct tool_value *v)
{
	bool hex = tool_has(t, OPT_HEX);
	int r = tool_spool_init(&v->spool);

	if (r < 0)
		return tool_fail(t, EX_OSERR, "%s: out of memory", v->name);
	v->spooled = true;
	r = tool_spool_read(&v->spool, v->fd, hex);
	if (r == -EINTR)
		return tool_fail(t, EX_TEMPFAIL,
				 "%s: interrupted; nothing is "
				 "changed",
				 v->name);
	if (r == -EINVAL && hex)
		return tool_fail(t, EX_DATAERR,
				 "%s: not hex: pairs of the "
				 "digits 0-9 a-f are expected",
				 v->name);
	if (r == -EFBIG)
		return tool_fail(t, EX_DATAERR,
				 "%s: longer than a value may "
				 "be (4294967295 bytes)",
				 v->name);
	if (r < 0)
		return tool_fail_file(t, v->name,
				      "read it, or keep it in "
				      "TMPDIR",
				      r);
	v->source = tool_spool_source(&v->spool);
	return 0;
}

int tool_value_open(struct tool *t, const char *path, struct tool_value *ret)
{
	bool stdio = !path || !strcmp(path, "-");
	struct stat st, own;

	*ret = (struct tool_value){ .name = path, .fd = STDIN_FILENO };
	if (stdio) {
		ret->name = "standard input";
	} else {
		ret->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (ret->fd < 0)
			return tool_fail_file(t, path, "open", -errno);
	}
	if (fstat(ret->fd, &st) < 0)
		return tool_fail_file(t, ret->name, "read", -errno);
	if (S_ISDIR(st.st_mode))
		return tool_fail_file(t, ret->name, "read", -EISDIR);
	if (t->store && !fstat(blt_fd(t->store), &own) &&
	    own.st_dev == st.st_dev && own.st_ino == st.st_ino)
		return tool_fail(t, EX_USAGE, "%s: is the store itself",
				 ret->name);
	/* Standard input may stand in the middle of a file: read it on. */
	if (stdio || !S_ISREG(st.st_mode) || tool_has(t, OPT_HEX))
		return spool_input(t, ret);
	ret->source =
		(struct blt_source){ (uint64_t)st.st_size, read_file, ret };
	return 0;
}

void tool_value_close(struct tool_value *v)
{
	if (v->spooled)
		tool_spool_free(&v->spool);
	if (v->fd > STDIN_FILENO)
		close(v->fd);
	v->fd = 0;
}

int tool_fail_put(const struct tool *t, const struct tool_key *key,
		  uint64_t len, int err)
{
	const char *path = blt_path(t->store);
	const char *kind, *what = "key";
	struct blt_info info;
	int r;

	if (err != -EINVAL && err != -EILSEQ)
		return tool_fail_store(t, key->name, err);
	blt_get_info(t->store, &info);
	if (strcmp(info.engine, "lmdb") == 0)
		return tool_fail(t, EX_DATAERR,
				 "%s: cannot be a key in %s: it is empty, no "
				 "number where keys are numbers, or the name "
				 "of a database",
				 key->name, path);
	r = blt_check_key(t->store, key->bytes, key->len);
	if (!r && info.value_len && len != info.value_len)
		return tool_fail(t, EX_DATAERR,
				 "%s: the value has %llu bytes, "
				 "but all values in %s have %llu",
				 key->name, (unsigned long long)len, path,
				 (unsigned long long)info.value_len);
	kind = blt_serializer_name(info.key_serializer);
	if (!r) {
		what = "value";
		kind = blt_serializer_name(info.value_serializer);
	}
	return tool_fail(t, EX_DATAERR,
			 "%s: Python could not load this %s: it "
			 "is no %s, which is what %s holds",
			 key->name, what,
			 kind ? kind : "object of the store's class", path);
}
