#include "base/mountinfo.h"

#include "base/os.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Octal escapes stand for blanks and backslashes; in place. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		unsigned c;

		if (sscanf(s, "\\%3o", &c) == 1 &&
		    strspn(s + 1, "01234567") >= 3) {
			*to++ = (char)c;
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* ID PARENT DEV ROOT POINT OPTIONS [TAG...] - TYPE SOURCE OPTIONS; the fields
 * point into line. */
static bool parse_mount(char *line, struct mountinfo *ret)
{
	char *dash = strstr(line, " - "), *save = NULL, *options;

	if (!dash)
		return false;
	*dash = '\0';
	for (int i = 0; i < 4; i++) {
		const char *field = strtok_r(i ? NULL : line, " ", &save);

		if (!field || (i == 2 && sscanf(field, "%u:%u", &ret->major,
						&ret->minor) != 2))
			return false;
	}
	ret->point = strtok_r(NULL, " ", &save);
	options = strtok_r(NULL, " ", &save);
	ret->type = strtok_r(dash + 3, " ", &save);
	ret->source = strtok_r(NULL, " ", &save);
	if (!ret->point || !options || !ret->type || !ret->source)
		return false;
	ret->read_only = !strncmp(options, "ro", 2) &&
			 (options[2] == ',' || options[2] == '\0');
	unescape(ret->point);
	unescape(ret->source);
	return true;
}

static int copy_mount(const struct mountinfo *from, struct mountinfo *to)
{
	*to = (struct mountinfo){
		.point = strdup(from->point),
		.type = strdup(from->type),
		.source = strdup(from->source),
		.read_only = from->read_only,
		.major = from->major,
		.minor = from->minor,
	};
	if (to->point && to->type && to->source)
		return 0;
	mountinfo_free(to);
	return -ENOMEM;
}

int mountinfo_each_in(const char *path,
		      int (*fn)(void *arg, const struct mountinfo *m),
		      void *arg)
{
	FILE *f = fopen(path, "re");
	struct mountinfo m;
	char *line = NULL;
	size_t room = 0;
	int r = 0;

	if (!f)
		return -errno;
	while (!r && getline(&line, &room, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (parse_mount(line, &m))
			r = fn(arg, &m);
	}
	free(line);
	fclose(f);
	return r;
}

int mountinfo_each(int (*fn)(void *arg, const struct mountinfo *m), void *arg)
{
	return mountinfo_each_in("/proc/self/mountinfo", fn, arg);
}

struct search {
	const char *point;
	struct mountinfo found;
};

/* A later mount hides an earlier one of the same place. */
static int compare_mount(void *arg, const struct mountinfo *m)
{
	struct search *s = arg;

	if (strcmp(m->point, s->point) != 0)
		return 0;
	mountinfo_free(&s->found);
	return copy_mount(m, &s->found);
}

int mountinfo_find(const char *point, struct mountinfo *ret)
{
	struct search s = { .point = point };
	int r = mountinfo_each(compare_mount, &s);

	if (!r && !s.found.point)
		r = -ENOENT;
	if (!r)
		*ret = s.found;
	return r;
}

void mountinfo_free(struct mountinfo *m)
{
	free(m->point);
	free(m->type);
	free(m->source);
	*m = (struct mountinfo){ 0 };
}

/* ---- who has a store ---- */

static int compare_source(void *arg, const struct mountinfo *m)
{
	struct search *s = arg;

	if (strcmp(m->source, s->point) != 0 ||
	    strcmp(m->type, MOUNTINFO_BLTFS) != 0)
		return 0;
	mountinfo_free(&s->found);
	return copy_mount(m, &s->found);
}

bool mountinfo_user(const char *store, char *to, size_t size)
{
	char *path = realpath(store, NULL), holder[128];
	struct search s = { .point = path ? path : store };
	struct stat st = { 0 };
	bool mounted;

	if (stat(s.point, &st) < 0 || mountinfo_each(compare_source, &s) < 0)
		mountinfo_free(&s.found);
	lockinfo_holder(st.st_dev, st.st_ino, holder, sizeof(holder));
	mounted = s.found.point != NULL;
	if (mounted)
		snprintf(to, size, "is mounted on %s, by %s", s.found.point,
			 holder);
	else
		snprintf(to, size, "is in use by %s", holder);
	mountinfo_free(&s.found);
	free(path);
	return mounted;
}
