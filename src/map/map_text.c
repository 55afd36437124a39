#include "map/map_inner.h"

#include "booklet/format/name.h"
#include "booklet/format/serial.h"
#include "base/util.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static int number_text(const struct name_rules *rules, const void *key,
		       size_t len, char *to)
{
	char name[NAME_BUF];
	int n = name_write(rules, key, len, false, false, NULL, NULL, name);

	if (n >= 0)
		memcpy(to, name, (size_t)n + 1);
	return n;
}

int map_text(unsigned serializer, const void *key, size_t len, char *to)
{
	struct name_rules rules = { 0 };
	const char *from = key;
	size_t n = 0;

	rules.int_width = serial_int_width(serializer, &rules.int_signed);
	if (rules.int_width)
		return number_text(&rules, key, len, to);
	if (len > 65535)
		return -ENAMETOOLONG;
	for (size_t i = 0; i < len; i++) {
		if (from[i]) {
			to[n++] = from[i];
			continue;
		}
		memcpy(to + n, "%00", 3);
		n += 3;
	}
	to[n] = '\0';
	return (int)n;
}

struct span {
	const char *at;
	size_t len;
};

static struct span dir_of(const char *text, const char *name)
{
	if (name == text)
		return (struct span){ text, 0 };
	return (struct span){ text, (size_t)(name - text) - 1 };
}

static const char *ext_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && dot != name ? dot : name + strlen(name);
}

static const char *name_of(const char *text)
{
	const char *slash = strrchr(text, '/');

	return slash ? slash + 1 : text;
}

/* Which part a field is; a template that has no other was checked. */
static struct span field(const char *text, const char *f, size_t len)
{
	const char *name = name_of(text), *ext = ext_of(name);

	if (len == 3 && !memcmp(f, "key", 3))
		return (struct span){ text, strlen(text) };
	if (len == 3 && !memcmp(f, "dir", 3))
		return dir_of(text, name);
	if (len == 3 && !memcmp(f, "ext", 3))
		return (struct span){ ext, strlen(ext) };
	if (len == 4 && !memcmp(f, "name", 4))
		return (struct span){ name, strlen(name) };
	if (len == 4 && !memcmp(f, "stem", 4))
		return (struct span){ name, (size_t)(ext - name) };
	return (struct span){ NULL, 0 };
}

/* The next piece of a template, from *at on: 1; 0: the end; -EINVAL. */
static int next_piece(const char **at, const char *text, struct span *ret)
{
	const char *p = *at;
	size_t len = strcspn(p, "{}");

	if (!*p)
		return 0;
	if (len == 0 && p[0] == p[1]) {
		*ret = (struct span){ p, 1 };
		*at = p + 2;
	} else if (len == 0) {
		len = strcspn(p, "}");
		if (*p == '}' || !p[len])
			return -EINVAL;
		*ret = field(text, p + 1, len - 1);
		if (!ret->at)
			return -EINVAL;
		*at = p + len + 1;
		/* A key without a directory gets none. */
		if (!strncmp(p, "{dir}/", 6) && !strchr(text, '/'))
			*at += 1;
	} else {
		*ret = (struct span){ p, len };
		*at = p + len;
	}
	return 1;
}

int map_template(const char *template, const char *text, char *to, size_t room)
{
	const char *at = template;
	struct span s;
	size_t n = 0;
	int rc;

	while ((rc = next_piece(&at, text, &s)) > 0) {
		if (s.len > room - n)
			return -ENAMETOOLONG;
		memcpy(to + n, s.at, s.len);
		n += s.len;
	}
	return rc < 0 ? rc : (int)n;
}

int map_template_check(const char *template)
{
	struct span s;
	int rc;

	while ((rc = next_piece(&template, "", &s)) > 0)
		;
	return rc;
}
