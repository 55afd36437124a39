/* The files of an environment: which they are, what their heads say before LMDB
 * maps them, and whether anybody else has them open.
 *
 * LMDB takes a data file at its word: a root or a length that is beyond the
 * file's end is a fault of the memory.  So the two heads are held against the
 * file first.  A file that is shorter than its pages are many may still be
 * whole, since pages that were given back in the transaction that took them are
 * never written; whether it is, only a look at every page tells.
 *
 * Who has an environment open holds a lock for reading on the first byte of the
 * lock file; one for writing keeps all others in mdb_env_open. */
#include "lmdb/lmdb_store.h"

#include "booklet/io/file.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC 0xBEEFC0DEu
#define HEADS 2
#define PAGE_MIN 512u
#define PAGE_MAX 65536u
#define NO_PAGE SIZE_MAX
#define MAP_MAX ((uint64_t)1 << 47) /* that a process can map */
#define TRIES 3                     /* a head may be read while it is written */
#define STRIDE 512                  /* no page of the system is smaller */

/* A head as this machine's LMDB has it; it stands behind that of its page. */
struct page_head {
	size_t number;
	uint16_t pad, flags;
	uint32_t lengths;
};

struct db_head {
	uint32_t pad; /* of the first: bytes of a page */
	uint16_t flags, depth;
	size_t branch, leaf, overflow, entries, root;
};

struct head {
	struct page_head page;
	uint32_t magic, version;
	void *address;
	size_t map_size;
	struct db_head db[2];
	size_t last_page, txn;
};

/* ---- names ---- */

int lmdb_data_file(const char *path, char **ret, bool *ret_is_dir)
{
	struct stat st;

	*ret_is_dir = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
	if (*ret_is_dir ? asprintf(ret, "%s/data.mdb", path) < 0 :
			  !(*ret = strdup(path)))
		return -ENOMEM;
	return 0;
}

static int lock_file(const char *path, char **ret)
{
	struct stat st;
	bool is_dir = stat(path, &st) == 0 && S_ISDIR(st.st_mode);

	if (asprintf(ret, is_dir ? "%s/lock.mdb" : "%s-lock", path) < 0)
		return -ENOMEM;
	return 0;
}

/* ---- heads ---- */

