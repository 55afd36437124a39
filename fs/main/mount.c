#include "main/daemon.h"

#include "dir/absent.h"
#include "dir/seq_positions.h"
#include "inode/cache_validity.h"
#include "main/bltfs.h"
#include "main/clock.h"
#include "file/codec.h"
#include "file/content.h"
#include "control/control.h"
#include "main/log.h"
#include "main/open_store.h"
#include "main/uring.h"
#include "inode/notify_queue.h"
#include "inode/rights.h"
#include "request/ops.h"
#include "inode/syncer.h"
#include "control/txns.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <libgen.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* What one mount holds while it lives, in the order in which it comes. */
struct mount {
	struct bltfs fs;
	const struct options *opts;
	char *store_path;
	char *mountpoint;
	char *write_buffer_dir;
	int parent; /* of detach_begin, or -1 */
	bool mounted;
	bool refused; /* -o io_uring=yes cannot be had */
	bool made;    /* the mount point, by us */
};

/* ---- the parent and the terminal ---- */

static void refuse_device(struct mount *mount)
{
	log_error("-o io_uring=yes: %s", uring_why(mount->fs.uring));
	mount->refused = true;
	fuse_session_exit(mount->fs.session);
}

/* INIT is answered.  Where the kernel went back to the device that is as good,
 * unless it was asked for otherwise. */
static void tell_live(struct bltfs *fs, int rc)
{
	struct mount *mount = (struct mount *)fs;

	if (rc < 0 && fs->opts->io_uring == IO_URING_YES) {
		refuse_device(mount);
		return;
	}
	ready_tell("READY=1");
	if (detach_end(&mount->parent) < 0) {
		log_warn(
			"the command that started this mount was interrupted; unmounting");
		fuse_session_exit(mount->fs.session);
	}
}

static void want(struct fuse_conn_info *conn, unsigned caps)
{
	conn->want |= conn->capable & caps;
}

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
	struct bltfs *fs = userdata;

	want(conn, FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC |
			   FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
			   FUSE_CAP_IOCTL_DIR | FUSE_CAP_PARALLEL_DIROPS |
			   FUSE_CAP_CACHE_SYMLINKS |
			   FUSE_CAP_EXPLICIT_INVAL_DATA);
	/* its pages would go whenever a write moves the time */
	conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
	conn->max_write = 1u << 20;
	conn->time_gran = 1000;
	if (uring_prepare(fs->uring, conn->max_write) == 0)
		return;
	want(conn, FUSE_CAP_SPLICE_WRITE);
	if (fs->opts->io_uring == IO_URING_YES)
		refuse_device((struct mount *)fs);
}

/* What may wait for the disk, or for more than that. */
static bool is_slow(void *arg, uint32_t opcode, uint64_t inode)
{
	const struct bltfs *fs = arg;

	/* a server, which may be away */
	if (fs->info.tokens && opcode != FUSE_FORGET &&
	    opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT)
		return true;
	switch (opcode) {
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
		return true;
	case FUSE_FALLOCATE:
	case FUSE_FLUSH:
	case FUSE_MKDIR:
	case FUSE_MKNOD:
	case FUSE_RELEASE:
	case FUSE_RENAME:
	case FUSE_RENAME2:
	case FUSE_RMDIR:
	case FUSE_SETATTR:
	case FUSE_SYMLINK:
	case FUSE_UNLINK:
		return fs->opts->sync || control_owns(inode);
	default:
		return control_owns(inode);
	}
}

/* ---- the store ---- */

static bool takes_links(const struct bltfs *fs)
{
	const char *name = blt_serializer_name(fs->info.value_serializer);

	return !fs->opts->nosymlinks && fs->info.value_len == 0 && name &&
	       (strcmp(name, "bytes") == 0 || strcmp(name, "str") == 0);
}

