/* Listing a directory (dir.h).
 *
 * Offsets: 0 stands before ".", 1 before "..", 2 behind it.  Then come the
 * fresh files as they were when this handle began, 2 + i standing before the
 * i-th; and the stored entries, the cookie plus 2 standing behind each.  A
 * cookie is 63 bits of a hash, so that one which is as small as the number of
 * fresh files does not happen (less than once in 2^40 listings).
 *
 * Hashes are those of keys, so a directory that moves, itself or with one
 * above it, lists in another order with other offsets.  The names are the
 * same, and so is the time that the kernel goes by; what it keeps of a listing
 * from before must not be gone on with.  It may drop pages at any time and ask
 * us for the rest.
 */
#include "dir.h"

#include "attr.h"
#include "beside.h"
#include "content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST 2 /* offset behind "." and ".." */

struct found {
	char *name;
	enum blt_kind kind;
	uint8_t *key;
	size_t key_len;
	uint64_t hash;
	uint64_t offset;
	struct blt_stat stat;
};

struct list {
	struct found *item;
	size_t n, room;
};

struct dir_handle {
	struct node_open open;
	struct node *node;
	struct beside_open beside;
	struct list fresh;
	bool cacheable;
	bool keep;
};

/* What a listing callback works on. */
struct taking {
	struct list *list;
	const struct list *skip; /* listed already */
	size_t budget;
	size_t (*cost)(size_t name_len);
};

static void list_clear(struct list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->item[i].name);
		free(l->item[i].key);
	}
	free(l->item);
	*l = (struct list){ 0 };
}

static int list_add(struct list *l, const char *name, enum blt_kind kind,
		    const uint8_t *key, size_t key_len, uint64_t hash,
		    uint64_t offset, const struct blt_stat *st)
{
	struct found *f;

	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 32;

		f = realloc(l->item, room * sizeof(*f));
		if (!f)
			return -ENOMEM;
		l->item = f;
		l->room = room;
	}
	f = &l->item[l->n];
	*f = (struct found){
		.name = strdup(name),
		.kind = kind,
		.key = malloc(key_len + 1),
		.key_len = key_len,
		.hash = hash,
		.offset = offset,
		.stat = *st,
	};
	if (!f->name || !f->key) {
		free(f->name);
		free(f->key);
		return -ENOMEM;
	}
	memcpy(f->key, key, key_len);
	l->n++;
	return 0;
}

/* ---- open ---- */

static int take_fresh(void *arg, const struct node *node)
{
	struct list *l = arg;
	struct blt_stat st = { .timestamp = 0 };

	return list_add(l, node->fresh_name, BLT_FILE, node->key, node->key_len,
			node->hash, FIRST + l->n + 1, &st);
}

static int begin(struct bltfs *fs, struct dir_handle *h)
{
	list_clear(&h->fresh);
	return nodes_each_fresh(fs->nodes, h->node->key, h->node->key_len,
				take_fresh, &h->fresh);
}

/* Whether the listing that the kernel may have is of this order; from now on
 * it is.  names is held, so nothing moves. */
static bool keeps_order(struct bltfs *fs, struct node *dir)
{
	uint64_t now = atomic_load(&fs->moves) + 1;
	bool same;

	pthread_mutex_lock(&dir->lock);
	same = dir->listed == now;
	dir->listed = now;
	pthread_mutex_unlock(&dir->lock);
	return same;
}

int dir_open(struct bltfs *fs, struct node *dir, struct dir_handle **ret)
{
	struct dir_handle *h = calloc(1, sizeof(*h));
	bool complete;
	int rc;

	if (!h)
		return -ENOMEM;
	h->node = dir;
	bltfs_share_names(fs);
	rc = begin(fs, h);
	h->keep = keeps_order(fs, dir);
	bltfs_leave_names(fs);
	if (rc < 0) {
		list_clear(&h->fresh);
		free(h);
		return rc;
	}
	blt_ns_progress(fs->ns, &complete);
	h->cacheable = complete && h->fresh.n == 0;
	nodes_ref(fs->nodes, dir);
	node_add_open(dir, &h->open);
	h->keep = beside_opened(fs, dir, &h->beside) && h->keep;
	*ret = h;
	return 0;
}

void dir_close(struct bltfs *fs, struct dir_handle *h)
{
	beside_closed(fs, &h->beside);
	node_remove_open(h->node, &h->open);
	list_clear(&h->fresh);
	nodes_put(fs->nodes, h->node, 1);
	free(h);
}

bool dir_cacheable(struct dir_handle *h)
{
	return h->cacheable;
}

bool dir_keeps(struct dir_handle *h)
{
	return h->cacheable && h->keep;
}

/* ---- list ---- */

static bool is_listed(const struct list *l, const struct blt_ns_entry *e)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct found *f = &l->item[i];

		if (e->kind == BLT_FILE && f->hash == e->hash &&
		    f->key_len == e->key_len &&
		    memcmp(f->key, e->key, e->key_len) == 0)
			return true;
	}
	return false;
}

static bool afford(struct taking *t, size_t name_len)
{
	size_t cost = t->cost(name_len);

	if (cost > t->budget)
		return false;
	t->budget -= cost;
	return true;
}

static int take_stored(void *arg, const struct blt_ns_entry *e)
{
	struct taking *t = arg;

	if (is_listed(t->skip, e))
		return 0;
	if (!afford(t, e->name_len))
		return 1;
	return list_add(t->list, e->name, e->kind, e->key, e->key_len, e->hash,
			e->cookie + FIRST, &e->stat);
}

/* names is held.  What stands behind offset, "." and ".." not among it. */
static int collect(struct bltfs *fs, struct dir_handle *h, uint64_t offset,
		   struct taking *t)
{
	struct node *dir = h->node;
	int rc = 0;