static int open_data(const char *file)
{
	return open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

bool lmdb_has_magic(const char *file)
{
	uint32_t magic;
	int fd = open_data(file);
	bool is = fd >= 0 &&
		  pread(fd, &magic, sizeof(magic),
			offsetof(struct head, magic)) == sizeof(magic) &&
		  magic == MAGIC;

	if (fd >= 0)
		close(fd);
	return is;
}

static bool is_root(const struct head *h, size_t root)
{
	return root == NO_PAGE || (root >= HEADS && root <= h->last_page);
}

static bool fits(const struct head *h, size_t page)
{
	return h->magic == MAGIC && (uint64_t)h->map_size <= MAP_MAX &&
	       h->last_page >= HEADS - 1 && h->last_page < h->map_size / page &&
	       is_root(h, h->db[0].root) && is_root(h, h->db[1].root);
}

/* The sizes of both heads' pages, and the newest of them. */
static int read_heads(int fd, struct head *ret, size_t *ret_page,
		      uint64_t *ret_need)
{
	struct head h[HEADS];
	size_t page;

	if (pread(fd, &h[0], sizeof(h[0]), 0) != sizeof(h[0]))
		return -ENODATA;
	page = h[0].db[0].pad;
	if (page < PAGE_MIN || page > PAGE_MAX || page & (page - 1))
		return -EUCLEAN;
	if (pread(fd, &h[1], sizeof(h[1]), (off_t)page) != sizeof(h[1]))
		return -ENODATA;
	*ret = h[h[1].txn > h[0].txn];
	/* Of another version LMDB itself says so.  The older head may be half
	 * of one that could not be written: LMDB leaves that there. */
	if (h[0].version == h[1].version && !fits(ret, page))
		return -EUCLEAN;
	*ret_page = page;
	*ret_need = ((uint64_t)ret->last_page + 1) * page;
	return 0;
}

static int read_some_heads(int fd, struct head *ret, size_t *ret_page,
			   uint64_t *ret_need)
{
	int rc = -EUCLEAN;

	for (int i = 0; rc == -EUCLEAN && i < TRIES; i++)
		rc = read_heads(fd, ret, ret_page, ret_need);
	return rc;
}

int lmdb_last_txn(const char *file, uint64_t *ret)
{
	struct head h;
	uint64_t need;
	size_t page;
	int fd = open_data(file), rc;

	if (fd < 0)
		return -errno;
	rc = read_some_heads(fd, &h, &page, &need);
	close(fd);
	if (rc == 0)
		*ret = h.txn;
	return rc;
}

/* A fresh copy's only transaction stands in the second head, as all odd ones
 * do; an empty one has none so far. */
int lmdb_number_copy(int fd, uint64_t txn)
{
	struct head h;
	uint64_t need;
	size_t page, number = (size_t)(txn | 1);
	int rc = read_heads(fd, &h, &page, &need);

	if (rc < 0)
		return rc;
	if (h.txn > 1)
		return 0;
	if (pwrite(fd, &number, sizeof(number),
		   (off_t)(page + offsetof(struct head, txn))) !=
	    sizeof(number))
		return -EIO;
	return 0;
}

/* ---- every page ---- */

struct dir_cursor {
	MDB_env *env;
	MDB_txn *txn;
	MDB_cursor *cursor[2]; /* of all databases, and of one */
	int rc;                /* of LMDB's */
};

static int touch_value(const MDB_val *value)
{
	const volatile uint8_t *p = value->mv_data;
	int sum = 0;

	for (size_t i = 0; i < value->mv_size; i += STRIDE)
		sum += p[i];
	return value->mv_size ? sum + p[value->mv_size - 1] : sum;
}

static int touch_db(struct dir_cursor *l, MDB_dbi dbi)
{
	MDB_val key, value;
	int rc = mdb_cursor_open(l->txn, dbi, &l->cursor[1]);

	if (rc)
		return rc;
	while ((rc = mdb_cursor_get(l->cursor[1], &key, &value, MDB_NEXT)) == 0)
		(void)touch_value(&value);
	mdb_cursor_close(l->cursor[1]);
	l->cursor[1] = NULL;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int touch_named(struct dir_cursor *l, const MDB_val *key)
{
	char name[LMDB_KEY_MAX + 1];
	MDB_dbi dbi;
	int rc;

	if (key->mv_size > LMDB_KEY_MAX ||
	    memchr(key->mv_data, '\0', key->mv_size))
		return 0;
	memcpy(name, key->mv_data, key->mv_size);
	name[key->mv_size] = '\0';
	rc = mdb_dbi_open(l->txn, name, 0, &dbi);
	if (rc == MDB_INCOMPATIBLE || rc == MDB_NOTFOUND || rc == MDB_DBS_FULL)
		return 0;
	return rc ? rc : touch_db(l, dbi);
}

static int touch_all(struct dir_cursor *l)
{
	MDB_val key, value;
	MDB_dbi dbi;
	int rc = mdb_dbi_open(l->txn, NULL, 0, &dbi);

	if (rc == 0)
		rc = touch_db(l, 0); /* the lists of free pages */
	if (rc == 0)
		rc = touch_db(l, dbi);
	if (rc == 0)
		rc = mdb_cursor_open(l->txn, dbi, &l->cursor[0]);
	while (rc == 0 &&
	       (rc = mdb_cursor_get(l->cursor[0], &key, &value, MDB_NEXT)) == 0)
		if (value.mv_size == LMDB_SUB_DB)
			rc = touch_named(l, &key);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int run_look(void *arg)
{
	struct dir_cursor *l = arg;

	l->rc = touch_all(l);
	return 0;
}

/* Whether all that counts is in the file.  By a view of its own, which LMDB
 * does not lock. */
static bool is_whole(const char *file)
{
	struct dir_cursor l = { 0 };
	bool is = false;

	if (mdb_env_create(&l.env) != 0)
		return false;
	if (mdb_env_set_maxdbs(l.env, LMDB_DBS_MAX) == 0 &&
	    mdb_env_open(l.env, file,
			 MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS,
			 0600) == 0 &&
	    mdb_txn_begin(l.env, NULL, MDB_RDONLY, &l.txn) == 0) {
		is = file_try(run_look, &l) == 0 && l.rc == 0;
		for (size_t i = 0; i < 2; i++)
			if (l.cursor[i])
				mdb_cursor_close(l.cursor[i]);
		mdb_txn_abort(l.txn);
	}
	mdb_env_close(l.env);
	return is;
}

int lmdb_check_head(const char *path, const char *file, struct blt_error *err)
{
	struct stat st = { 0 };
	struct head h;
	uint64_t need = 0;
	size_t page;
	int fd = open_data(file), rc;

	if (fd < 0)
		return store_fail(err, -errno, "%s: cannot open: %s", path,
				  strerror(errno));
	rc = read_some_heads(fd, &h, &page, &need);
	/* behind the heads: pages are written in front of them */
	if (rc == 0 && fstat(fd, &st) < 0)
		rc = -errno;
	close(fd);
	if (rc == -ENODATA)
		return store_fail(err, -EUCLEAN,
				  "%s: is an LMDB environment that was cut "
				  "off within its first two pages",
				  path);
	if (rc < 0)
		return store_fail(err, rc,
				  "%s: is an LMDB environment with a damaged "
				  "head: its sizes cannot be",
				  path);
	/* the rest of a page that was cut would read as zeros */
	if ((uint64_t)st.st_size < need &&
	    ((uint64_t)st.st_size % page || !is_whole(file)))
		return store_fail(err, -EUCLEAN,
				  "%s: is an LMDB environment that was cut "
				  "short: it has %" PRIu64
				  " bytes, and what it holds goes on up to "
				  "%" PRIu64,
				  path, (uint64_t)st.st_size, need);
	return 0;
}

/* ---- alone ---- */

int lmdb_exclude(const char *path, int *ret_fd, pid_t *ret_holder)
{
	struct flock lock = { .l_type = F_WRLCK,
			      .l_whence = SEEK_SET,
			      .l_len = 1 };
	char *name;
	int rc = lock_file(path, &name), fd;

	*ret_holder = 0;
	if (rc < 0)
		return rc;
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	rc = fd < 0 ? -errno : 0;
	free(name);
	if (rc == 0 && fcntl(fd, F_SETLK, &lock) < 0) {
		rc = errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
		if (rc == -EBUSY && fcntl(fd, F_GETLK, &lock) == 0 &&
		    lock.l_type != F_UNLCK)
			*ret_holder = lock.l_pid;
	}
	/* It has the table of readers, and the last transaction, of what is
	 * about to be replaced.  Who waits for the lock would go on with that;
	 * of no bytes it can make nothing, and the next who is alone makes it
	 * anew. */
	if (rc == 0 && ftruncate(fd, 0) < 0)
		rc = -errno;
	if (rc == 0)
		*ret_fd = fd;
	else if (fd >= 0)
		close(fd);
	return rc;
}
