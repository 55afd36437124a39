/* tool_view.c - values on their way out of the store. */
#include "tool/tool.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define CHUNK (256u << 10)
#define WINDOW (256u << 10)

int tool_write_all(int fd, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int tool_view_write(const struct blt_view *v, int fd, bool hex,
		    bool *ret_writing)
{
	uint8_t *bytes = malloc(CHUNK);
	char *digits = hex ? malloc(2 * CHUNK + 1) : NULL;
	int64_t n = 0;
	int r = !bytes || (hex && !digits) ? -ENOMEM : 0;

	*ret_writing = false;
	for (uint64_t at = 0; !r && at < v->len; at += (uint64_t)n) {
		n = blt_view_copy(v, bytes, CHUNK, at);
		if (n <= 0) {
			r = n < 0 ? (int)n : -EIO;
			break;
		}
		*ret_writing = true;
		if (hex) {
			hex_encode(digits, bytes, (size_t)n);
			r = tool_write_all(fd, digits, 2 * (size_t)n);
		} else {
			r = tool_write_all(fd, bytes, (size_t)n);
		}
		if (!r)
			*ret_writing = false;
	}
	if (!r && hex) {
		*ret_writing = true;
		r = tool_write_all(fd, "\n", 1);
	}
	free(digits);
	free(bytes);
	return r;
}

int tool_window_init(struct tool_window *w, int fd)
{
	*w = (struct tool_window){ .fd = fd };
	w->buf = malloc(WINDOW);
	return w->buf ? 0 : -ENOMEM;
}

void tool_window_free(struct tool_window *w)
{
	free(w->buf);
	w->buf = NULL;
}

int64_t tool_window_at(struct tool_window *w, uint64_t offset, uint64_t max,
		       const uint8_t **ret)
{
	if (offset < w->start || offset >= w->start + w->len) {
		ssize_t n;

		do
			n = pread(w->fd, w->buf, WINDOW, (off_t)offset);
		while (n < 0 && errno == EINTR);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		w->start = offset;
		w->len = (size_t)n;
	}
	*ret = w->buf + (offset - w->start);
	return (int64_t)min_u64(w->start + w->len - offset, max);
}
