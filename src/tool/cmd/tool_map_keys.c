/* tool_map_keys.c - the keys that a file lists. */
#include "tool/mount_client.h"
#include "tool/cmd/tool_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static int add_key(struct map_options *o, const struct tool_key *key)
{
	/* Room doubles at each power of two. */
	size_t n = o->n_keys;
	struct map_key *keys = (struct map_key *)(uintptr_t)o->keys;

	if ((n & (n - 1)) == 0) {
		struct map_key *more =
			realloc(keys, (n ? 2 * n : 1) * sizeof(*keys));

		if (!more)
			return -ENOMEM;
		o->keys = keys = more;
	}
	keys[n] = (struct map_key){ key->bytes, key->len };
	o->n_keys++;
	return 0;
}

static int read_lines(struct tool *t, int mount, FILE *f, struct map_options *o)
{
	int end = tool_has(t, OPT_NUL) ? '\0' : '\n', code = 0;
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	while (!code && (n = getdelim(&line, &room, end, f)) > 0) {
		struct tool_key key;

		if (line[n - 1] == end)
			line[n - 1] = '\0';
		/* One that is not there is the map's to tell. */
		if (mount >= 0)
			code = mount_client_key(t, mount, line, &key, NULL);
		else
			code = tool_key(t, line, true, &key);
		if (!code && add_key(o, &key) < 0) {
			tool_key_free(&key);
			code = tool_fail(t, EX_OSERR, "out of memory");
		}
	}
	free(line);
	return code;
}

int map_keys_read(struct tool *t, int mount, const char *path,
		  struct map_options *options)
{
	bool standard = !strcmp(path, "-");
	FILE *f = standard ? stdin : fopen(path, "re");
	int code;

	if (!f)
		return tool_fail_file(t, path, "open", -errno);
	options->keys_only = true;
	code = read_lines(t, mount, f, options);
	if (!code && ferror(f))
		code = tool_fail_file(t, path, "read", -EIO);
	if (!standard)
		fclose(f);
	return code;
}

void map_keys_free(struct map_options *options)
{
	for (size_t i = 0; i < options->n_keys; i++)
		free((void *)(uintptr_t)options->keys[i].bytes);
	free((void *)(uintptr_t)options->keys);
	options->keys = NULL;
	options->n_keys = 0;
}
