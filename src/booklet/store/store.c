/* Opening, closing, and facts. */
#include "booklet/core/reservations.h"
#include "booklet/store/store.h"

#include "booklet/maintain/maintain.h"
#include "booklet/log/recover.h"
#include "booklet/core/snapshot.h"
#include "booklet/format/serial.h"
#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* ---- making a store ---- */

static bool serializer_known(unsigned code)
{
	return !code || code == BLT_SERIALIZER_CUSTOM || serial_name(code);
}

static unsigned serializer_or(unsigned code, const char *usual)
{
	if (code == BLT_SERIALIZER_CUSTOM)
		return 0;
	return code ? code : (unsigned)serial_code(usual);
}

static int check_new(const struct blt_create_options *c, const char *path,
		     struct blt_error *err)
{
	if (c->value_len && c->value_serializer)
		return store_fail(
			err, -EINVAL,
			"%s: a store with values of a fixed length has no "
			"value serializer; give one of the two",
			path);
	if (!serializer_known(c->key_serializer))
		return store_fail(
			err, -EINVAL,
			"%s: %u is no serializer code; booklet's are 1 to "
			"32",
			path, c->key_serializer);
	if (!serializer_known(c->value_serializer))
		return store_fail(
			err, -EINVAL,
			"%s: %u is no serializer code; booklet's are 1 to "
			"32",
			path, c->value_serializer);
	return 0;
}

static void new_format(const struct blt_create_options *c, struct format *f)
{
	*f = (struct format){
		.fixed = c->value_len != 0,
		.value_len = c->value_len,
		.timestamps = !c->value_len && !c->no_timestamps,
		.n_buckets =
			c->n_buckets ? c->n_buckets : FORMAT_DEFAULT_BUCKETS,
		.key_serializer = serializer_or(c->key_serializer, "str"),
		.value_serializer =
			c->value_len ?
				0 :
				serializer_or(c->value_serializer, "bytes"),
		.created = now_us(),
	};
	if (getrandom(f->uuid, sizeof(f->uuid), 0) < 0)
		put_le(f->uuid, (uint64_t)f->created, 8);
	/* A random uuid as RFC 4122 marks it. */
	f->uuid[6] = (uint8_t)((f->uuid[6] & 0x0f) | 0x40);
	f->uuid[8] = (uint8_t)((f->uuid[8] & 0x3f) | 0x80);
	format_make(f);
}

static int write_new(struct file *file, const struct format *f)
{
	const size_t piece = 8192;
	uint8_t *entries = malloc(piece * FORMAT_POS_LEN);
	uint64_t left = f->n_buckets, pos = FORMAT_HEADER_LEN;
	int rc;

	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < piece; i++)
		put_le(entries + i * FORMAT_POS_LEN, FORMAT_LAST,
		       FORMAT_POS_LEN);
	/* The header comes last: without it the file is no store. */
	rc = file_resize(file, 0);
	while (rc == 0 && left) {
		size_t n = (size_t)min_u64(left, piece);

		rc = file_write(file, entries, n * FORMAT_POS_LEN, pos);
		pos += n * FORMAT_POS_LEN;
		left -= n;
	}
	if (rc == 0)
		rc = file_sync(file);
	if (rc == 0)
		rc = file_write(file, f->raw, FORMAT_HEADER_LEN, 0);
	if (rc == 0)
		rc = file_sync(file);
	if (rc == 0)
		rc = file_map_to(file, pos);
	free(entries);
	return rc;
}

static int make_store(struct file *file, const struct blt_create_options *c,
		      const char *path, struct blt_error *err)
{
	struct format f;
	int rc;

	rc = check_new(c, path, err);
	if (rc == 0) {
		new_format(c, &f);
		rc = write_new(file, &f);
		if (rc == 0 && file->made)
			rc = file_sync_name(path);
		if (rc < 0)
			store_fail(err, rc, "%s: cannot make the store: %s",
				   path, strerror(-rc));
	}
	if (rc < 0 && file->made)
		unlink(path);
	return rc;
}

/* ---- opening ---- */

