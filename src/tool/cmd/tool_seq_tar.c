/* tool_seq_tar.c - items from a tar archive: a file at its top is a value, a
 * directory there a record, with the files below it as fields.
 *
 * The order is that of the archive.  A record ends where something comes that
 * is not below it.
 */
#include "tool/cmd/tool_seq.h"
#include "tool/tool_tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define READ_SIZE (256u << 10)

struct tar {
	struct seq_pending *p;
	struct seq_input *in;
	struct archive *a;
	uint8_t *buf;
	char *record; /* that is being put together, or NULL */
};

static la_ssize_t read_input(struct archive *a, void *arg, const void **ret)
{
	struct tar *tar = arg;
	int64_t n = seq_input_read(tar->in, tar->buf, READ_SIZE);

	if (n < 0) {
		archive_set_error(a, (int)-n, "%s", strerror((int)-n));
		return -1;
	}
	*ret = tar->buf;
	return (la_ssize_t)n;
}

static int fail_archive(struct tar *tar)
{
	const char *why = archive_error_string(tar->a);

	return tool_fail(tar->p->s->t, EX_DATAERR,
			 "%s: cannot be read as a tar archive%s%s",
			 tar->in->name, why ? ": " : "", why ? why : "");
}

static int fail_entry(struct tar *tar, const char *path, const char *why)
{
	return tool_fail(tar->p->s->t, EX_DATAERR,
			 "%s: %s: %s; what is before it is appended",
			 tar->in->name, path, why);
}

static struct seq_item_buf *next_item(struct tar *tar)
{
	return &tar->p->buf[tar->p->n];
}

static int end_record(struct tar *tar)
{
	if (!tar->record)
		return 0;
	free(tar->record);
	tar->record = NULL;
	return seq_pending_done(tar->p);
}

/* The record of that name, which may be the one at hand. */
static int begin_record(struct tar *tar, const char *name, size_t len)
{
	int code;

	if (tar->record && strlen(tar->record) == len &&
	    !memcmp(tar->record, name, len))
		return 0;
	code = end_record(tar);
	if (code)
		return code;
	tar->record = strndup(name, len);
	return tar->record ? 0 : tool_seq_fail(tar->p->s, NULL, -ENOMEM);
}

/* All bytes of the entry, malloc'd; archives do not always say truly how many
 * there are. */
static int read_bytes(struct tar *tar, char **ret, size_t *ret_len)
{
	size_t len = 0, room = 0;
	char *bytes = NULL, *shrunk;
	la_ssize_t got;

	do {
		if (room - len < READ_SIZE) {
			size_t more = room * 2 + READ_SIZE;
			char *grown = realloc(bytes, more);

			if (!grown) {
				free(bytes);
				return tool_seq_fail(tar->p->s, NULL, -ENOMEM);
			}
			bytes = grown;
			room = more;
		}
		got = archive_read_data(tar->a, bytes + len, room - len);
		len += got > 0 ? (size_t)got : 0;
	} while (got > 0);
	if (got < 0) {
		free(bytes);
		return fail_archive(tar);
	}
	shrunk = realloc(bytes, len + 1); /* many of them wait */
	if (!shrunk)
		shrunk = bytes;
	*ret = shrunk;
	*ret_len = len;
	return 0;
}

static int take_file(struct tar *tar, const char *path)
{
	const char *slash = strchr(path, '/');
	char *bytes = NULL, *name = NULL;
	size_t len = 0;
	int code, r;

	code = slash ? begin_record(tar, path, (size_t)(slash - path)) :
		       end_record(tar);
	if (!code)
		code = read_bytes(tar, &bytes, &len);
	if (code)
		return code;
	if (slash)
		name = strdup(slash + 1);
	if (slash && !name) {
		free(bytes);
		r = -ENOMEM;
	} else {
		r = seq_item_add(next_item(tar), name, name ? strlen(name) : 0,
				 bytes, len);
	}
	if (r < 0)
		return tool_seq_fail(tar->p->s, NULL, r);
	return slash ? 0 : seq_pending_done(tar->p);
}

static int take_path(struct tar *tar, struct archive_entry *e, char *path)
{
	size_t control = strlen(TREE_CONTROL);
	int code;

	if (!*path || (!strncmp(path, TREE_CONTROL, control) &&
		       (!path[control] || path[control] == '/')))
		return 0;
	if (!archive_entry_hardlink(e) && archive_entry_filetype(e) == AE_IFREG)
		return take_file(tar, path);
	/* also where it fails: the record before it is whole */
	code = begin_record(tar, path, strcspn(path, "/"));
	if (code || archive_entry_filetype(e) == AE_IFDIR)
		return code;
	return fail_entry(tar, path, "is neither a file nor a directory");
}

static int take_entry(struct tar *tar, struct archive_entry *e)
{
	const char *name = archive_entry_pathname(e);
	char *copy = name ? strdup(name) : NULL, *path;
	int code;

	if (!copy)
		return fail_entry(tar, "?", "its name cannot be read");
	path = tree_clean_path(copy);
	code = path ? take_path(tar, e, path) :
		      fail_entry(tar, copy,
				 "the path leads out of the archive");
	free(copy);
	return code;
}

static int take_entries(struct tar *tar)
{
	struct archive_entry *e;
	int code = 0;

	while (!code && !tool_signal()) {
		int r = archive_read_next_header(tar->a, &e);

		if (r == ARCHIVE_EOF)
			return end_record(tar);
		code = r < ARCHIVE_WARN ? fail_archive(tar) :
					  take_entry(tar, e);
	}
	return code;
}

int seq_extend_tar(struct seq_pending *p, struct seq_input *in)
{
	struct tar tar = { .p = p, .in = in };
	int code;

	tar.a = tree_tar_reader();
	tar.buf = malloc(READ_SIZE);
	if (!tar.a || !tar.buf)
		code = tool_seq_fail(p->s, NULL, -ENOMEM);
	else if (archive_read_open(tar.a, &tar, NULL, read_input, NULL) !=
		 ARCHIVE_OK)
		code = fail_archive(&tar);
	else
		code = take_entries(&tar);
	/* one that is not whole */
	seq_item_free(next_item(&tar));
	free(tar.record);
	archive_read_free(tar.a);
	free(tar.buf);
	return code;
}
