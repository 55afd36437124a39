/* Compact copies: for another name, or for the environment's own (pruning).
 *
 * LMDB writes a copy in one go; through a pipe, so that it can be told how far
 * it is, and stopped.  It does so in threads of its own, where a SIGBUS cannot
 * be caught: if the file is cut short meanwhile, the process is killed.
 *
 * A prune puts the copy in the environment's place.  Whoever had that open
 * would go on with the old file, and its locks with the new one: so it is done
 * only where nobody else has, and nobody has changed it since it was copied.
 * The copy is durable before it gets the name, so that a machine that dies
 * leaves one or the other.  Its transactions are numbered on. */
#include "lmdb/lmdb_store.h"

#include "engine/backend.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((size_t)256 << 10)

/* ---- writing one ---- */

struct sending {
	MDB_env *env;
	int to;
	int rc; /* of LMDB's */
};

static void *send_copy(void *arg)
{
	struct sending *s = arg;

	s->rc = mdb_env_copyfd2(s->env, s->to, MDB_CP_COMPACT);
	close(s->to);
	return NULL;
}

static int write_all(int fd, const uint8_t *from, size_t len)
{
	while (len) {
		ssize_t n = write(fd, from, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		from += n;
		len -= (size_t)n;
	}
	return 0;
}

struct telling {
	blt_progress_fn *fn;
	void *arg;
	uint64_t total, keys;
};

static int receive(int from, int to, const struct telling *t)
{
	uint8_t *piece = malloc(PIECE);
	uint64_t done = 0;
	ssize_t n = 0;
	int rc = piece ? 0 : -ENOMEM;

	while (rc == 0 && (n = read(from, piece, PIECE)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		rc = n < 0 ? -errno : write_all(to, piece, (size_t)n);
		done += n > 0 ? (uint64_t)n : 0;
		if (rc == 0 && t->fn)
			rc = t->fn(t->arg, done, max_u64(done, t->total), 0);
	}
	if (rc == 0 && t->fn)
		rc = t->fn(t->arg, done, done, t->keys);
	free(piece);
	return rc;
}

/* The sender ends where nobody reads: its signal is blocked, as all are. */
static int copy_through(struct lmdb_store *store, int to,
			const struct telling *t)
{
	struct sending s = { .env = store->env };
	pthread_t thread;
	int ends[2], rc;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	s.to = ends[1];
	rc = thread_start(&thread, send_copy, &s);
	if (rc < 0) {
		close(ends[1]);
	} else {
		rc = receive(ends[0], to, t);
		close(ends[0]);
		ends[0] = -1;
		pthread_join(thread, NULL);
		/* so it calls a tree that is not what it says */
		if (rc == 0)
			rc = s.rc == MDB_INCOMPATIBLE ? -EUCLEAN :
							lmdb_error(s.rc);
	}
	if (ends[0] >= 0)
		close(ends[0]);
	return rc;
}

/* Durable; only to be read by its owner. */
static int write_copy(struct lmdb_store *store, const char *path,
		      const struct telling *t)
{
	int fd = open(path, O_RDWR | O_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	lmdb_long_begin(store);
	pthread_rwlock_rdlock(&store->lock);
	rc = store->env ? lmdb_look_at_file(store, false) : -EIO;
	if (rc == 0)
		rc = copy_through(store, fd, t);
	pthread_rwlock_unlock(&store->lock);
	lmdb_long_end(store);
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static struct telling tell(struct blt *blt, blt_progress_fn *fn, void *arg)
{
	struct blt_info info;

	blt_get_info(blt, &info);
	return (struct telling){ fn, arg, info.file_size, info.n_keys };
}

/* ---- for another name ---- */

static int refuse_copy(const char *path, const struct blt_create_options *opts,
		       struct blt_error *err)
{
	if (opts && (opts->value_len || opts->n_buckets))
		return store_fail(err, -EINVAL,
				  "%s: a copy of an LMDB environment is one: "
				  "it has no buckets, and values of any length",
				  path);
	return 0;
}

int lmdb_copy(struct blt *blt, const char *path,
	      const struct blt_create_options *opts, bool replace,
	      blt_progress_fn *progress, void *arg, struct blt_error *err)
{
	const struct blt_create_options same = { .engine = blt->backend->name };
	const struct telling t = tell(blt, progress, arg);
	struct store_place place;
	int rc = refuse_copy(path, opts, err);

	if (rc < 0)
		return rc;
	/* LMDB copies all databases, or none. */
	if (lmdb_of(blt)->only)
		return backend_convert(blt, path, &same, replace, progress, arg,
				       err);
	rc = store_place_begin(&place, blt, path, replace, err);
	if (rc == 0) {
		rc = write_copy(lmdb_of(blt), place.temporary, &t);
		rc = rc < 0 ? store_fail(err, rc, "%s: cannot be written: %s",
					 path, strerror(-rc)) :
			      store_place_end(&place, err);
	}
	store_place_release(&place);
	return rc;
}

/* What is to be replaced. */
int lmdb_hold_file(const char *path, int *ret_fd, struct blt_error *err)
{
	bool is_dir, is_open;
	char holder[64] = "";
	pid_t pid = 0;
	char *file;
	int rc = lmdb_data_file(path, &file, &is_dir);

	if (rc < 0)
		return store_fail(err, rc, "%s: out of memory", path);
	is_open = lmdb_is_open(file);
	free(file);
	rc = is_open ? -EBUSY : lmdb_exclude(path, ret_fd, &pid);
	if (is_open)
		pid = getpid();
	if (pid)
		snprintf(holder, sizeof(holder), " (process %d)", (int)pid);
	if (rc == -EBUSY)
		return store_fail(err, -EWOULDBLOCK,
				  "%s: is an LMDB environment that is in "
				  "use%s",
				  path, holder);
	return rc < 0 ? store_fail(err, rc, "%s: cannot be locked: %s", path,
				   strerror(-rc)) :
			0;
}

/* ---- for its own ---- */

struct pruning {
	struct lmdb_store *store;
	char *file;      /* its data file */
	char *temporary; /* beside it */
	uint64_t txn;    /* the last one that is in the copy */
};

/* Anybody that reads or has read: one that only writes shows up later. */
static int note_other(const char *line, void *arg)
{
	bool *others = arg;
	int pid;

	if (sscanf(line, "%d", &pid) == 1 && pid != getpid())
		*others = true;
	return 0;
}

static bool has_others(struct lmdb_store *store)
{
	bool others = false;
	int dead;

	pthread_rwlock_rdlock(&store->lock);
	if (store->env && !store->alone) {
		(void)mdb_reader_check(store->env, &dead);
		(void)mdb_reader_list(store->env, note_other, &others);
	}
	pthread_rwlock_unlock(&store->lock);
	return others;
}

/* A file with the modes of the old one, and its owner if that may be. */
static int make_beside(const struct pruning *p)
{
	struct stat st;
	int fd, rc = 0;

	fd = mkostemp(p->temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(p->store->fd, &st) < 0 || fchmod(fd, st.st_mode & 07777) < 0)
		rc = -errno;
	if (rc == 0 && fchown(fd, st.st_uid, st.st_gid) < 0)
		rc = st.st_uid == geteuid() ? 0 : -errno;
	close(fd);
	if (rc < 0)
		unlink(p->temporary);
	return rc;
}

static int number_on(const struct pruning *p)
{
	int fd = open(p->temporary, O_RDWR | O_CLOEXEC);
	int rc = fd < 0 ? -errno : lmdb_number_copy(fd, p->txn + 1);

	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	if (fd >= 0)
		close(fd);
	return rc;
}

/* With the environment closed. */
static int put_in_place(void *arg)
{
	const struct pruning *p = arg;
	struct blt_error err;
	struct store_place place = { .path = p->file,
				     .temporary = strdup(p->temporary),
				     .replace = true,
				     .held = -1 };
	uint64_t txn = 0;
	pid_t holder;
	int rc = place.temporary ? 0 : -ENOMEM;

	if (rc == 0 && !p->store->alone)
		rc = lmdb_exclude(p->store->path, &place.held, &holder);
	if (rc == 0)
		rc = lmdb_last_txn(p->file, &txn);
	if (rc == 0 && txn != p->txn)
		rc = -EAGAIN;
	if (rc == 0)
		rc = store_place_end(&place, &err);
	/* Until the new one is open: a process that waits for the lock would
	 * use the old one's table of readers for it. */
	p->store->lock_fd = place.held;
	place.held = -1;
	store_place_release(&place);
	return rc;
}

static int prune(struct pruning *p, const struct telling *t)
{
	struct lmdb_store *store = p->store;
	int rc = lmdb_last_txn(p->file, &p->txn);

	if (rc == 0)
		rc = write_copy(store, p->temporary, t);
	if (rc == 0)
		rc = number_on(p);
	if (rc < 0)
		return rc;
	lmdb_lock_alone(store);
	rc = lmdb_replace(store, put_in_place, p);
	pthread_rwlock_unlock(&store->lock);
	return rc;
}

/* The data file, and not a link to it. */
static int real_file(const struct lmdb_store *store, char **ret)
{
	bool is_dir;
	char *file;
	int rc = lmdb_data_file(store->path, &file, &is_dir);

	if (rc < 0)
		return rc;
	*ret = realpath(file, NULL);
	rc = *ret ? 0 : -errno;
	free(file);
	return rc;
}

static uint64_t size_of(struct blt *blt)
{
	struct blt_info info;

	blt_get_info(blt, &info);
	return info.file_size;
}

static int prune_alone(struct blt *blt, const struct blt_prune_options *opts,
		       struct blt_prune_result *ret)
{
	const struct telling t = tell(blt, opts ? opts->progress : NULL,
				      opts ? opts->arg : NULL);
	struct pruning p = { .store = lmdb_of(blt) };
	int rc = real_file(p.store, &p.file);

	if (rc < 0)
		return rc;
	if (asprintf(&p.temporary, "%s.blt-prune-XXXXXX", p.file) < 0)
		p.temporary = NULL;
	rc = p.temporary ? make_beside(&p) : -ENOMEM;
	if (rc == 0) {
		rc = prune(&p, &t);
		if (rc < 0)
			unlink(p.temporary);
		else
			ret->moved = size_of(blt);
	}
	free(p.temporary);
	free(p.file);
	return rc;
}

/* This process's writers wait until it is done; its readers, for the moment of
 * the change. */
int lmdb_prune(struct blt *blt, const struct blt_prune_options *opts,
	       struct blt_prune_result *ret)
{
	struct lmdb_store *store = lmdb_of(blt);
	struct blt_prune_result r = { 0 };
	int rc = 0;

	if (ret)
		*ret = r;
	if (!blt->writable)
		return -EROFS;
	if (opts && opts->older_than)
		return -ENOTSUP;
	r.size_before = size_of(blt);
	pthread_mutex_lock(&store->write);
	rc = atomic_load(&store->failed);
	if (rc == 0 && has_others(store))
		rc = -EBUSY;
	if (rc == 0)
		rc = prune_alone(blt, opts, &r);
	pthread_mutex_unlock(&store->write);
	r.size_after = size_of(blt);
	if (ret)
		*ret = r;
	return rc;
}