static int fail_open(struct blt_error *err, const char *path, int rc)
{
	return store_fail(err, rc, "%s: cannot open: %s", path, strerror(-rc));
}

/* The header of a clean file, or of one whose log is to be replayed. */
struct opening {
	struct format fmt;
	bool unclean;
	struct log_checkpoint slot;
	int checkpoint_at;
	struct recover_hook hook;
};

static int load_unclean(const uint8_t *raw, uint64_t size, const char *path,
			struct opening *ret, struct blt_error *err)
{
	int rc = recover_header(raw, size, &ret->fmt, &ret->slot,
				&ret->checkpoint_at);

	if (rc == -EPROTONOSUPPORT)
		return store_fail(
			err, rc,
			"%s: was left by a newer version of this program "
			"in the middle of its work; open it with that one",
			path);
	if (rc < 0)
		return store_fail(
			err, rc,
			"%s: its last writer died, and its header is "
			"damaged too: it does not say where the log "
			"begins; \"blt recover --rebuild\" saves what "
			"is whole",
			path);
	ret->unclean = true;
	return 0;
}

static int load_header(struct file *file, uint64_t size, const char *path,
		       struct opening *ret, struct blt_error *err)
{
	uint8_t raw[FORMAT_HEADER_LEN];
	enum format_fault fault;
	int rc;

	if (size < FORMAT_HEADER_LEN)
		return store_fail(
			err, -EUCLEAN,
			"%s: is no booklet file: %llu bytes long, and the "
			"header alone has %d; give a file that booklet or "
			"\"blt create\" made, or a copy of it if it was cut "
			"short",
			path, (unsigned long long)size, FORMAT_HEADER_LEN);
	rc = file_read(file, raw, sizeof(raw), 0);
	if (rc < 0)
		return store_fail(err, rc, "%s: cannot read the header: %s",
				  path, strerror(-rc));
	fault = format_decode(raw, size, &ret->fmt);
	if (fault == FORMAT_TOO_OLD &&
	    get_le(raw + FORMAT_AT_VERSION, 2) == FORMAT_VERSION_HOT)
		return load_unclean(raw, size, path, ret, err);
	if (fault == FORMAT_TOO_OLD)
		return store_fail(err, -EPROTONOSUPPORT, "%s: %s", path,
				  format_fault_text(fault));
	if (fault != FORMAT_OK)
		return store_fail(err, -EUCLEAN, "%s: %s", path,
				  format_fault_text(fault));
	if (ret->fmt.version > FORMAT_VERSION && file->writable)
		return store_fail(
			err, -EPROTONOSUPPORT,
			"%s: has version %u, and versions above %u are "
			"not written; it can only be read (bltfs: -o ro)",
			path, ret->fmt.version, FORMAT_VERSION);
	return 0;
}

/* The count of a store whose last writer did not close it comes from a walk,
 * which also tells whether its last block is whole: a writer must not append
 * behind half a block. */
static int recount(struct store *store, const char *path, struct blt_error *err)
{
	struct blt_census census;
	int rc;

	store->was_open = true;
	store->engine.wal.n_keys = 0;
	rc = booklet_count(&store->face, &census);
	if (rc == 0)
		store->engine.wal.n_keys = store->engine.wal.logged_keys =
			census.keys;
	else if (store->engine.wal.file.writable)
		return store_fail(
			err, rc,
			"%s: was not closed by its last writer, and its "
			"data is damaged: %s; open it read-only to read "
			"what is there, or save that with \"blt recover "
			"--rebuild\"",
			path, strerror(-rc));
	return 0;
}

/* Brings a store that a writer left behind to its last commit. */
static int replay(struct store *store, const struct opening *o,
		  const char *path, struct blt_error *err)
{
	struct engine *e = &store->engine;
	bool growth = false;
	int rc;

	store->was_open = true;
	rc = recover(&e->wal, &o->slot, o->checkpoint_at, &o->hook, &growth);
	if (rc == 0)
		store->replayed = e->wal.record_seq - o->slot.record_seq;
	if (rc == 0 && growth && e->wal.file.writable)
		rc = store_grow_on(store);
	if (rc < 0)
		return store_fail(err, rc,
				  "%s: its last writer died, and what it left "
				  "cannot be replayed: %s%s",
				  path, strerror(-rc),
				  rc == -EUCLEAN ?
					  "; \"blt recover --rebuild\" "
					  "saves what is whole" :
					  "");
	return 0;
}

