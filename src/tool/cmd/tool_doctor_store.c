/* tool_doctor_store.c - the checks on one store: each begins where the one
 * before it found nothing that makes it hopeless. */
#include "tool/cmd/tool_doctor.h"
#include "tool/tool_system.h"
#include "base/os.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define ROOM_MIN (UINT64_C(64) << 20)
#define VERSION_MAX 5 /* that can be written */

/* The store's file, which may stand in a directory that was given for it. */
static void find_file(const struct doctor *d, const struct stat *st,
		      char ret[PATH_MAX])
{
	const bool in_dir = S_ISDIR(st->st_mode);

	snprintf(ret, PATH_MAX, "%s%s", d->store, in_dir ? "/data.mdb" : "");
}

static void look_at_file(struct doctor *d)
{
	char advice[PATH_MAX + 32], file[PATH_MAX], dir[PATH_MAX];
	struct stat st;
	int err;

	if (blt_is_url(d->store))
		return;
	d->hopeless = true;
	if (stat(d->store, &st) < 0) {
		err = errno;
		snprintf(advice, sizeof(advice), "blt create %s", d->store);
		doctor_find(d, DOCTOR_BAD, err == ENOENT ? advice : NULL,
			    "%s: %s", d->store, strerror(err));
		return;
	}
	if (!S_ISREG(st.st_mode) && !blt_engine_of(d->store)) {
		doctor_find(d, DOCTOR_BAD, "give the path of a store, a file",
			    "%s: is no regular file", d->store);
		return;
	}
	find_file(d, &st, file);
	if (access(file, R_OK) < 0) {
		doctor_find(d, DOCTOR_BAD,
			    "as its owner: chmod u+rw, or run this as another "
			    "user",
			    "%s: cannot be read: %s", d->store,
			    strerror(errno));
		return;
	}
	d->hopeless = false;
	memcpy(dir, file, sizeof(dir));
	if (access(file, W_OK) < 0)
		doctor_find(d, DOCTOR_NOTE,
			    "mount it with -o ro, or change its mode",
			    "%s: can only be read: %s", d->store,
			    strerror(errno));
	else if (access(dirname(dir), W_OK) < 0)
		doctor_find(d, DOCTOR_NOTE, "change the directory's mode",
			    "%s: its directory cannot be written, where large "
			    "files wait until they are closed",
			    d->store);
	else
		doctor_find(d, DOCTOR_OK, NULL, "%s: can be read and written",
			    d->store);
}

/* ---- locks ---- */

struct user {
	const char *source; /* the store's path without links */
	char point[PATH_MAX];
};

static int find_user(void *arg, const struct mountinfo *m)
{
	struct user *u = arg;

	if (strcmp(m->type, MOUNTINFO_BLTFS) != 0 ||
	    strcmp(m->source, u->source) != 0)
		return 0;
	snprintf(u->point, sizeof(u->point), "%s", m->point);
	return 1;
}

/* What to do about a store that is in other hands. */
static void say_locked(struct doctor *d, enum doctor_state state,
		       const char *what)
{
	char path[PATH_MAX], advice[PATH_MAX + 64];
	struct user u = { .source = path };

	if (realpath(d->store, path) && mountinfo_each(find_user, &u) == 1)
		snprintf(advice, sizeof(advice),
			 "use the files in %.2000s, or: blt umount %.2000s",
			 u.point, u.point);
	else
		snprintf(advice, sizeof(advice),
			 "wait for it, or have it close the store");
	doctor_find(d, state, advice, "%s", what);
}

