/* Rebuilding: the files around a salvage. */
#include "booklet/store/store.h"

#include "booklet/maintain/salvage.h"
#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The header of another store, for its options. */
static int read_like(const struct blt_rebuild_options *o,
		     uint8_t ret[FORMAT_HEADER_LEN], struct blt_error *err)
{
	struct file_how how = { .lock_timeout_ms = o->lock_timeout_ms };
	uint8_t raw[FORMAT_HEADER_LEN];
	struct file file;
	uint64_t size;
	int rc = file_open(&file, o->like, &how, &file_system_ops, err);

	if (rc < 0)
		return rc;
	rc = file_size(&file, &size);
	if (rc == 0 && size < FORMAT_HEADER_LEN)
		rc = -EUCLEAN;
	if (rc == 0)
		rc = file_read(&file, raw, sizeof(raw), 0);
	if (rc == 0 && format_magic(raw) < 0)
		rc = -EUCLEAN;
	file_close(&file);
	if (rc == -EUCLEAN)
		return store_fail(
			err, -EINVAL,
			"%s: is no booklet store, so it tells nothing "
			"about another one; give a sound store that was "
			"made with the same options",
			o->like);
	if (rc < 0)
		return store_fail(err, rc, "%s: cannot read the header: %s",
				  o->like, strerror(-rc));
	memcpy(ret, raw, FORMAT_HEADER_LEN);
	return 0;
}

/* Takes the file over. */
static int find_blocks(struct salvage *s, struct file *file, const char *path,
		       const struct blt_rebuild_options *o,
		       struct blt_error *err)
{
	uint8_t like[FORMAT_HEADER_LEN];
	struct salvage_header h;
	int rc = o->like ? read_like(o, like, err) : 0;

	if (rc < 0)
		goto out_file;
	rc = salvage_header(file, o->like ? like : NULL, &h);
	if (rc == -EUCLEAN)
		store_fail(
			err, rc,
			"%s: its header is unreadable, and the file holds no copy "
			"of it; name a sound store that was made with the same "
			"options (blt recover --like; blt create makes one)",
			path);
	else if (rc == 0)
		rc = salvage_start(s, file, &h, o);
	if (rc < 0 && rc != -EUCLEAN)
		store_fail(err, rc, "%s: cannot read it: %s", path,
			   strerror(-rc));
	if (rc < 0)
		goto out_file;
	rc = salvage_scan(s);
	if (rc == 0)
		return 0;
	salvage_release(s);
	return store_fail(err, rc, "%s: cannot read it to its end: %s", path,
			  strerror(-rc));
out_file:
	file_close(file);
	return rc;
}

/* Makes a file that was not there. */
static int make_file(const char *path, struct file *ret, struct blt_error *err)
{
	struct file_how how = { .write = true, .create = true };
	struct file file;
	int rc = file_open(&file, path, &how, &file_system_ops, err);

	if (rc < 0)
		return rc;
	if (!file.made) {
		file_close(&file);
		return store_fail(
			err, -EEXIST,
			"%s: exists already; give a name that is free", path);
	}
	*ret = file;
	return 0;
}

static int write_new(struct salvage *s, const char *path, const char *at,
		     bool in_place, struct blt_error *err)
{
	struct file to;
	int rc = make_file(at, &to, err);

	if (rc < 0)
		return rc;
	if (in_place)
		file_give_mode(&s->wal.file, to.fd);
	rc = salvage_write(s, &to);
	if (rc == 0 && in_place && rename(at, path) < 0)
		rc = -errno;
	if (rc == 0)
		rc = file_sync_name(at);
	if (rc < 0) {
		store_fail(err, rc, "%s: cannot write the new store: %s", at,
			   strerror(-rc));
		unlink(at);
	}
	file_close(&to);
	return rc;
}

static int write_beside(struct salvage *s, const char *path,
			struct blt_error *err)
{
	char *real = realpath(path, NULL), *at = NULL;
	int rc = -ENOMEM;

	/* A symbolic link goes on leading to the store. */
	if (real && asprintf(&at, "%s.rebuilt-%d", real, (int)getpid()) >= 0)
		rc = write_new(s, real, at, true, err);
	else
		store_fail(err, rc, "%s: %s", path, strerror(ENOMEM));
	free(at);
	free(real);
	return rc;
}

int booklet_rebuild(const char *path, const struct blt_rebuild_options *opts,
		    struct blt_rebuild_result *ret, struct blt_error *err)
{
	static const struct blt_rebuild_options plain = { .to = NULL };
	struct file_how how;
	struct blt_error own;
	struct salvage s;
	struct file file;
	int rc;

	if (!err)
		err = &own;
	if (!opts)
		opts = &plain;
	how = (struct file_how){ .write = !opts->to,
				 .lock_timeout_ms = opts->lock_timeout_ms };
	rc = file_open(&file, path, &how, &file_system_ops, err);
	if (rc < 0)
		return rc;
	rc = find_blocks(&s, &file, path, opts, err);
	if (rc < 0)
		return rc;
	rc = opts->to ? write_new(&s, path, opts->to, false, err) :
			write_beside(&s, path, err);
	if (rc == 0)
		*ret = s.result;
	salvage_release(&s);
	return rc;
}