static int start(struct store *store, const struct opening *o, const char *path,
		 struct blt_error *err)
{
	if (o->unclean)
		return replay(store, o, path, err);
	if (o->fmt.n_keys == FORMAT_N_KEYS_OPEN)
		return recount(store, path, err);
	return 0;
}

static void free_store(struct store *store)
{
	wal_release(&store->engine.wal);
	pthread_mutex_destroy(&store->engine.whole);
	pthread_mutex_destroy(&store->grower_lock);
	listeners_release(&store->engine.listeners);
	free(store);
}

/* Takes the file over: on an error it is closed. */
static int open_in_file(struct file *file, const char *path,
			const struct blt_open_options *opts, struct blt **ret,
			struct blt_error *err)
{
	struct store *store = calloc(1, sizeof(*store));
	struct opening o = { .hook = { opts->progress, opts->progress_arg } };
	uint64_t size = 0;
	int rc;

	rc = store ? file_size(file, &size) : -ENOMEM;
	if (rc < 0) {
		fail_open(err, path, rc);
		goto out_file;
	}
	rc = load_header(file, size, path, &o, err);
	if (rc < 0)
		goto out_file;
	rc = wal_init(&store->engine.wal, file, &o.fmt, size);
	if (rc < 0) {
		fail_open(err, path, rc);
		goto out_file;
	}
	pthread_mutex_init(&store->engine.whole, NULL);
	pthread_mutex_init(&store->grower_lock, NULL);
	listeners_init(&store->engine.listeners);
	store->face = (struct blt){ &booklet_backend, file->writable };
	store->alone = opts->no_threads;
	rc = start(store, &o, path, err);
	if (rc == 0) {
		*ret = &store->face;
		return 0;
	}
	free_store(store);
	return rc;

out_file:
	file_close(file);
	free(store);
	return rc;
}

int store_adopt(int fd, bool write, const struct file_ops *ops,
		struct blt **ret, struct blt_error *err)
{
	static const struct blt_open_options alone = { .no_threads = true };
	struct file file;
	int rc = file_adopt(&file, fd, write, ops);

	if (rc < 0) {
		close(fd);
		return store_fail(err, rc, "memory file: %s", strerror(-rc));
	}
	return open_in_file(&file, "memory file", &alone, ret, err);
}

int store_open(const char *path, const struct blt_open_options *opts,
	       const struct file_ops *ops, struct blt **ret,
	       struct blt_error *err)
{
	static const struct blt_open_options plain = { .mode = BLT_READ };
	struct file_how how;
	struct file file;
	uint64_t size = 0;
	int rc;

	if (!opts)
		opts = &plain;
	how = (struct file_how){ .write = opts->mode != BLT_READ,
				 .create = opts->mode == BLT_CREATE ||
					   opts->mode == BLT_TRUNCATE,
				 .lock_timeout_ms = opts->lock_timeout_ms };
	rc = file_open(&file, path, &how, ops, err);
	if (rc < 0)
		return rc;
	rc = file_size(&file, &size);
	if (rc < 0)
		fail_open(err, path, rc);
	else if (opts->mode == BLT_TRUNCATE ||
		 (opts->mode == BLT_CREATE && size == 0))
		rc = make_store(&file, &opts->create, path, err);
	if (rc < 0) {
		file_close(&file);
		return rc;
	}
	return open_in_file(&file, path, opts, ret, err);
}

int booklet_open(const char *path, const struct blt_open_options *opts,
		 struct blt **ret, struct blt_error *err)
{
	return store_open(path, opts, &file_system_ops, ret, err);
}

