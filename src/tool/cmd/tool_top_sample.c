/* tool_top_sample.c - the facts of a mount, read from its control directory.
 *
 * Nothing is kept open between two samples: a mount that somebody looks at can
 * be unmounted.
 */
#include "tool/mount_client.h"
#include "tool/mount_ask.h"
#include "tool/cmd/tool_top.h"

#include "bltfs_ioctl.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATS_MAX ((size_t)1 << 20) /* bytes */

/* Lines of .bltfs/stats that are one number. */
static const struct number {
	const char *name;
	size_t offset;
} numbers[] = {
	{ "counted", offsetof(struct top_sample, counted) },
	{ "dead_bytes", offsetof(struct top_sample, dead_bytes) },
	{ "file_bytes", offsetof(struct top_sample, file_bytes) },
	{ "inodes", offsetof(struct top_sample, inodes) },
	{ "keys", offsetof(struct top_sample, keys) },
	{ "live_bytes", offsetof(struct top_sample, live_bytes) },
	{ "mounted", offsetof(struct top_sample, mounted) },
	{ "staged_bytes", offsetof(struct top_sample, staged_bytes) },
};

/* A terminal must not obey what a daemon says. */
static void hide_controls(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static void take_text(char **to, const char *value)
{
	free(*to);
	*to = strdup(value);
}

static void take_number(struct top_sample *s, const char *name,
			const char *value)
{
	/* some are times, which have a sign */
	uint64_t v = min_u64(strtoull(value, NULL, 10), INT64_MAX);

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (!strcmp(numbers[i].name, name))
			memcpy((char *)s + numbers[i].offset, &v, sizeof(v));
	}
}

/* The kind of that name, which the first line on it makes. */
static struct top_kind *kind_named(struct top_sample *s, const char *name,
				   size_t len)
{
	struct top_kind *k = s->kind;

	for (; k < s->kind + s->n_kinds; k++) {
		if (strlen(k->name) == len && !memcmp(k->name, name, len))
			return k;
	}
	if (s->n_kinds == TOP_KINDS || len >= sizeof(k->name))
		return NULL;
	memcpy(k->name, name, len);
	s->n_kinds++;
	return k;
}

/* 0 where it is none that counts. */
static double number_of(const char *text)
{
	double v = strtod(text, NULL);

	return isfinite(v) && v > 0 ? v : 0;
}

/* "op.NAME.FIELD" */
static void take_kind(struct top_sample *s, const char *name, const char *value)
{
	const char *dot = strchr(name, '.');
	struct top_kind *k =
		dot ? kind_named(s, name, (size_t)(dot - name)) : NULL;
	char *end;

	if (!k)
		return;
	if (!strcmp(dot, ".calls"))
		k->calls = strtoull(value, NULL, 10);
	else if (!strcmp(dot, ".total_us"))
		k->total_us = number_of(value);
	else if (!strcmp(dot, ".longest_us"))
		k->longest_us = number_of(value);
	else if (!strcmp(dot, ".times"))
		for (size_t i = 0; i < TOP_TIMES && *value; i++, value = end) {
			k->times[i] = strtoull(value, &end, 10);
			if (end == value)
				break;
		}
}

static void take_line(struct top_sample *s, char *line)
{
	char *value = strchr(line, ' ');

	if (!value)
		return;
	*value++ = '\0';
	hide_controls(line);
	hide_controls(value);
	if (!strncmp(line, "op.", 3))
		take_kind(s, line + 3, value);
	else if (!strcmp(line, "store"))
		take_text(&s->store, value);
	else if (!strcmp(line, "failed"))
		take_text(&s->failed, value);
	else
		take_number(s, line, value);
}

/* All of a file, as a text; malloc'd.  -EPROTO: longer than any that a mount
 * writes. */
static int read_text(int file, char **ret)
{
	char *text = malloc(STATS_MAX + 1);
	size_t len = 0;
	ssize_t n = 1;

	if (!text)
		return -ENOMEM;
	while (n > 0 && len < STATS_MAX) {
		n = read(file, text + len, STATS_MAX - len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (n != 0) {
		free(text);
		return n < 0 ? -errno : -EPROTO;
	}
	text[len] = '\0';
	*ret = text;
	return 0;
}

/* fd is that of the root.  0 or -errno. */
static int read_stats(int fd, struct top_sample *s)
{
	struct bltfs_name name;
	char path[sizeof(name.name) + sizeof("/stats")];
	char *text = NULL, *rest, *line;
	int file, r = mount_ask(fd, BLTFS_IOC_NAME, &name);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/stats", name.name);
	file = openat(fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (file < 0)
		return -errno;
	r = read_text(file, &text);
	close(file);
	if (r < 0)
		return r;
	rest = text;
	while ((line = strsep(&rest, "\n")))
		take_line(s, line);
	free(text);
	return 0;
}

static int read_jobs(int fd, struct top_sample *s)
{
	struct job_list list = { .fd = fd };
	struct job_info info, *more;
	int r;

	while ((r = mount_client_next_job(&list, &info)) > 0) {
		more = realloc(s->job, (s->n_jobs + 1) * sizeof(info));
		if (!more)
			return -ENOMEM;
		s->job = more;
		hide_controls(info.text);
		s->job[s->n_jobs++] = info;
	}
	return r;
}

int top_take(int fd, struct top_sample *ret)
{
	int r;

	*ret = (struct top_sample){ .at = now_us() };
	r = read_stats(fd, ret);
	if (!r)
		r = read_jobs(fd, ret);
	return !r && !ret->store ? -EPROTO : r;
}

void top_free(struct top_sample *s)
{
	free(s->store);
	free(s->failed);
	free(s->job);
	*s = (struct top_sample){ 0 };
}
