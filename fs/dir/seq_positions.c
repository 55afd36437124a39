#include "dir/seq_positions.h"

#include "dir/dir.h"
#include "blt_seq.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME ".at"

/* Above all addresses; with the first, an inode is one of control.h's. */
#define OURS (UINT64_C(3) << 62)
#define LINK (UINT64_C(1) << 61)

/* One link; all of them stand in a list, so that the end of the mount finds
 * those that the kernel has not forgotten. */
struct link {
	struct link *next, **at;
	struct inode *dir; /* a reference */
	uint64_t position;
	char target[SEQ_POSITIONS_TARGET];
};

struct seq_positions {
	pthread_mutex_t lock; /* a leaf; protects the list */
	struct link *links;
};

int seq_positions_new(struct seq_positions **ret)
{
	struct seq_positions *at = calloc(1, sizeof(*at));

	if (!at)
		return -ENOMEM;
	pthread_mutex_init(&at->lock, NULL);
	*ret = at;
	return 0;
}

void seq_positions_free(struct seq_positions *at)
{
	if (!at)
		return;
	while (at->links) {
		struct link *link = at->links;

		at->links = link->next;
		free(link);
	}
	pthread_mutex_destroy(&at->lock);
	free(at);
}

bool seq_positions_owns(uint64_t ino)
{
	return (ino & OURS) == OURS;
}

static struct inode *dir_of(struct bltfs *fs, uint64_t ino)
{
	return inodes_of(fs->inodes, ino & ~(OURS | LINK));
}

static struct link *link_of(uint64_t ino)
{
	return (struct link *)(uintptr_t)(ino & ~(OURS | LINK));
}

/* ---- the sequence ---- */

/* The sequence of a directory.  Names are not held while it is used: the first
 * look at its order may take long. */
static int open_seq(struct bltfs *fs, struct inode *dir, struct blt_seq **ret,
		    uint8_t **ret_prefix, size_t *ret_len)
{
	uint8_t *prefix;
	size_t len;
	int rc;

	bltfs_share_names(fs);
	len = dir->key_len;
	prefix = malloc(len + 1);
	if (prefix)
		memcpy(prefix, dir->key, len);
	bltfs_leave_names(fs);
	if (!prefix)
		return -ENOMEM;
	rc = blt_seq_open(fs->ns, prefix, len, ret);
	if (rc < 0) {
		free(prefix);
		return rc;
	}
	*ret_prefix = prefix;
	*ret_len = len;
	return 0;
}

bool seq_positions_is_name(struct bltfs *fs, uint64_t dir, const char *name)
{
	struct inode *inode;
	struct blt_seq *seq;
	uint8_t *prefix;
	size_t len;

	if (strcmp(name, NAME) != 0)
		return false;
	inode = inodes_of(fs->inodes, dir);
	if (inode->fs->is_txn)
		return false; /* positions are the store's own */
	if (open_seq(fs, inode, &seq, &prefix, &len) < 0)
		return false;
	blt_seq_close(seq);
	free(prefix);
	return true;
}

int seq_positions_count(struct bltfs *fs, uint64_t at, uint64_t *ret)
{
	struct blt_seq *seq;
	uint8_t *prefix;
	size_t len;
	int rc = open_seq(fs, dir_of(fs, at), &seq, &prefix, &len);

	if (rc < 0)
		return rc;
	rc = blt_seq_len(seq, ret);
	blt_seq_close(seq);
	free(prefix);
	return rc;
}

/* ---- what is there ---- */

/* As the directory itself, but for what is said here. */
static int make_stat(struct bltfs *fs, struct inode *dir, struct stat *ret)
{
	int rc;

	bltfs_share_names(fs);
	rc = attr_get(fs, dir, NULL, ret);
	bltfs_leave_names(fs);
	if (rc < 0)
		return rc;
	ret->st_mode &= ~(mode_t)0222;
	ret->st_size = 0;
	return 0;
}

static void make_link_stat(const struct link *link, struct stat *ret)
{
	ret->st_mode = S_IFLNK | 0777;
	ret->st_nlink = 1;
	ret->st_size = (off_t)strlen(link->target);
}

