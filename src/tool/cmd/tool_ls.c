/* tool_ls.c - blt ls: the tree of names that a mount shows. */
#include "tool/tool.h"
#include "base/util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* One name to be printed; who keeps it owns name and key. */
struct entry {
	const char *name;
	enum blt_kind kind;
	const uint8_t *key;
	size_t key_len;
	struct blt_stat stat;
};

struct listing {
	struct tool *t;
	struct jout json;
	bool as_json, details, nul, classify;
	bool txn_keyset_are_dirs; /* a key "path/" holds a directory in being */
	struct entry *entries;
	size_t n, room;
	int (*order)(const void *a, const void *b); /* NULL: as they come */
	uint64_t limit;                             /* so many, no more */
	uint64_t printed;
};

static void print_entry(struct listing *l, const struct entry *e)
{
	bool dir = e->kind == BLT_DIR;
	char when[TIME_BUF];

	if (l->printed++ >= l->limit)
		return;
	if (l->as_json) {
		jout_open(&l->json, NULL, '{');
		jout_bytes(&l->json, "name", e->name, strlen(e->name));
		jout_text(&l->json, "type", dir ? "directory" : "file");
		jout_hex(&l->json, dir ? "prefix_hex" : "key_hex", e->key,
			 e->key_len);
		jout_u64(&l->json, "size", dir ? 0 : e->stat.len);
		jout_time(&l->json, dir ? BLT_NO_TIME : e->stat.timestamp);
		jout_close(&l->json, '}');
		return;
	}
	if (l->details)
		printf("%c %12" PRIu64 " %-27s ", dir ? 'd' : '-',
		       dir ? 0 : e->stat.len,
		       dir ? "-" : time_text(e->stat.timestamp, when));
	tool_print_name(e->name, strlen(e->name));
	if (dir && l->classify)
		putchar('/');
	putchar(l->nul ? '\0' : '\n');
}

static void free_entry(struct entry *e)
{
	free((void *)(uintptr_t)e->name);
	free((void *)(uintptr_t)e->key);
}

static void free_entries(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free_entry(&l->entries[i]);
	}
	free(l->entries);
}

/* With a limit, twice as many and some are kept at most. */
static void drop_beyond(struct listing *l)
{
	if (l->n / 2 < l->limit || l->n < 1024)
		return;
	qsort(l->entries, l->n, sizeof(*l->entries), l->order);
	while (l->n > l->limit)
		free_entry(&l->entries[--l->n]);
}

static int keep_entry(struct listing *l, const struct blt_ns_entry *from)
{
	struct entry *e;
	uint8_t *key;

	if (ARRAY_ROOM(l->entries, l->room, l->n + 1) < 0)
		return -ENOMEM;
	e = &l->entries[l->n];
	*e = (struct entry){ .kind = from->kind, .stat = from->stat };
	e->name = strndup(from->name, from->name_len);
	if (l->as_json && from->key_len) {
		e->key = key = malloc(from->key_len);
		e->key_len = from->key_len;
		if (key)
			memcpy(key, from->key, from->key_len);
	}
	if (!e->name || (e->key_len && !e->key)) {
		free_entry(e);
		return -ENOMEM;
	}
	l->n++;
	drop_beyond(l);
	return 0;
}

static int take_entry(void *arg, const struct blt_ns_entry *from)
{
	struct listing *l = arg;
	const struct entry e = { from->name, from->kind, from->key,
				 from->key_len, from->stat };

	if (l->order)
		return keep_entry(l, from);
	print_entry(l, &e);
	return ferror(stdout) || l->printed >= l->limit;
}

static int by_name(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* The largest first. */
static int by_size(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->stat.len != y->stat.len)
		return x->stat.len > y->stat.len ? -1 : 1;
	return by_name(a, b);
}

/* The newest first. */
static int by_time(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->stat.timestamp != y->stat.timestamp)
		return x->stat.timestamp > y->stat.timestamp ? -1 : 1;
	return by_name(a, b);
}

