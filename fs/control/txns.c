/* The list of transactions.
 *
 * Structs are used again and never freed before the end: a request whose
 * answer the kernel did not wait for may still have to leave the lock in one.
 */
#include "control/txns.h"

#include "inode/cache_validity.h"
#include "file/content.h"
#include "inode/notify_queue.h"
#include "inode/syncer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct txn {
	struct bltfs fs;
	struct txn *next;
	char name[TXNS_NAME_MAX + 1];
	unsigned users; /* who works on it beside requests */
	bool ending;    /* somebody commits or aborts it */
	bool ended;     /* has no name any more */
};

struct txns {
	struct bltfs *fs;
	pthread_mutex_t lock; /* of all below, and the structs' last fields */
	struct txn *first;    /* ended ones too */
	struct txn *spare;
	uint64_t begun, salts;
};

int txns_new(struct bltfs *fs, struct txns **ret)
{
	struct txns *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->fs = fs;
	pthread_mutex_init(&t->lock, NULL);
	*ret = t;
	return 0;
}

/* ---- one of them; the lock is held ---- */

static struct txn *find(struct txns *t, const char *name)
{
	struct txn *x = t->first;

	while (x && (x->ended || strcmp(x->name, name) != 0))
		x = x->next;
	return x;
}

static struct txn *new_struct(struct txns *t)
{
	struct txn *x = t->spare;

	if (x) {
		t->spare = x->next;
		return x;
	}
	x = calloc(1, sizeof(*x));
	if (x)
		bltfs_init_names(&x->fs);
	return x;
}

static void keep_struct(struct txns *t, struct txn *x)
{
	x->next = t->spare;
	t->spare = x;
}

/* ---- begin ---- */