int seq_positions_stat(struct bltfs *fs, uint64_t ino, struct stat *ret)
{
	const struct link *link = ino & LINK ? link_of(ino) : NULL;
	int rc = make_stat(fs, link ? link->dir : dir_of(fs, ino), ret);

	if (rc < 0)
		return rc;
	if (link)
		make_link_stat(link, ret);
	ret->st_ino = ino;
	return 0;
}

int seq_positions_lookup(struct bltfs *fs, uint64_t dir, struct stat *ret)
{
	struct inode *inode = inodes_of(fs->inodes, dir);
	int rc = seq_positions_stat(fs, OURS | inode_nodeid(inode), ret);

	if (rc == 0)
		inodes_ref(fs->inodes, inode);
	return rc;
}

/* ---- links ---- */

/* The item's name, for a link's target. */
struct naming {
	struct bltfs *fs;
	const uint8_t *prefix;
	size_t len;
	struct link *link;
};

static int name_item(void *arg, const struct blt_seq_place *place)
{
	struct naming *n = arg;
	size_t len = n->len + place->name_len;
	uint8_t *key = malloc(len + 1);
	int rc;

	if (!key)
		return -ENOMEM;
	memcpy(key, n->prefix, n->len);
	memcpy(key + n->len, place->name, place->name_len);
	if (place->record)
		key[len++] = '/';
	strcpy(n->link->target, "../");
	rc = blt_ns_name(n->fs->ns, key, len,
			 place->record ? BLT_DIR : BLT_FILE,
			 n->link->target + 3);
	free(key);
	return rc;
}

static int find_target(struct bltfs *fs, struct link *link, int64_t position)
{
	struct naming n = { .fs = fs, .link = link };
	struct blt_seq *seq;
	uint8_t *prefix;
	int rc = open_seq(fs, link->dir, &seq, &prefix, &n.len);

	if (rc < 0)
		return rc;
	n.prefix = prefix;
	rc = blt_seq_read(seq, position, name_item, NULL, &n);
	blt_seq_close(seq);
	free(prefix);
	return rc == -ERANGE ? -ENOENT : rc;
}

/* One spelling for each: no sign but that of a negative one, no zeros in
 * front. */
static bool read_position(const char *name, int64_t *ret)
{
	char again[24], *end;
	long long v;

	errno = 0;
	v = strtoll(name, &end, 10);
	if (errno || end == name || *end)
		return false;
	snprintf(again, sizeof(again), "%lld", v);
	*ret = v;
	return strcmp(again, name) == 0;
}

static void keep_link(struct seq_positions *at, struct link *link)
{
	pthread_mutex_lock(&at->lock);
	link->next = at->links;
	link->at = &at->links;
	if (link->next)
		link->next->at = &link->next;
	at->links = link;
	pthread_mutex_unlock(&at->lock);
}

static void drop_link(struct bltfs *fs, struct link *link)
{
	pthread_mutex_lock(&fs->seq_positions->lock);
	*link->at = link->next;
	if (link->next)
		link->next->at = link->at;
	pthread_mutex_unlock(&fs->seq_positions->lock);
	inodes_put(fs->inodes, link->dir, 1);
	free(link);
}

int seq_positions_lookup_link(struct bltfs *fs, uint64_t at, const char *name,
			      struct stat *ret)
{
	struct link *link;
	int64_t position;
	int rc;

	if (at & LINK)
		return -ENOTDIR;
	if (!read_position(name, &position))
		return -ENOENT;
	link = calloc(1, sizeof(*link));
	if (!link)
		return -ENOMEM;
	link->dir = dir_of(fs, at);
	rc = find_target(fs, link, position);
	if (rc == 0)
		rc = make_stat(fs, link->dir, ret);
	if (rc < 0) {
		free(link);
		return rc;
	}
	make_link_stat(link, ret);
	ret->st_ino = OURS | LINK | (uintptr_t)link;
	inodes_ref(fs->inodes, link->dir);
	keep_link(fs->seq_positions, link);
	return 0;
}

void seq_positions_forget(struct bltfs *fs, uint64_t ino, uint64_t n)
{
	if (ino & LINK)
		drop_link(fs, link_of(ino));
	else
		inodes_put(fs->inodes, dir_of(fs, ino), n);
}

int seq_positions_readlink(uint64_t ino, char ret[SEQ_POSITIONS_TARGET])
{
	if (!(ino & LINK))
		return -EINVAL;
	strcpy(ret, link_of(ino)->target);
	return 0;
}