static void print_sorted(struct listing *l)
{
	if (l->n)
		qsort(l->entries, l->n, sizeof(*l->entries), l->order);
	for (size_t i = 0; i < l->n && !ferror(stdout); i++)
		print_entry(l, &l->entries[i]);
}

static int list_directory(struct listing *l, const struct blt_node *dir)
{
	int r = blt_ns_list(l->t->ns, dir->key, dir->key_len, 0, take_entry, l);

	if (r >= 0)
		print_sorted(l);
	free_entries(l);
	return r < 0 ? r : 0;
}

/* Whether a key only holds a directory in being; *ret_empty: it has nothing
 * else. */
static int is_marker(struct listing *l, const struct blt_item *item, bool *ret,
		     bool *ret_empty)
{
	struct blt_dir_facts facts;
	int r;

	*ret = false;
	if (!l->txn_keyset_are_dirs || !item->key_len ||
	    item->key[item->key_len - 1] != '/')
		return 0;
	r = blt_ns_dir(l->t->ns, item->key, item->key_len, &facts);
	if (r == -ENOENT || (!r && !facts.marked)) /* a file */
		return 0;
	*ret = true;
	*ret_empty = !r && !facts.entries;
	return r;
}

static int print_item(struct listing *l, const struct blt_item *item)
{
	struct entry e = { .kind = BLT_FILE,
			   .key = item->key,
			   .key_len = item->key_len,
			   .stat = { .len = item->value_len,
				     .timestamp = item->timestamp } };
	bool marker, empty = false;
	char *path = NULL;
	int r;

	r = is_marker(l, item, &marker, &empty);
	if (r < 0 || (marker && !empty))
		return r;
	r = blt_ns_path(l->t->ns, item->key, item->key_len, &path);
	if (r < 0)
		return r;
	e.name = path;
	if (marker)
		e.kind = BLT_DIR;
	if (l->order)
		r = keep_entry(l,
			       &(struct blt_ns_entry){ .name = path,
						       .name_len = strlen(path),
						       .kind = e.kind,
						       .key = e.key,
						       .key_len = e.key_len,
						       .stat = e.stat });
	else
		print_entry(l, &e);
	free(path);
	return r;
}

/* All keys below a directory, in the order of the file. */
static int list_tree(struct listing *l, const struct blt_node *dir)
{
	struct blt_iter *it;
	struct blt_item item;
	int r;

	/* A name depends on all keys: none is right before the walk's end. */
	r = blt_ns_wait(l->t->ns);
	if (r < 0)
		return r;
	r = blt_iter_new(l->t->store, &it);
	if (r < 0)
		return r;
	while ((r = blt_iter_next(it, &item)) > 0 && !ferror(stdout) &&
	       l->printed < l->limit) {
		if (item.key_len < dir->key_len ||
		    (dir->key_len &&
		     memcmp(item.key, dir->key, dir->key_len) != 0))
			continue;
		/* The directory itself is not below itself. */
		if (dir->key_len && item.key_len == dir->key_len &&
		    !item.value_len)
			continue;
		r = print_item(l, &item);
		if (r < 0)
			break;
	}
	blt_iter_free(it);
	if (r >= 0)
		print_sorted(l);
	free_entries(l);
	return r < 0 ? r : 0;
}

/* Finds what PATH is; without one, the root. */
static int find_start(struct listing *l, const char *path, struct blt_node *ret)
{
	struct tool *t = l->t;
	int code, r;

	*ret = (struct blt_node){ .kind = BLT_DIR };
	code = tool_need_ns(t);
	if (code || !path[strspn(path, "/")])
		return code;
	/* Before the walk's end a directory can look like a key. */
	r = blt_ns_wait(t->ns);
	if (!r)
		r = blt_ns_resolve(t->ns, path, ret);
	if (r == -ENOENT)
		return tool_fail(t, TOOL_NOT_FOUND,
				 "%s: no such path in %s; \"blt ls -R\" prints "
				 "them all",
				 path, blt_path(t->store));
	return r < 0 ? tool_fail_store(t, path, r) : 0;
}