static int prepare(struct mount *mount)
{
	struct bltfs *fs = &mount->fs;
	const char *kind;

	fs->opts = mount->opts;
	blt_get_info(fs->store, &fs->info);
	fs->takes_empty = blt_takes_empty(fs->store);
	fs->takes_links = takes_links(fs);
	fs->keeps_attrs = rights_found(fs);
	if (fs->opts->decode && !codec_known(&fs->info)) {
		kind = blt_serializer_name(fs->info.value_serializer);
		log_error(
			"%s: -o decode is for values that are zstd-coded; those of this store are %s; mount it without",
			mount->opts->store,
			fs->info.value_len ? "bytes of one length" :
			kind               ? kind :
					     "of a class of its own");
		return EX_USAGE;
	}
	mount->write_buffer_dir =
		strdup(blt_is_url(mount->store_path) ? "/var/tmp/." :
						       mount->store_path);
	if (!mount->write_buffer_dir || inodes_new(fs, 0, &fs->inodes) < 0 ||
	    seq_positions_new(&fs->seq_positions) < 0 ||
	    (fs->info.tokens && absent_new(&fs->absent) < 0)) {
		log_error("out of memory");
		return EX_OSERR;
	}
	fs->pool.max = mount->opts->max_staging;
	fs->pool.value_max = fs->info.value_max;
	fs->pool.dir = dirname(mount->write_buffer_dir);
	if (!fs->opts->decode && !fs->opts->ro)
		fs->pool.store = fs->store;
	return 0;
}

/* ---- the session ---- */

static int add_options(struct mount *mount, char **list)
{
	const struct options *o = mount->opts;
	char *name;
	int rc;

	if (asprintf(&name, "fsname=%s",
		     o->fsname ? o->fsname : mount->store_path) < 0)
		return -1;
	rc = fuse_opt_add_opt_escaped(list, name);
	free(name);
	if (rc < 0 || asprintf(&name, "subtype=%s", o->subtype) < 0)
		return -1;
	rc = fuse_opt_add_opt_escaped(list, name);
	free(name);
	if (rc == 0 && o->ro)
		rc = fuse_opt_add_opt(list, "ro");
	if (rc == 0 && o->allow_other)
		rc = fuse_opt_add_opt(list, "allow_other");
	if (rc == 0 && o->default_permissions)
		rc = fuse_opt_add_opt(list, "default_permissions");
	if (rc == 0 && o->debug)
		rc = fuse_opt_add_opt(list, "debug");
	if (rc == 0 && o->pass)
		rc = fuse_opt_add_opt(list, o->pass);
	return rc;
}

static int start_session(struct mount *mount)
{
	struct fuse_lowlevel_ops ops = ops_table(&mount->fs);
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct bltfs *fs = &mount->fs;
	const struct uring_config transport = {
		.wish = (enum io_uring_wish)mount->opts->io_uring,
		.is_slow = is_slow,
		.arg = fs,
	};
	char *list = NULL;
	int rc = EX_OSERR;

	ops.init = on_init;
	if (add_options(mount, &list) < 0 ||
	    fuse_opt_add_arg(&args, "bltfs") < 0 ||
	    fuse_opt_add_arg(&args, "-o") < 0 ||
	    fuse_opt_add_arg(&args, list) < 0) {
		log_error("out of memory");
		goto out;
	}
	fs->session = fuse_session_new(&args, &ops, sizeof(ops), fs);
	if (!fs->session)
		goto out; /* libfuse has said why */
	if (uring_new(fs->session, &transport, &fs->uring) < 0) {
		log_error("out of memory");
		goto out;
	}
	fs->live = tell_live;
	if (fuse_session_mount(fs->session, mount->mountpoint) < 0) {
		log_error(
			"%s: could not be mounted; \"blt doctor\" tells what is missing",
			mount->opts->mountpoint);
		rc = EX_UNAVAILABLE;
		goto out;
	}
	mount->mounted = true;
	rc = 0;
out:
	free(list);
	fuse_opt_free_args(&args);
	return rc;
}

/* The first threads.  The signals that end a mount are for the main thread
 * alone; they are blocked by now, and threads inherit that. */