static void look_at_readers(struct doctor *d)
{
	int fd, err = 0;

	if (blt_is_url(d->store))
		return;
	if (blt_engine_of(d->store)) {
		doctor_find(d, DOCTOR_OK, NULL,
			    "others may use an LMDB environment, too");
		return;
	}
	fd = open(d->store, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		err = errno;
	close(fd);
	if (err == EWOULDBLOCK)
		say_locked(d, DOCTOR_NOTE,
			   "others are reading it: until they end it can only "
			   "be read");
	else if (err)
		doctor_find(d, DOCTOR_BAD,
			    "move it to a filesystem with flock(2)",
			    "it cannot be locked: %s", strerror(err));
	else
		doctor_find(d, DOCTOR_OK, NULL, "nobody else has it open");
}

/* ---- what is in it ---- */

static void note_caution(void *arg, const char *text)
{
	doctor_find(arg, DOCTOR_NOTE, NULL, "%s", text);
}

static void look_inside(struct doctor *d)
{
	const struct blt_open_options how = { .mode = BLT_READ };
	char advice[2 * PATH_MAX], durable[BLT_DURABILITY_MAX];
	struct blt_error err;
	struct blt_info info;
	struct blt *store;
	int r = blt_open(d->store, &how, &store, &err);

	if (r == -EWOULDBLOCK) {
		d->hopeless = true;
		say_locked(d, DOCTOR_BAD, err.text);
		return;
	}
	if (r < 0) {
		d->hopeless = true;
		snprintf(advice, sizeof(advice), "blt check %s", d->store);
		doctor_find(d, DOCTOR_BAD, r == -EUCLEAN ? advice : NULL, "%s",
			    err.text);
		return;
	}
	blt_get_info(store, &info);
	blt_cautions(store, note_caution, d);
	if (blt_durability(store, durable) == 0)
		doctor_find(d, DOCTOR_OK, NULL, "what is synced is on %s",
			    durable);
	blt_close(store);
	snprintf(advice, sizeof(advice), "mount it, or: blt recover %s",
		 d->store);
	if (blt_is_url(d->store))
		doctor_find(d, DOCTOR_OK, NULL,
			    "a store in PostgreSQL, %" PRIu64 " keys",
			    info.n_keys);
	else if (info.shared)
		doctor_find(d, DOCTOR_OK, NULL,
			    "an LMDB environment, %" PRIu64 " keys",
			    info.n_keys);
	else if (info.version > VERSION_MAX)
		doctor_find(d, DOCTOR_NOTE, "mount it with -o ro",
			    "version %u of the format can only be read",
			    info.version);
	else if (info.was_open)
		doctor_find(d, DOCTOR_NOTE, advice,
			    "its last writer did not close it, and Python "
			    "cannot read it");
	else
		doctor_find(d, DOCTOR_OK, NULL,
			    "version %u, %" PRIu64 " keys, closed properly",
			    info.version, info.n_keys);
}

/* ---- where it is ---- */

static const struct place {
	unsigned long magic;
	const char *name, *what, *advice;
} places[] = {
	{ NFS_SUPER_MAGIC, "NFS",
	  "whether locks and what is synced reach other machines is the "
	  "server's to say",
	  "use it on one machine at a time" },
	{ SMB_SUPER_MAGIC, "SMB", "locks may not reach other machines",
	  "use it on one machine at a time" },
	{ SMB2_SUPER_MAGIC, "SMB", "locks may not reach other machines",
	  "use it on one machine at a time" },
	{ CIFS_SUPER_MAGIC, "CIFS", "locks may not reach other machines",
	  "use it on one machine at a time" },
	{ V9FS_MAGIC, "9p", "locks may not reach the host",
	  "use it on one side at a time" },
	{ FUSE_SUPER_MAGIC, "FUSE",
	  "what is synced is as safe as that filesystem makes it",
	  "keep what matters on a disk's filesystem" },
	{ TMPFS_MAGIC, "tmpfs", "it is gone when the machine stops",
	  "keep what matters on a disk" },
};

static void look_at_place(struct doctor *d)
{
	struct statvfs room;
	struct statfs fs;
	uint64_t left;
	char size[32];

	if (statfs(d->store, &fs) < 0 || statvfs(d->store, &room) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if ((unsigned long)fs.f_type == places[i].magic)
			doctor_find(d, DOCTOR_NOTE, places[i].advice,
				    "it is on %s: %s", places[i].name,
				    places[i].what);
	if (room.f_flag & ST_RDONLY) {
		doctor_find(d, DOCTOR_NOTE, "mount it with -o ro",
			    "its filesystem is mounted read-only");
		return;
	}
	left = (uint64_t)room.f_bavail * room.f_frsize;
	tool_size(left, size);
	if (left < ROOM_MIN)
		doctor_find(d, DOCTOR_NOTE, "make room",
			    "%s left: writes will soon fail", size);
	else
		doctor_find(d, DOCTOR_OK, NULL, "%s left", size);
}

const struct doctor_check doctor_store[] = {
	{ "store", look_at_file },
	{ "contents", look_inside },
	{ "locks", look_at_readers },
	{ "filesystem", look_at_place },
	{ .name = NULL },
};
