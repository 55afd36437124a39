#include "map/map_inner.h"

#include "engine/backend.h"
#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "bltfs-map-worker"
#define ADDED_ENV 4 /* variables that make_env adds */

/* What workers see of our environment; a name that ends in '_' is any that
 * begins so. */
static const char *const passed[] = {
	"HOME",  "LANG", "LANGUAGE", "LC_", "LOGNAME", "PATH",
	"SHELL", "TERM", "TMPDIR",   "TZ",  "USER",
};

static const char *const kinds[] = {
	[MAP_COMMAND] = "command",
	[MAP_FRAMED] = "framed",
	[MAP_SHARED] = "shared",
	[MAP_BUILTIN] = "builtin",
};

/* A file of that name in the directory of the program. */
static int beside(const char *program, const char *name, char **ret)
{
	const char *slash = strrchr(program, '/');
	char *path;

	if (!slash || asprintf(&path, "%.*s/%s", (int)(slash - program),
			       program, name) < 0)
		return -ENOENT;
	if (access(path, R_OK) < 0) {
		free(path);
		return -ENOENT;
	}
	*ret = path;
	return 0;
}

int map_find_file(const char *name, const char *dir, char **ret)
{
	const char *given = getenv("BLT_MAP_WORKER");
	char self[4096];
	ssize_t n;

	if (given && beside(given, name, ret) == 0)
		return 0;
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		self[n] = '\0';
		if (beside(self, name, ret) == 0)
			return 0;
	}
	return asprintf(ret, "%s/%s", dir, name) < 0 ? -ENOMEM : 0;
}

static int find_program(char **ret)
{
	const char *given = getenv("BLT_MAP_WORKER");

	if (!given)
		return map_find_file(PROGRAM, PKGLIBEXECDIR, ret);
	*ret = strdup(given);
	return *ret ? 0 : -ENOMEM;
}

static int make_argv(struct map_function *f, const struct map_options *o)
{
	size_t n = 0;

	while (o->argv[n])
		n++;
	f->argv = calloc(n + 3, sizeof(*f->argv));
	if (!f->argv)
		return -ENOMEM;
	for (size_t i = 0; i < n + 2; i++) {
		f->argv[i] = strdup(i == 0 ? f->program :
				    i == 1 ? kinds[o->kind] :
					     o->argv[i - 2]);
		if (!f->argv[i])
			return -ENOMEM;
	}
	return 0;
}

static bool is_passed(const char *entry)
{
	size_t len = strcspn(entry, "=");

	for (size_t i = 0; i < ARRAY_SIZE(passed); i++) {
		size_t n = strlen(passed[i]);

		if (n <= len && !strncmp(entry, passed[i], n) &&
		    (n == len || passed[i][n - 1] == '_'))
			return true;
	}
	return false;
}

static int add_env(struct map_function *f, size_t *n, const char *name,
		   const char *value)
{
	if (asprintf(&f->env[*n], "%s=%s", name, value) < 0) {
		f->env[*n] = NULL;
		return -ENOMEM;
	}
	++*n;
	return 0;
}

/* What is asked for goes in front: of two of a name the first counts. */
static int copy_env(struct map_function *f, char *const *from, bool all,
		    size_t *n)
{
	for (; from && *from; from++) {
		if (!all && !is_passed(*from))
			continue;
		f->env[*n] = strdup(*from);
		if (!f->env[(*n)++])
			return -ENOMEM;
	}
	return 0;
}

static int make_env(struct map_function *f, struct blt *store,
		    char *const *asked)
{
	extern char **environ;
	const struct backend *is = store->backend;
	struct blt_info info;
	const char *type;
	char path[4096];
	size_t n = 0, all = 0;
	int rc;

	blt_get_info(store, &info);
	type = blt_serializer_name(info.key_serializer);
	for (char *const *e = environ; e && *e; e++)
		all++;
	for (char *const *e = asked; e && *e; e++)
		all++;
	f->env = calloc(all + ADDED_ENV + 1, sizeof(*f->env));
	if (!f->env)
		return -ENOMEM;
	rc = copy_env(f, asked, true, &n);
	if (rc == 0)
		rc = copy_env(f, environ, false, &n);
	if (rc == 0)
		rc = add_env(f, &n, "BLT_STORE",
			     realpath(blt_path(store), path) ? path :
							       blt_path(store));
	if (rc == 0 && type)
		rc = add_env(f, &n, "BLT_KEY_SERIALIZER", type);
	if (rc == 0 && is->database)
		rc = add_env(f, &n, "BLT_STORE_ENGINE", is->name);
	if (rc == 0 && is->database && is->database(store))
		rc = add_env(f, &n, "BLT_STORE_DB", is->database(store));
	return rc;
}

int map_function_make(struct map_function *f, struct blt *store,
		      const struct map_options *options)
{
	int rc;

	*f = (struct map_function){ 0 };
	rc = find_program(&f->program);
	if (rc == 0)
		rc = make_argv(f, options);
	return rc < 0 ? rc : make_env(f, store, options->env);
}

static void free_list(char **list)
{
	for (char **s = list; s && *s; s++)
		free(*s);
	free(list);
}

void map_function_free(struct map_function *f)
{
	free_list(f->argv);
	free_list(f->env);
	free(f->program);
	*f = (struct map_function){ 0 };
}
