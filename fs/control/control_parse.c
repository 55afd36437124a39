#include "control/control_inner.h"

#include "base/array.h"
#include "bltfs_ioctl.h"
#include "main/clock.h"
#include "map/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int control_split(char *line, struct control_words *ret)
{
	char *save = NULL;

	ret->n = 0;
	for (char *w = strtok_r(line, " \t\r", &save); w;
	     w = strtok_r(NULL, " \t\r", &save)) {
		if (ret->n == CONTROL_WORDS)
			return -E2BIG;
		ret->word[ret->n++] = w;
	}
	ret->word[ret->n] = NULL;
	return 0;
}

static int parse_u64(const char *text, uint64_t max, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' || *ret > max)
		return -EINVAL;
	return 0;
}

int control_parse_reindex(struct bltfs *fs, const struct control_words *w,
			  void *arg)
{
	struct bltfs_reindex *r = arg;
	uint64_t buckets = 0;
	int rc = 0;

	(void)fs;
	if (w->n > 2)
		return -EINVAL;
	if (w->n == 2)
		rc = parse_u64(w->word[1], UINT32_MAX, &buckets);
	r->buckets = (uint32_t)buckets;
	return rc;
}

int control_parse_job(struct bltfs *fs, const struct control_words *w,
		      void *arg)
{
	struct bltfs_job *j = arg;

	(void)fs;
	return w->n == 2 ? parse_u64(w->word[1], UINT64_MAX, &j->job) : -EINVAL;
}

/* @SECONDS since the epoch, or now. */
static int parse_time(const char *text, int64_t *ret)
{
	uint64_t seconds;

	*ret = clock_now_us();
	if (!strcmp(text, "now"))
		return 0;
	if (*text != '@' ||
	    parse_u64(text + 1, INT64_MAX / 1000000, &seconds) < 0 || !seconds)
		return -EINVAL;
	*ret = (int64_t)seconds * 1000000;
	return 0;
}

/* The keys that files at these paths have, as a prune wants them. */
static int keep_paths(struct bltfs *fs, char *const *path, size_t n,
		      uint64_t *ret_args)
{
	void *packed = NULL;
	size_t len = 0, key_len;
	uint8_t *key;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = blt_ns_key_of_path(fs->ns, path[i], &key, &key_len);
		if (rc < 0)
			break;
		rc = job_keys_add(&packed, &len, key, key_len);
		free(key);
	}
	if (rc == 0 && n)
		rc = control_args_add(fs->control, ret_args, packed, len);
	free(packed);
	return rc;
}

/* prune [older-than TIME [keep PATH...]] */
int control_parse_prune(struct bltfs *fs, const struct control_words *w,
			void *arg)
{
	struct bltfs_prune *p = arg;

	if (w->n == 1)
		return 0;
	if (w->n < 3 || strcmp(w->word[1], "older-than") != 0 ||
	    parse_time(w->word[2], &p->older_than) < 0 ||
	    (w->n > 3 && strcmp(w->word[3], "keep") != 0))
		return -EINVAL;
	if (!fs->opts->control_exec)
		return -EPERM;
	return w->n < 5 ? 0 : keep_paths(fs, w->word + 4, w->n - 4, &p->args);
}

/* The command of -o map=NAME=COMMAND, cut at its blanks; argv has room for
 * CONTROL_WORDS + 1.  -ENOENT. */
static int named_function(struct bltfs *fs, const char *name, char **argv,
			  char **ret_copy)
{
	size_t len = strlen(name), n = 0;
	char *save = NULL;

	for (size_t i = 0; i < fs->opts->n_map; i++) {
		const char *item = fs->opts->map[i];

		if (strncmp(item, name, len) != 0 || item[len] != '=')
			continue;
		*ret_copy = strdup(item + len + 1);
		if (!*ret_copy)
			return -ENOMEM;
		for (char *word = strtok_r(*ret_copy, " \t", &save);
		     word && n < CONTROL_WORDS;
		     word = strtok_r(NULL, " \t", &save))
			argv[n++] = word;
		return 0;
	}
	return -ENOENT;
}

/* What kind of function the words are; how has those behind the option. */
static int function_kind(char **argv, struct map_options *how)
{
	static const struct {
		const char *option;
		enum map_kind kind;
	} kinds[] = {
		{ "--framed", MAP_FRAMED },
		{ "--shared", MAP_SHARED },
		{ "--builtin", MAP_BUILTIN },
	};

	how->kind = MAP_COMMAND;
	how->argv = argv;
	for (size_t i = 0; argv[0] && i < ARRAY_SIZE(kinds); i++)
		if (strcmp(argv[0], kinds[i].option) == 0) {
			how->kind = kinds[i].kind;
			how->argv = argv + 1;
			break;
		}
	return how->argv[0] ? 0 : -EINVAL;
}

/* One word of a map, and what stands behind it; how many those are. */
static int map_word(char *const *word, struct map_options *how)
{
	const struct {
		const char *name;
		const char **text;
		int64_t *time;
	} rows[] = {
		{ "keys", &how->glob, NULL },
		{ "prefix", &how->prefix, NULL },
		{ "key", &how->key_template, NULL },
		{ "to", &how->to, NULL },
		{ "newer-than", NULL, &how->newer_than },
		{ "older-than", NULL, &how->older_than },
	};

	if (strcmp(word[0], "if-unchanged") == 0) {
		how->if_unchanged = true;
		return 1;
	}
	for (size_t i = 0; word[1] && i < ARRAY_SIZE(rows); i++) {
		if (strcmp(word[0], rows[i].name) != 0)
			continue;
		if (rows[i].time)
			return parse_time(word[1], rows[i].time) < 0 ? -EINVAL :
								       2;
		*rows[i].text = word[1];
		return 2;
	}
	return -EINVAL;
}

/* map NAME [WORD...]: only a function that the mounter named. */
int control_parse_map(struct bltfs *fs, const struct control_words *w,
		      void *arg)
{
	struct map_options how = { .max_errors = MAP_ERRORS_ANY };
	char *argv[CONTROL_WORDS + 1] = { NULL }, *copy = NULL;
	struct bltfs_map *m = arg;
	uint8_t *packed = NULL;
	size_t i = 2, len = 0;
	int rc, n;

	if (w->n < 2)
		return -EINVAL;
	rc = named_function(fs, w->word[1], argv, &copy);
	while (rc == 0 && i < w->n) {
		n = map_word(w->word + i, &how);
		rc = n < 0 ? n : 0;
		i += n < 0 ? 0 : (size_t)n;
	}
	if (rc == 0)
		rc = function_kind(argv, &how);
	if (rc == 0)
		rc = map_check(&how, NULL);
	if (rc == 0 && how.to && how.to[0] != '/' && !blt_is_url(how.to))
		rc = -EINVAL;
	/* what stands in the other store is overwritten */
	if (rc == 0 && how.to && !fs->opts->control_exec)
		rc = -EPERM;
	if (rc == 0)
		rc = map_pack(&how, &packed, &len);
	if (rc == 0)
		rc = control_args_add(fs->control, &m->args, packed, len);
	free(packed);
	free(copy);
	return rc;
}
