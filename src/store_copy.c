/* A copy of a store: what it is like, and how it gets its name.
 *
 * It is written under another name beside its own, made durable, and renamed:
 * whatever happens, its own name stands for all of it or for what was there. */
#include "store.h"

#include "copy.h"
#include "serial.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LARGEST_BUCKETS 20736017u /* of booklet's series */

/* ---- what it is like ---- */

/* Behind the end of booklet's series, the size that somebody chose. */
static uint32_t fitting_buckets(uint64_t n_keys, uint32_t n_buckets)
{
	uint32_t n = (uint32_t)min_u64(n_keys, UINT32_MAX);
	uint32_t next = format_next_buckets(n);

	if (next)
		return next;
	return n_buckets > LARGEST_BUCKETS ? n_buckets : LARGEST_BUCKETS;
}

static int choose_format(struct store *store, const char *path,
			 const struct blt_create_options *opts,
			 struct format *ret, struct blt_error *err)
{
	struct blt_create_options o = { 0 };
	struct blt_info is;
	struct format f;

	booklet_get_info(&store->face, &is);
	if (is.version > FORMAT_VERSION)
		return store_fail(
			err, -EPROTONOSUPPORT,
			"%s: has version %u, of which no copy can be made "
			"that keeps all of it; versions up to %u can be "
			"copied",
			store->engine.space.file.path, is.version,
			FORMAT_VERSION);
	o.value_len = is.value_len;
	o.no_timestamps = !is.has_timestamps;
	if (opts)
		o = *opts;
	if ((o.key_serializer && o.key_serializer != is.key_serializer) ||
	    (o.value_serializer && o.value_serializer != is.value_serializer))
		return store_fail(
			err, -EINVAL,
			"%s: a copy has the serializers of its source, %s",
			path, store->engine.space.file.path);
	f = (struct format){
		.fixed = o.value_len != 0,
		.value_len = o.value_len,
		.timestamps = !o.value_len && !o.no_timestamps,
		.n_buckets = o.n_buckets ?
				     o.n_buckets :
				     fitting_buckets(is.n_keys, is.n_buckets),
		.key_serializer = is.key_serializer,
		.value_serializer = o.value_len ? 0 : is.value_serializer,
		.created = is.created,
	};
	if (!f.fixed && is.value_len)
		f.value_serializer = (unsigned)serial_code("bytes");
	memcpy(f.uuid, is.uuid, sizeof(f.uuid));
	format_make(&f);
	*ret = f;
	return 0;
}

/* ---- its name ---- */

static bool is_store(const struct store *store, const struct stat *st)
{
	const struct file *f = &store->engine.space.file;

	return f->dev == st->st_dev && f->ino == st->st_ino;
}

/* What stands at path may be replaced only while nobody uses it: what a writer
 * put there later would be lost. */
static int take_target(struct store *store, const char *path, bool replace,
		       struct file *ret_old, bool *ret_is_old,
		       struct blt_error *err)
{
	const struct file_how how = { .write = true };
	struct stat st;
	int rc;

	if (stat(path, &st) == 0 && is_store(store, &st))
		return store_fail(
			err, -EEXIST,
			"%s: is the store itself; copy it to another name, "
			"and rename that once nobody uses the store",
			path);
	if (lstat(path, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		return store_fail(err, -errno, "%s: cannot look: %s", path,
				  strerror(errno));
	}
	if (!replace)
		return store_fail(err, -EEXIST, "%s: exists already", path);
	rc = file_open(ret_old, path, &how, &file_system_ops, err);
	if (rc == 0)
		*ret_is_old = true;
	return rc;
}

static int make_temporary(const char *path, struct file *ret, char **ret_name,
			  struct blt_error *err)
{
	const char *slash = strrchr(path, '/');
	int dir_len = slash ? (int)(slash - path) + 1 : 0;
	char *name;
	int fd, rc;

	if (asprintf(&name, "%.*s.blt-copy-XXXXXX", dir_len, path) < 0)
		return store_fail(err, -ENOMEM, "%s: out of memory", path);
	fd = mkostemp(name, O_CLOEXEC);
	rc = fd < 0 ? -errno : file_adopt(ret, fd, true, &file_system_ops);
	if (rc == 0) {
		*ret_name = name;
		return 0;
	}
	if (fd >= 0) {
		close(fd);
		unlink(name);
	}
	free(name);
	return store_fail(err, rc, "%s: cannot create: %s%s", path,
			  strerror(-rc),
			  rc == -ENOENT ? "; make the directory first" : "");
}

static int give_name(struct file *file, const char *temporary, const char *path,
		     bool replace, struct blt_error *err)
{
	unsigned flags = replace ? 0 : RENAME_NOREPLACE;
	int rc;

	file->path = strdup(path);
	if (!file->path)
		return store_fail(err, -ENOMEM, "%s: out of memory", path);
	rc = renameat2(AT_FDCWD, temporary, AT_FDCWD, path, flags);
	/* Not every filesystem can tell whether the name is free. */
	if (rc < 0 && errno == EINVAL && access(path, F_OK) < 0)
		rc = rename(temporary, path);
	rc = rc < 0 ? -errno : file_sync_name(file);
	if (rc < 0)
		return store_fail(err, rc,
				  "%s: cannot rename the copy to it: %s", path,
				  strerror(-rc));
	return 0;
}

int booklet_copy(struct blt *blt, const char *path,
		 const struct blt_create_options *opts, bool replace,
		 blt_progress_fn *progress, void *arg, struct blt_error *err)
{
	struct store *store = store_of(blt);
	struct file file, old;
	struct format fmt;
	struct copy_how how = { &fmt, path, now_us(), progress, arg };
	bool is_old = false;
	char *temporary = NULL;
	int rc;

	rc = choose_format(store, path, opts, &fmt, err);
	if (rc == 0)
		rc = take_target(store, path, replace, &old, &is_old, err);
	if (rc < 0)
		return rc;
	rc = make_temporary(path, &file, &temporary, err);
	if (rc == 0) {
		rc = copy_into(&store->engine, &file, &how, err);
		if (rc == 0)
			rc = give_name(&file, temporary, path, is_old, err);
		if (rc < 0)
			unlink(temporary);
		file_close(&file);
		free(temporary);
	}
	if (is_old)
		file_close(&old);
	return rc;
}

/* The lock stays with the other descriptor. */
int booklet_hold_file(const char *path, int *ret_fd, struct blt_error *err)
{
	const struct file_how how = { .write = true };
	struct file file;
	int rc = file_open(&file, path, &how, &file_system_ops, err);

	if (rc < 0)
		return rc;
	*ret_fd = fcntl(file.fd, F_DUPFD_CLOEXEC, 0);
	rc = *ret_fd < 0 ? -errno : 0;
	file_close(&file);
	return rc < 0 ? store_fail(err, rc, "%s: cannot be locked: %s", path,
				   strerror(-rc)) :
			0;
}
