/* Checking: an open store, and a file that may be none. */
#include "booklet/store/store.h"

#include "booklet/maintain/maintain.h"
#include "booklet/maintain/verify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int run(struct verify *c)
{
	struct wal *wal = &c->engine->wal;
	uint8_t raw[FORMAT_HEADER_LEN];
	uint64_t end;
	int rc;

	pthread_rwlock_rdlock(&wal->lock);
	memcpy(raw, wal->fmt.raw, sizeof(raw));
	end = wal->end;
	pthread_rwlock_unlock(&wal->lock);
	rc = verify_header(c, raw, end);
	if (rc == 0)
		rc = verify_blocks(c);
	if (rc == 0)
		rc = verify_chains(c);
	if (rc == 0)
		rc = verify_counts(c);
	return rc;
}

int booklet_check(struct blt *blt, const struct blt_check_options *opts,
		  blt_fault_fn *fn, void *arg, struct blt_check_result *ret)
{
	struct store *store = store_of(blt);
	struct engine *e = &store->engine;
	struct verify c;
	int rc = 0;

	/* Its walks do not follow what moves. */
	pthread_mutex_lock(&e->whole);
	if (e->wal.file.writable && !atomic_load(&e->wal.failed))
		rc = rehash_resume(e);
	/* A growth that a full disk has stopped stands still, at least. */
	if (rc == -ENOSPC)
		rc = 0;
	verify_start(&c, e, opts, fn, arg);
	c.result.was_open = store->was_open;
	if (rc == 0)
		rc = run(&c);
	pthread_mutex_unlock(&e->whole);
	if (rc == 0)
		*ret = c.result;
	return rc;
}

/* ---- a file that no store could be made of ---- */

/* why: what opening it had to say. */
static int verify_closed(struct verify *c, struct file *file, const char *why)
{
	uint8_t raw[FORMAT_HEADER_LEN];
	uint64_t size = 0;
	int rc = file_size(file, &size);

	if (rc < 0)
		return rc;
	if (size < FORMAT_HEADER_LEN)
		return verify_fault(c, BLT_FAULT_HEADER, 0,
				    "the file ends at %llu, its header at %d",
				    (unsigned long long)size,
				    FORMAT_HEADER_LEN);
	rc = file_read(file, raw, sizeof(raw), 0);
	if (rc == 0)
		rc = verify_header(c, raw, size);
	/* Every field may be well by itself: the log cannot be replayed. */
	if (rc == 0 && !c->result.faults)
		rc = verify_fault(c, BLT_FAULT_HEADER, FORMAT_AT_VERSION, "%s",
				  why);
	return rc;
}

static int verify_unopened(const char *path, int lock_timeout_ms,
			   blt_fault_fn *fn, void *arg,
			   struct blt_check_result *ret, struct blt_error *err)
{
	struct file_how how = { .lock_timeout_ms = lock_timeout_ms };
	char why[sizeof(err->text)];
	struct verify c;
	struct file file;
	int rc;

	memcpy(why, err->text, sizeof(why));
	rc = file_open(&file, path, &how, &file_system_ops, err);
	if (rc < 0)
		return rc;
	verify_start(&c, NULL, NULL, fn, arg);
	rc = verify_closed(&c, &file, why);
	file_close(&file);
	if (rc == 0)
		*ret = c.result;
	return rc;
}

int booklet_check_file(const char *path, int lock_timeout_ms,
		       const struct blt_check_options *opts, blt_fault_fn *fn,
		       void *arg, struct blt_check_result *ret,
		       struct blt_error *err)
{
	struct blt_open_options how = { .mode = BLT_READ,
					.lock_timeout_ms = lock_timeout_ms };
	struct blt_error own;
	struct blt *store;
	int rc;

	if (!err)
		err = &own;
	rc = booklet_open(path, &how, &store, err);
	if (rc == -EUCLEAN || rc == -EPROTONOSUPPORT)
		return verify_unopened(path, lock_timeout_ms, fn, arg, ret,
				       err);
	if (rc < 0)
		return rc;
	rc = booklet_check(store, opts, fn, arg, ret);
	if (rc < 0)
		snprintf(err->text, sizeof(err->text),
			 "%s: cannot be checked to its end: %s", path,
			 strerror(-rc));
	booklet_close(store);
	return rc;
}
