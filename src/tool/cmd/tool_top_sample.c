/* tool_top_sample.c - the facts of a mount, read from its control directory.
 *
 * Nothing is kept open between two samples: a mount that somebody looks at can
 * be unmounted.
 */
#include "tool/mount_client.h"
#include "tool/cmd/tool_top.h"

#include "bltfs_ioctl.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void take_text(char **to, const char *value)
{
	free(*to);
	*to = strdup(value);
}

static void take_number(struct top_sample *s, const char *name,
			const char *value)
{
	uint64_t v = strtoull(value, NULL, 10);

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
		k->total_us = strtod(value, NULL);
	else if (!strcmp(dot, ".longest_us"))
		k->longest_us = strtod(value, NULL);
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
	value[strcspn(value, "\n")] = '\0';
	if (!strncmp(line, "op.", 3))
		take_kind(s, line + 3, value);
	else if (!strcmp(line, "store"))
		take_text(&s->store, value);
	else if (!strcmp(line, "failed"))
		take_text(&s->failed, value);
	else
		take_number(s, line, value);
}

/* fd is that of the root.  0 or -errno. */
static int read_stats(int fd, struct top_sample *s)
{
	struct bltfs_name name;
	char path[sizeof(name.name) + sizeof("/stats")], *line = NULL;
	size_t room = 0;
	FILE *from;
	int file;

	if (ioctl(fd, BLTFS_IOC_NAME, &name) < 0)
		return -errno;
	snprintf(path, sizeof(path), "%.*s/stats", (int)sizeof(name.name),
		 name.name);
	file = openat(fd, path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return -errno;
	from = fdopen(file, "r");
	if (!from) {
		close(file);
		return -ENOMEM;
	}
	while (getline(&line, &room, from) > 0)
		take_line(s, line);
	free(line);
	fclose(from);
	return 0;
}

static int read_jobs(int fd, struct top_sample *s)
{
	struct job_info info = { 0 }, *more;
	int r;

	while ((r = mount_client_job(fd, info.id, true, &info)) == 0) {
		more = realloc(s->job, (s->n_jobs + 1) * sizeof(info));
		if (!more)
			return -ENOMEM;
		s->job = more;
		s->job[s->n_jobs++] = info;
	}
	return r == -ESRCH ? 0 : r;
}

int top_take(int fd, struct top_sample *ret)
{
	int r;

	*ret = (struct top_sample){ .at = now_us() };
	r = read_stats(fd, ret);
	if (!r)
		r = read_jobs(fd, ret);
	return !r && !ret->store ? -ENOMEM : r;
}

void top_free(struct top_sample *s)
{
	free(s->store);
	free(s->failed);
	free(s->job);
	*s = (struct top_sample){ 0 };
}
