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
#include "dir/dir.h"

#include "inode/cache_validity.h"
#include "file/content.h"
#include "base/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST 2 /* offset behind "." and ".." */

struct found {
	size_t name, key; /* where they stand in the list's bytes */
	size_t key_len;
	enum blt_kind kind;
	uint64_t hash;
	uint64_t offset;
	struct blt_stat stat;
};

struct list {
	struct found *item;
	size_t n, room;
	char *bytes;
	size_t used, bytes_room;
};

struct dir_handle {
	struct inode_open open;
	struct inode *inode;
	struct cache_validity_open validity;
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
	free(l->item);
	free(l->bytes);
	*l = (struct list){ 0 };
}

static const char *name_of(const struct list *l, const struct found *f)
{
	return l->bytes + f->name;
}

static const uint8_t *key_of(const struct list *l, const struct found *f)
{
	return (const uint8_t *)l->bytes + f->key;
}

/* Room for one more, with so many bytes. */
static int list_reserve(struct list *l, size_t len)
{
	int rc = ARRAY_ROOM(l->item, l->room, l->n + 1);

	return rc < 0 ? rc : ARRAY_ROOM(l->bytes, l->bytes_room, l->used + len);
}

static int list_add(struct list *l, const char *name, enum blt_kind kind,
		    const uint8_t *key, size_t key_len, uint64_t hash,
		    uint64_t offset, const struct blt_stat *st)
{
	size_t name_len = strlen(name) + 1;
	int rc = list_reserve(l, name_len + key_len);

	if (rc < 0)
		return rc;
	l->item[l->n++] = (struct found){
		.name = l->used,
		.key = l->used + name_len,
		.key_len = key_len,
		.kind = kind,
		.hash = hash,
		.offset = offset,
		.stat = *st,
	};
	memcpy(l->bytes + l->used, name, name_len);
	if (key_len > 0)
		memcpy(l->bytes + l->used + name_len, key, key_len);
	l->used += name_len + key_len;
	return 0;
}

/* ---- open ---- */

static int take_fresh(void *arg, const struct inode *inode)
{
	struct list *l = arg;
	struct blt_stat st = { .timestamp = 0 };

	return list_add(l, inode->fresh_name, BLT_FILE, inode->key,
			inode->key_len, inode->hash, FIRST + l->n + 1, &st);
}

static int begin(struct bltfs *fs, struct dir_handle *h)
{
	list_clear(&h->fresh);
	return inodes_each_fresh(fs->inodes, h->inode->key, h->inode->key_len,
				 take_fresh, &h->fresh);
}

/* Whether the listing that the kernel may have is of this order; from now on
 * it is.  names is held, so nothing moves. */
static bool keeps_order(struct bltfs *fs, struct inode *dir)
{
	uint64_t now = atomic_load(&fs->moves) + 1;
	bool same;

	pthread_mutex_lock(&dir->lock);
	same = dir->listed == now;
	dir->listed = now;
	pthread_mutex_unlock(&dir->lock);
	return same;
}

int dir_open(struct bltfs *fs, struct inode *dir, struct dir_handle **ret)
{
	struct dir_handle *h = calloc(1, sizeof(*h));
	bool complete;
	int rc;

	if (!h)
		return -ENOMEM;
	h->inode = dir;
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
	inodes_ref(fs->inodes, dir);
	inode_add_open(dir, &h->open);
	h->keep = cache_validity_opened(fs, dir, &h->validity) == 1 && h->keep;
	*ret = h;
	return 0;
}

void dir_close(struct bltfs *fs, struct dir_handle *h)
{
	cache_validity_closed(fs, &h->validity);
	inode_remove_open(h->inode, &h->open);
	list_clear(&h->fresh);
	inodes_put(fs->inodes, h->inode, 1);
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
		    memcmp(key_of(l, f), e->key, e->key_len) == 0)
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
	struct inode *dir = h->inode;
	int rc = 0;

	while (offset - FIRST < h->fresh.n) {
		const struct list *from = &h->fresh;
		const struct found *f = &from->item[offset - FIRST];
		const char *name = name_of(from, f);

		if (!afford(t, strlen(name)))
			return 0;
		rc = list_add(t->list, name, f->kind, key_of(from, f),
			      f->key_len, f->hash, f->offset, &f->stat);
		if (rc < 0)
			return rc;
		offset++;
	}
	offset -= FIRST;
	rc = blt_ns_list(fs->ns, dir->key, dir->key_len,
			 offset == h->fresh.n ? 0 : offset, take_stored, t);
	return rc == -ENOENT ? 0 : rc; /* removed while it was open */
}

static int add_dots(struct bltfs *fs, struct inode *dir, uint64_t offset,
		    struct taking *t, struct dir_entry *to)
{
	struct inode *up = NULL;
	int n = 0;