	while (offset - FIRST < h->fresh.n) {
		struct found *f = &h->fresh.item[offset - FIRST];

		if (!afford(t, strlen(f->name)))
			return 0;
		rc = list_add(t->list, f->name, f->kind, f->key, f->key_len,
			      f->hash, f->offset, &f->stat);
		if (rc < 0)
			return rc;
		offset++;
	}
	offset -= FIRST;
	rc = blt_ns_list(fs->ns, dir->key, dir->key_len,
			 offset == h->fresh.n ? 0 : offset, take_stored, t);
	return rc == -ENOENT ? 0 : rc; /* removed while it was open */
}

static int add_dots(struct bltfs *fs, struct node *dir, uint64_t offset,
		    struct taking *t, struct dir_entry *to)
{
	struct node *up = NULL;
	int n = 0;

	if (offset == 0 && afford(t, 1))
		to[n++] = (struct dir_entry){
			.name = strdup("."),
			.offset = 1,
			.st = { .st_ino = dir->ino, .st_mode = S_IFDIR },
		};
	if (offset <= 1 && afford(t, 2)) {
		up = nodes_find_dir(fs->nodes, dir->key, dir->dir_len);
		to[n++] = (struct dir_entry){
			.name = strdup(".."),
			.offset = FIRST,
			.st = { .st_ino = up ? up->ino : NODE_ROOT,
				.st_mode = S_IFDIR },
		};
		nodes_put(fs->nodes, up, 1);
	}
	return n;
}

/* Type and number alone, for a listing that wants no more. */
static int short_entry(struct bltfs *fs, const struct found *f,
		       struct dir_entry *ret)
{
	char target[BLT_LINK_MAX + 1];
	mode_t type = S_IFREG;

	if (f->kind == BLT_DIR)
		type = S_IFDIR;
	else if (f->stat.len == BLT_LINK_LEN &&
		 content_link_target(fs, f->key, f->key_len, target) > 0)
		type = S_IFLNK;
	ret->st.st_mode = type;
	ret->st.st_ino =
		nodes_ino(fs->nodes, f->kind, f->key, f->key_len, f->hash);
	return 0;
}

static int full_entry(struct bltfs *fs, struct node *dir, const struct found *f,
		      bool stored, struct dir_entry *ret)
{
	struct node *node;
	int rc = nodes_get(fs->nodes, f->kind, f->key, f->key_len, dir->key_len,
			   f->hash, &node);

	if (rc < 0)
		return rc;
	rc = attr_get(fs, node, stored ? &f->stat : NULL, &ret->st);
	if (rc < 0)
		nodes_put(fs->nodes, node, 1);
	else
		ret->node = node;
	return rc;
}

/* Entries that went since they were listed are left out. */
static size_t make_entries(struct bltfs *fs, struct dir_handle *h,
			   struct list *list, bool nodes, struct dir_entry *to)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++) {
		struct found *f = &list->item[i];
		struct dir_entry e = { .name = f->name, .offset = f->offset };
		bool stored = f->offset > FIRST + h->fresh.n;
		int rc;

		rc = nodes ? full_entry(fs, h->node, f, stored, &e) :
			     short_entry(fs, f, &e);
		if (rc < 0)
			continue;
		f->name = NULL;
		to[n++] = e;
	}
	return n;
}

static int list_once(struct bltfs *fs, struct dir_handle *h, uint64_t *offset,
		     struct taking *t, bool nodes, struct dir_entry **ret,
		     size_t *ret_n)
{
	struct list list = { 0 };
	struct dir_entry dots[2], *entries = NULL;
	size_t n = 0;
	int rc = 0;

	t->list = &list;
	if (*offset == 0)
		rc = begin(fs, h);
	if (rc == 0)
		n = (size_t)add_dots(fs, h->node, *offset, t, dots);
	if (rc == 0)
		rc = collect(fs, h, *offset < FIRST ? FIRST : *offset, t);
	if (rc == 0) {
		entries = calloc(n + list.n + 1, sizeof(*entries));
		rc = entries ? 0 : -ENOMEM;
	}
	if (rc == 0) {
		memcpy(entries, dots, n * sizeof(*entries));
		n += make_entries(fs, h, &list, nodes, entries + n);
		*ret = entries;
		*ret_n = n;
		*offset = list.n ? list.item[list.n - 1].offset : 0;
	} else {
		for (size_t i = 0; i < n; i++)
			free(dots[i].name);
	}
	list_clear(&list);
	return rc;
}

/* Nothing at all would mean the end, so where everything that was found went
 * at once it looks further. */
int dir_list(struct bltfs *fs, struct dir_handle *h, uint64_t offset,
	     size_t budget, size_t (*cost)(size_t name_len), bool nodes,
	     struct dir_entry **ret, size_t *ret_n)
{
	int rc = blt_ns_wait(fs->ns);

	if (rc < 0)
		return rc;
	bltfs_share_names(fs);
	for (;;) {
		struct taking t = {
			.skip = &h->fresh,
			.budget = budget,
			.cost = cost,
		};

		rc = list_once(fs, h, &offset, &t, nodes, ret, ret_n);
		if (rc < 0 || *ret_n > 0 || offset == 0)
			break;
		free(*ret);
	}
	bltfs_leave_names(fs);
	beside_read(fs, &h->beside);
	return rc;
}

void dir_free_entries(struct bltfs *fs, struct dir_entry *entries, size_t n,
		      size_t from)
{
	for (size_t i = 0; i < n; i++) {
		free(entries[i].name);
		if (i >= from)
			nodes_put(fs->nodes, entries[i].node, 1);
	}
	free(entries);
}