static int start_threads(struct mount *mount)
{
	const struct options *o = mount->opts;
	struct blt_ns_options how = { .flat = o->flat, .control = o->control };
	struct bltfs *fs = &mount->fs;
	int rc = blt_ns_new(fs->store, &how, &fs->ns);

	if (rc == 0)
		rc = notify_queue_new(fs->session, fs->inodes,
				      &fs->notify_queue);
	if (rc == 0 && fs->info.shared)
		rc = cache_validity_new(fs, (unsigned)o->look_ms,
					&fs->cache_validity);
	if (rc == 0 && !o->ro)
		rc = syncer_new(fs->store, (unsigned)o->commit, o->sync,
				&fs->syncer);
	if (rc == 0)
		rc = control_new(fs, &fs->control);
	if (rc == 0 && !o->ro && o->control)
		rc = txns_new(fs, &fs->txns);
	if (rc < 0) {
		log_error("%s: cannot start: %s", o->store, strerror(-rc));
		return EX_OSERR;
	}
	return 0;
}

static int loop(struct mount *mount)
{
	struct fuse_session *se = mount->fs.session;
	struct signals *signals = NULL;
	int rc = signals_start(se, mount->fs.notify_queue, &signals);

	if (rc == 0)
		rc = loop_run(se, mount->opts);
	signals_stop(signals);
	uring_drain(mount->fs.uring);
	ready_tell("STOPPING=1");
	if (mount->refused)
		return EX_UNAVAILABLE;
	if (rc < 0) {
		log_error("%s: the mount ended: %s", mount->mountpoint,
			  strerror(-rc));
		return EX_OSERR;
	}
	return 0; /* unmounted, or a signal */
}

/* ---- the end ---- */

static int end(struct mount *mount, int code)
{
	struct bltfs *fs = &mount->fs;
	int rc = 0;

	control_stop(fs->control);
	cache_validity_stop(fs->cache_validity);
	notify_queue_stop(fs->notify_queue);
	control_slow_wait(fs->control);
	/* its rings hold the connection */
	if (uring_stop(fs->uring) < 0 && code == 0)
		code = EX_OSERR;
	if (mount->mounted)
		fuse_session_unmount(fs->session);
	/* what hung in the mount does no more */
	control_free(fs->control);
	notify_queue_free(fs->notify_queue);
	fs->notify_queue = NULL;
	txns_free(fs->txns);
	if (fs->ns && fs->inodes) {
		rc = bltfs_close_open(fs);
		rc = rc < 0 ? exit_code(rc) : 0;
	}
	cache_validity_free(fs->cache_validity);
	if (fs->session)
		fuse_session_destroy(fs->session);
	uring_free(fs->uring);
	syncer_free(fs->syncer);
	seq_positions_free(fs->seq_positions);
	absent_free(fs->absent);
	inodes_free(fs->inodes);
	blt_ns_free(fs->ns);
	if (code == 0)
		code = rc;
	rc = blt_close(fs->store);
	if (rc < 0) {
		log_error("%s: could not be closed: %s; run: blt check",
			  mount->store_path, strerror(-rc));
		code = code ? code : exit_code(rc);
	}
	pthread_rwlock_destroy(&fs->names);
	return code;
}

int mount_run(const struct options *opts)
{
	struct mount mount = { .opts = opts, .parent = -1 };
	int rc = -1;

	if (!opts->foreground)
		rc = detach_begin(&mount.parent);
	if (rc >= 0)
		return rc;
	signals_ignore();
	bltfs_init_names(&mount.fs);
	rc = mountpoint_find(opts, &mount.store_path, &mount.mountpoint,
			     &mount.made);
	if (rc == 0)
		rc = open_store(opts, mount.store_path, &mount.fs.store);
	if (rc == 0)
		rc = prepare(&mount);
	/* from here on a signal must not leave a mount without a daemon */
	signals_block();
	if (rc == 0)
		rc = start_session(&mount);
	if (rc == 0)
		rc = start_threads(&mount);
	if (rc == 0)
		rc = loop(&mount);
	rc = end(&mount, rc);
	if (mount.made)
		rmdir(mount.mountpoint);
	free(mount.write_buffer_dir);
	free(mount.store_path);
	free(mount.mountpoint);
	return rc;
}
