/* A copy of a store: what it is like, and what is written to (backend.h).
 */
#include "booklet/store/store.h"

#include "engine/backend.h"
#include "booklet/maintain/maintain.h"
#include "booklet/format/serial.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

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
			store->engine.wal.file.path, is.version,
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
			path, store->engine.wal.file.path);
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

/* ---- what it is written to ---- */

static int open_temporary(const struct store_place *p, struct file *ret,
			  struct blt_error *err)
{
	const struct file_how how = { .write = true };
	int rc = file_open(ret, p->temporary, &how, &file_system_ops, NULL);

	if (rc < 0)
		return store_fail(err, rc, "%s: cannot create: %s", p->path,
				  strerror(-rc));
	return 0;
}

int booklet_copy(struct blt *blt, const char *path,
		 const struct blt_create_options *opts, bool replace,
		 blt_progress_fn *progress, void *arg, struct blt_error *err)
{
	struct store *store = store_of(blt);
	struct store_place place;
	struct file file;
	struct format fmt;
	struct copy_how how = { &fmt, path, now_us(), progress, arg };
	int rc;

	rc = choose_format(store, path, opts, &fmt, err);
	if (rc < 0)
		return rc;
	rc = store_place_begin(&place, blt, path, replace, err);
	if (rc == 0)
		rc = open_temporary(&place, &file, err);
	if (rc == 0) {
		rc = copy_into(&store->engine, &file, &how, err);
		file_close(&file);
	}
	if (rc == 0)
		rc = store_place_end(&place, err);
	store_place_release(&place);
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