	if (offset == 0 && afford(t, 1))
		to[n++] = (struct dir_entry){
			.name = ".",
			.offset = 1,
			.st = { .st_ino = dir->ino, .st_mode = S_IFDIR },
		};
	if (offset <= 1 && afford(t, 2)) {
		up = inodes_find_dir(fs->inodes, dir->key, dir->dir_len);
		to[n++] = (struct dir_entry){
			.name = "..",
			.offset = FIRST,
			.st = { .st_ino = up ? up->ino : INODE_ROOT,
				.st_mode = S_IFDIR },
		};
		inodes_put(fs->inodes, up, 1);
	}
	return n;
}

/* Type and number alone, for a listing that wants no more. */
static int short_entry(struct bltfs *fs, const struct list *list,
		       const struct found *f, struct dir_entry *ret)
{
	const uint8_t *key = key_of(list, f);
	char target[BLT_LINK_MAX + 1];
	mode_t type = S_IFREG;

	if (f->kind == BLT_DIR)
		type = S_IFDIR;
	else if (f->stat.len == BLT_LINK_LEN &&
		 content_link_target(fs, key, f->key_len, target) > 0)
		type = S_IFLNK;
	ret->st.st_mode = type;
	ret->st.st_ino =
		inodes_ino(fs->inodes, f->kind, key, f->key_len, f->hash);
	return 0;
}

static int full_entry(struct bltfs *fs, struct dir_handle *h,
		      const struct list *list, const struct found *f,
		      struct dir_entry *ret)
{
	bool stored = f->offset > FIRST + h->fresh.n;
	struct inode *inode;
	int rc = inodes_get(fs->inodes, f->kind, key_of(list, f), f->key_len,
			    h->inode->key_len, f->hash, &inode);

	if (rc < 0)
		return rc;
	rc = attr_get(fs, inode, stored ? &f->stat : NULL, &ret->st);
	if (rc < 0)
		inodes_put(fs->inodes, inode, 1);
	else
		ret->inode = inode;
	return rc;
}

/* Entries that went since they were listed are left out. */
static size_t make_entries(struct bltfs *fs, struct dir_handle *h,
			   const struct list *list, bool inodes,
			   struct dir_entry *to)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++) {
		const struct found *f = &list->item[i];
		struct dir_entry e = { .name = name_of(list, f),
				       .offset = f->offset };
		int rc;

		rc = inodes ? full_entry(fs, h, list, f, &e) :
			      short_entry(fs, list, f, &e);
		if (rc == 0)
			to[n++] = e;
	}
	return n;
}

/* What was found, behind the dots; the names are the listing's from now on. */
static int make_listing(struct bltfs *fs, struct dir_handle *h,
			struct list *found, const struct dir_entry *dots,
			size_t n_dots, bool inodes, struct dir_listing *ret)
{
	struct dir_entry *entry = calloc(n_dots + found->n + 1, sizeof(*entry));

	if (!entry)
		return -ENOMEM;
	memcpy(entry, dots, n_dots * sizeof(*entry));
	ret->entry = entry;
	ret->n = n_dots + make_entries(fs, h, found, inodes, entry + n_dots);
	ret->bytes = found->bytes;
	found->bytes = NULL;
	return 0;
}

static int list_once(struct bltfs *fs, struct dir_handle *h, uint64_t *offset,
		     struct taking *t, bool inodes, struct dir_listing *ret)
{
	struct list list = { 0 };
	struct dir_entry dots[2];
	size_t n = 0;
	int rc = 0;

	t->list = &list;
	if (*offset == 0)
		rc = begin(fs, h);
	if (rc == 0)
		n = (size_t)add_dots(fs, h->inode, *offset, t, dots);
	if (rc == 0)
		rc = collect(fs, h, *offset < FIRST ? FIRST : *offset, t);
	if (rc == 0)
		rc = make_listing(fs, h, &list, dots, n, inodes, ret);
	if (rc == 0)
		*offset = list.n ? list.item[list.n - 1].offset : 0;
	list_clear(&list);
	return rc;
}

/* Nothing at all would mean the end, so where everything that was found went
 * at once it looks further. */
int dir_list(struct bltfs *fs, struct dir_handle *h, uint64_t offset,
	     size_t budget, size_t (*cost)(size_t name_len), bool inodes,
	     struct dir_listing *ret)
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

		rc = list_once(fs, h, &offset, &t, inodes, ret);
		if (rc < 0 || ret->n > 0 || offset == 0)
			break;
		dir_free_listing(fs, ret, 0);
	}
	bltfs_leave_names(fs);
	cache_validity_read(fs, &h->validity);
	return rc;
}

void dir_free_listing(struct bltfs *fs, struct dir_listing *l, size_t from)
{
	for (size_t i = from; i < l->n; i++)
		inodes_put(fs->inodes, l->entry[i].inode, 1);
	free(l->entry);
	free(l->bytes);
}