static int check_name(const char *name)
{
	size_t len = strlen(name);

	if (len > TXNS_NAME_MAX)
		return -ENAMETOOLONG;
	if (strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return -EINVAL;
	return 0;
}

static int make_name(struct txns *t, const char *name, struct txn *x)
{
	if (*name) {
		snprintf(x->name, sizeof(x->name), "%s", name);
		return find(t, name) ? -EEXIST : 0;
	}
	do
		snprintf(x->name, sizeof(x->name), "%" PRIu64, ++t->begun);
	while (find(t, x->name));
	return 0;
}

static void close_fs(struct bltfs *fs)
{
	inodes_free(fs->inodes);
	blt_ns_free(fs->ns);
	blt_close(fs->store);
	fs->inodes = NULL;
	fs->ns = NULL;
	fs->store = NULL;
}

/* What is not set here is of no use in a transaction. */
static int open_fs(struct txns *t, struct bltfs *fs, uint64_t salt)
{
	const struct bltfs *of = t->fs;
	struct blt_ns_options how = { .flat = of->opts->flat,
				      .control = of->opts->control };
	int rc;

	fs->opts = of->opts;
	fs->info = of->info;
	fs->takes_empty = of->takes_empty;
	fs->takes_links = of->takes_links;
	fs->session = of->session;
	fs->is_txn = true;
	fs->pool.max = of->pool.max;
	fs->pool.value_max = of->pool.value_max;
	fs->pool.dir = of->pool.dir;
	atomic_store(&fs->moves, 0);
	atomic_store(&fs->complete, false);
	rc = blt_txn_begin(of->store, of->pool.dir, &fs->store);
	if (rc == 0)
		rc = blt_ns_new(fs->store, &how, &fs->ns);
	if (rc == 0)
		rc = inodes_new(fs, salt, &fs->inodes);
	if (rc < 0)
		close_fs(fs);
	return rc;
}

/* Not 0 nor 1, and others for each: a key's number is mixed with it. */
static uint64_t salt_of(uint64_t n)
{
	return (n * UINT64_C(0x9E3779B97F4A7C15)) | 2;
}

int txns_begin(struct txns *t, const char *name,
	       char ret_name[TXNS_NAME_MAX + 1])
{
	struct txn *x;
	uint64_t salt;
	int rc = check_name(name);

	if (rc < 0)
		return rc;
	txns_sweep(t);
	pthread_mutex_lock(&t->lock);
	x = new_struct(t);
	salt = salt_of(++t->salts);
	pthread_mutex_unlock(&t->lock);
	if (!x)
		return -ENOMEM;
	rc = open_fs(t, &x->fs, salt);
	pthread_mutex_lock(&t->lock);
	if (rc == 0) {
		rc = make_name(t, name, x);
		if (rc < 0)
			close_fs(&x->fs);
	}
	if (rc < 0) {
		keep_struct(t, x);
	} else {
		x->users = 0;
		x->ending = x->ended = false;
		x->next = t->first;
		t->first = x;
		memcpy(ret_name, x->name, sizeof(x->name));
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

/* ---- working on one ---- */

static int enter(struct txns *t, const char *name, struct txn **ret)
{
	pthread_mutex_lock(&t->lock);
	*ret = find(t, name);
	if (*ret)
		(*ret)->users++;
	pthread_mutex_unlock(&t->lock);
	return *ret ? 0 : -ENOENT;
}

static void leave(struct txns *t, struct txn *x)
{
	pthread_mutex_lock(&t->lock);
	x->users--;
	pthread_mutex_unlock(&t->lock);
}

/* The same for who is to end it: one at a time. */
static int enter_to_end(struct txns *t, const char *name, struct txn **ret)
{
	int rc = -ENOENT;

	pthread_mutex_lock(&t->lock);
	*ret = find(t, name);
	if (*ret)
		rc = (*ret)->ending ? -EBUSY : 0;
	if (rc == 0) {
		(*ret)->users++;
		(*ret)->ending = true;
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

int txns_root(struct txns *t, const char *name, struct inode **ret)
{
	struct txn *x;
	int rc = enter(t, name, &x);

	if (rc < 0)
		return rc;
	*ret = inodes_root(x->fs.inodes);
	inodes_ref(x->fs.inodes, *ret);
	leave(t, x);
	return 0;
}

/* ---- the end of one ---- */

/* What has been written and not closed belongs to it. */
static int put_open(struct bltfs *fs)
{
	struct inode **list;
	size_t n;
	int rc = inodes_all(fs->inodes, &list, &n);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i++) {
		if (list[i]->kind == BLT_FILE && rc == 0) {
			bltfs_share_names(fs);
			rc = content_commit(fs, list[i]);
			bltfs_leave_names(fs);
		}
		inodes_put(fs->inodes, list[i], 1);
	}
	free(list);
	return rc;
}

/* Nothing is put any more, which closes say, and nothing found. */
static void lose_inodes(struct bltfs *fs)
{
	struct inode **list;
	size_t n;

	if (inodes_all(fs->inodes, &list, &n) < 0)
		return; /* what is put then fails, and is logged */
	for (size_t i = 0; i < n; i++) {
		if (list[i]->kind == BLT_FILE)
			content_lose(fs, list[i], -ESTALE);
		else if (list[i] != inodes_root(fs->inodes))
			content_gone(fs, list[i]);
		inodes_put(fs->inodes, list[i], 1);
	}
	free(list);
}

static void tell_changed(void *arg, const void *key, size_t len)
{
	struct txns *t = arg;

	invalidate_key(t->fs, key, len);
}

static int commit(struct txns *t, struct txn *x, bool force)
{
	const struct blt_txn_options how = { .force = force,
					     .changed = tell_changed,
					     .arg = t };
	int rc = put_open(&x->fs);

	if (rc < 0)
		return rc;
	bltfs_own_names(&x->fs);
	rc = blt_txn_commit(x->fs.store, &how);
	bltfs_leave_names(&x->fs);
	return rc;
}

static void end(struct txns *t, struct txn *x, bool ended)
{
	if (ended)
		lose_inodes(&x->fs);
	pthread_mutex_lock(&t->lock);
	x->users--;
	x->ending = false;
	x->ended = ended;
	pthread_mutex_unlock(&t->lock);
}

int txns_commit(struct txns *t, const char *name, bool force)
{
	struct blt_txn_info info;
	struct txn *x;
	int rc = enter_to_end(t, name, &x);

	if (rc < 0)
		return rc;
	rc = commit(t, x, force);
	/* it may have, though it could not be made durable */
	blt_txn_get_info(x->fs.store, &info);
	end(t, x, info.ended);
	if (info.ended) {
		syncer_note(t->fs->syncer, 0);
		notify_queue_wait(t->fs->notify_queue);
		txns_sweep(t);
	}
	return rc;
}

int txns_abort(struct txns *t, const char *name)
{
	struct txn *x;
	int rc = enter_to_end(t, name, &x);

	if (rc < 0)
		return rc;
	bltfs_own_names(&x->fs);
	blt_txn_abort(x->fs.store);
	bltfs_leave_names(&x->fs);
	end(t, x, true);
	txns_sweep(t);
	return 0;
}

void txns_sweep(struct txns *t)
{
	struct txn *x, **p, *done = NULL;

	pthread_mutex_lock(&t->lock);
	for (p = &t->first; (x = *p);) {
		if (!x->ended || x->users || !inodes_idle(x->fs.inodes)) {
			p = &x->next;
			continue;
		}
		*p = x->next;
		x->next = done;
		done = x;
	}
	pthread_mutex_unlock(&t->lock);
	while (done) {
		x = done;
		done = x->next;
		close_fs(&x->fs);
		pthread_mutex_lock(&t->lock);
		keep_struct(t, x);
		pthread_mutex_unlock(&t->lock);
	}
}

static void free_list(struct txn *x)
{
	while (x) {
		struct txn *next = x->next;

		if (x->fs.store) {
			blt_txn_abort(x->fs.store);
			lose_inodes(&x->fs);
			bltfs_close_open(&x->fs);
			close_fs(&x->fs);
		}
		pthread_rwlock_destroy(&x->fs.names);
		free(x);
		x = next;
	}
}

void txns_free(struct txns *t)
{
	if (!t)
		return;
	free_list(t->first);
	free_list(t->spare);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* ---- facts ---- */

int txns_next(struct txns *t, const char *name, struct txns_info *ret)
{
	struct txn *next = NULL;

	pthread_mutex_lock(&t->lock);
	for (struct txn *x = t->first; x; x = x->next) {
		if (!x->ended && strcmp(x->name, name) > 0 &&
		    (!next || strcmp(x->name, next->name) < 0))
			next = x;
	}
	if (next)
		next->users++;
	pthread_mutex_unlock(&t->lock);
	if (!next)
		return -ENOENT;
	memcpy(ret->name, next->name, sizeof(ret->name));
	ret->ino = inodes_root(next->fs.inodes)->ino;
	blt_txn_get_info(next->fs.store, &ret->txn);
	leave(t, next);
	return 0;
}

int txns_conflict(struct txns *t, const char *name, uint64_t n, char **ret_path)
{
	uint8_t *key;
	struct txn *x;
	size_t len;
	int rc = enter(t, name, &x);

	if (rc < 0)
		return rc;
	rc = blt_txn_conflict(x->fs.store, n, &key, &len);
	leave(t, x);
	if (rc < 0)
		return rc == -ENOENT ? -ENODATA : rc;
	rc = blt_ns_path(t->fs->ns, key, len, ret_path);
	free(key);
	return rc;
}

void txns_print(struct txns *t, FILE *to)
{
	struct txns_info i = { .name = "" };

	while (txns_next(t, i.name, &i) == 0)
		fprintf(to,
			"began %" PRId64 " changed %" PRIu64 " seen %" PRIu64
			" conflicts %" PRIu64 " name %s\n",
			i.txn.began, i.txn.changed, i.txn.seen, i.txn.conflicts,
			i.name);
}
