/* What makes a map another map: its function, by name and arguments, the items
 * that it takes, and where the results go.  How it is run (workers, time-outs,
 * environment) does not count, nor does what the function's file holds. */
#include "map/map_inner.h"

#include "base/util.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void add_bytes(FILE *to, const void *bytes, size_t len)
{
	fprintf(to, "%zu:", len);
	fwrite(bytes ? bytes : "", 1, len, to);
}

static void add_text(FILE *to, const char *text)
{
	if (text)
		add_bytes(to, text, strlen(text));
	else
		fputc('-', to);
}

/* The keys of a list whatever their order: the sum of their hashes. */
static void add_keys(FILE *to, const struct map_options *o)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < o->n_keys; i++)
		sum += blt_key_hash(o->keys[i].bytes, o->keys[i].len);
	fprintf(to, "%d,%zu,%llx", o->keys_only, o->n_keys,
		(unsigned long long)sum);
}

/* Another store keeps its name wherever its file goes; an engine without such
 * names has paths. */
static void add_input(FILE *to, struct blt *in)
{
	static const uint8_t none[sizeof(((struct blt_info *)NULL)->uuid)];
	char path[PATH_MAX];
	struct blt_info info;

	blt_get_info(in, &info);
	if (memcmp(info.uuid, none, sizeof(none)) != 0)
		add_bytes(to, info.uuid, sizeof(info.uuid));
	else
		add_text(to,
			 realpath(blt_path(in), path) ? path : blt_path(in));
}

/* "framed worker.py -x" */
static void write_function(const struct map_options *o, char *to, size_t room)
{
	static const char *const kinds[] = { "", "framed ", "shared ",
					     "builtin " };
	size_t n = 0;

	for (size_t i = 0; o->argv[i] && n < room; i++)
		n += (size_t)snprintf(to + n, room - n, "%s%s",
				      i ? " " : kinds[o->kind],
				      i ? o->argv[i] : base_name(o->argv[0]));
}

int map_identity(const struct map_options *o, struct blt *in,
		 uint8_t ret[BLT_HASH_LEN], char *function, size_t room)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int rc;

	if (!f)
		return -ENOMEM;
	fprintf(f, "%d", (int)o->kind);
	for (size_t i = 0; o->argv[i]; i++)
		add_text(f, i ? o->argv[i] : base_name(o->argv[0]));
	add_text(f, o->glob);
	add_text(f, o->prefix);
	add_keys(f, o);
	fprintf(f, ",%lld,%lld,%d", (long long)o->newer_than,
		(long long)o->older_than, o->if_unchanged);
	add_text(f, o->key_template);
	if (o->flat)
		add_text(f, "flat");
	if (o->to)
		add_input(f, in);
	rc = ferror(f) | fclose(f) ? -ENOMEM : 0;
	if (rc == 0) {
		blt_key_digest(text, len, ret);
		write_function(o, function, room);
	}
	free(text);
	return rc;
}