static int list(struct listing *l, const char *path)
{
	struct tool *t = l->t;
	struct blt_node start;
	int code, r = 0;

	code = find_start(l, path, &start);
	if (code)
		return code;
	if (l->as_json)
		jout_open(&l->json, NULL, '[');
	if (start.kind == BLT_FILE) {
		const struct entry e = { path + strspn(path, "/"), BLT_FILE,
					 start.key, start.key_len, start.stat };

		print_entry(l, &e);
	} else if (tool_has(t, OPT_RECURSIVE)) {
		r = list_tree(l, &start);
	} else {
		r = list_directory(l, &start);
	}
	free(start.key);
	if (l->as_json)
		jout_close(&l->json, ']');
	return r < 0 ? tool_fail_store(t, *path ? path : NULL, r) : EX_OK;
}

/* --sort, --unsorted and --limit.  0, or an exit code after a message. */
static int choose_order(struct listing *l)
{
	const struct tool *t = l->t;
	const char *by = t->opt[OPT_SORT];

	if (by && tool_has(t, OPT_UNSORTED))
		return tool_fail(t, EX_USAGE,
				 "--sort and --unsorted: give one of the two");
	if (!by && !tool_has(t, OPT_UNSORTED) && !tool_has(t, OPT_RECURSIVE))
		l->order = by_name;
	else if (by && !strcmp(by, "name"))
		l->order = by_name;
	else if (by && !strcmp(by, "size"))
		l->order = by_size;
	else if (by && !strcmp(by, "time"))
		l->order = by_time;
	else if (by)
		return tool_fail(t, EX_USAGE,
				 "--sort %s: expected is name, size or time",
				 by);
	return tool_opt_u64(t, OPT_LIMIT, 1, UINT64_MAX, UINT64_MAX, &l->limit);
}

static int run_ls(struct tool *t)
{
	struct listing l = {
		.t = t,
		.json = { .to = stdout, .flat = true },
		.as_json = tool_has(t, OPT_JSON),
		.details = tool_has(t, OPT_LONG),
		.nul = tool_has(t, OPT_NUL),
		.classify =
			tool_has(t, OPT_CLASSIFY) || tool_has(t, OPT_RECURSIVE),
	};
	struct blt_info info;
	int code = choose_order(&l);

	if (!code)
		code = tool_open(t, t->arg[0], BLT_READ, NULL);
	if (code)
		return code;
	blt_get_info(t->store, &info);
	l.txn_keyset_are_dirs =
		!tool_has(t, OPT_FLAT) && !info.value_len && !tool_int_keys(t);
	return list(&l, t->n_args > 1 ? t->arg[1] : "");
}

static const struct tool_option options[] = {
	{ OPT_LONG, 'l', "long", NULL,
	  "kind (d, -), size and time in front of each name" },
	{ OPT_RECURSIVE, 'R', "recursive", NULL,
	  "the paths of all keys below PATH, in the order of the file" },
	{ OPT_CLASSIFY, 'p', "slash", NULL, "a / behind directories" },
	{ OPT_SORT, 's', "sort", "ORDER",
	  "name, size (largest first) or time (newest first)" },
	{ OPT_LIMIT, 'n', "limit", "N", "the first N only" },
	{ OPT_UNSORTED, 'U', "unsorted", NULL,
	  "do not sort: takes no memory for large directories" },
	{ OPT_NUL, '0', "null", NULL,
	  "a NUL behind each name instead of a line feed" },
	{ OPT_FLAT, 'F', "flat", NULL,
	  "names as with the mount option flat: / in a key is %2F" },
	TOOL_OPT_JSON,
	TOOL_OPT_DB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_ls = {
	.name = "ls",
	.args = "STORE [PATH]",
	.summary = "list keys as a mount shows them",
	.help = "Lists the names of a directory, sorted, as a mount of the "
		"store shows them; with -R the paths of all keys below it, "
		"and of empty directories with a / behind. Where the output "
		"is a terminal, control characters are printed as ?.",
	.min_args = 1,
	.max_args = 2,
	.options = options,
	.run = run_ls,
};