int store_settle(struct store *store, bool idle)
{
	struct wal *wal = &store->engine.wal;
	int rc = 0, cleaned;

	/* Whoever has long work under way is not at rest. */
	if (!idle)
		pthread_mutex_lock(&store->engine.whole);
	else if (pthread_mutex_trylock(&store->engine.whole) != 0)
		return 0;
	if (wal->file.writable && !atomic_load(&wal->failed))
		rc = rehash_resume(&store->engine);
	if (rc == 0 && wal->file.writable && !atomic_load(&wal->failed))
		rc = compaction_resume(&store->engine);
	/* Where that fails, what is pending is made durable all the same. */
	cleaned = wal_mark_clean(wal, idle);
	pthread_mutex_unlock(&store->engine.whole);
	return rc < 0 ? rc : cleaned;
}

int booklet_close(struct blt *blt)
{
	struct store *store = store_of(blt);
	int rc;

	store_grow_end(store);
	store_dirindex_end(store);
	rc = store_settle(store, false);
	if (rc == 0)
		rc = wal_return_space(&store->engine.wal);
	free_store(store);
	return rc;
}

/* ---- facts ---- */

const char *booklet_path(const struct blt *blt)
{
	const struct store *store = const_store_of(blt);

	return store->engine.wal.file.path;
}

int booklet_fd(const struct blt *blt)
{
	const struct store *store = const_store_of(blt);

	return store->engine.wal.file.fd;
}

/* Under wal.lock: what neither lives nor is being written. */
static uint64_t dead_bytes(const struct store *store)
{
	const struct engine *e = &store->engine;
	int64_t live = atomic_load(&e->live_bytes);
	uint64_t used = FORMAT_HEADER_LEN +
			format_index_len(e->wal.fmt.n_buckets) +
			reservations_bytes(e) + (live > 0 ? (uint64_t)live : 0);

	return e->wal.end > used ? e->wal.end - used : 0;
}

void booklet_get_info(struct blt *blt, struct blt_info *ret)
{
	struct store *store = store_of(blt);
	struct wal *wal = &store->engine.wal;
	const struct format *f = &wal->fmt;

	pthread_rwlock_rdlock(&wal->lock);
	*ret = (struct blt_info){
		.value_max = BLT_VALUE_MAX,
		.engine = booklet_backend.name,
		.version = f->version,
		.writable = wal->file.writable,
		.has_timestamps = f->timestamps,
		.was_open = store->was_open,
		.key_serializer = f->key_serializer,
		.value_serializer = f->value_serializer,
		.value_len = f->value_len,
		.n_buckets = f->n_buckets,
		.n_keys = wal->n_keys,
		.index_offset = f->index_offset,
		.data_offset = f->data_offset,
		.file_size = wal->end,
		.created = f->created,
		.modified = wal->changed,
		.replayed = store->replayed,
		.failed = atomic_load(&wal->failed),
		.dead_known = atomic_load(&store->engine.live_known),
	};
	if (ret->dead_known)
		ret->dead_bytes = dead_bytes(store);
	memcpy(ret->uuid, f->uuid, sizeof(ret->uuid));
	pthread_rwlock_unlock(&wal->lock);
	if (!ret->modified)
		(void)file_mtime(&wal->file, &ret->modified);
}

int booklet_count(struct blt *blt, struct blt_census *ret)
{
	struct store *store = store_of(blt);
	const struct format *f = &store->engine.wal.fmt;
	struct blt_census c = { 0 };
	struct block b;
	struct snapshot snapshot;
	int rc;

	snapshot_start(&snapshot, &store->engine, true);
	while ((rc = snapshot_next(&snapshot, &b)) > 0) {
		if (b.head.next == FORMAT_DEAD) {
			c.dead_blocks++;
			c.dead_bytes += b.len;
			continue;
		}
		c.live_bytes += b.len;
		if (format_hidden(f, &b.head.hash))
			continue;
		c.keys++;
		c.value_bytes += b.head.value_len;
	}
	snapshot_end(&snapshot);
	if (rc == 0)
		*ret = c;
	return rc;
}

bool booklet_takes_empty(const struct blt *blt)
{
	const struct store *store = const_store_of(blt);
	const struct format *f = &store->engine.wal.fmt;

	return !f->fixed && serial_takes_empty(f->value_serializer);
}
