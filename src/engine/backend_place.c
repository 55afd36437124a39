#include "engine/backend.h"

#include "booklet/io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As much of path as names its directory, with the '/'. */
static int dir_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (int)(slash - path) + 1 : 0;
}

static bool is_itself(struct blt *from, const char *path)
{
	struct stat st, own;

	return stat(path, &st) == 0 && fstat(blt_fd(from), &own) == 0 &&
	       own.st_dev == st.st_dev && own.st_ino == st.st_ino;
}

/* What stands there may be replaced only while nobody uses it: what a writer
 * put there later would be lost. */
static int take_old(struct store_place *p, struct blt *from,
		    struct blt_error *err)
{
	struct stat st;

	if (is_itself(from, p->path))
		return store_fail(
			err, -EEXIST,
			"%s: is the store itself; copy it to another name, "
			"and rename that once nobody uses the store",
			p->path);
	if (lstat(p->path, &st) < 0)
		return errno == ENOENT ?
			       0 :
			       store_fail(err, -errno, "%s: cannot look: %s",
					  p->path, strerror(errno));
	if (!p->replace)
		return store_fail(err, -EEXIST, "%s: exists already", p->path);
	if (S_ISDIR(st.st_mode))
		return store_fail(err, -EISDIR,
				  "%s: is a directory; name a file", p->path);
	return backend_hold(p->path, &p->held, err);
}

int store_place_begin(struct store_place *p, struct blt *from, const char *path,
		      bool replace, struct blt_error *err)
{
	int fd, rc;

	*p = (struct store_place){ backend_of_name_only(path), path, NULL,
				   replace, -1 };
	if (p->is)
		return p->is->place_begin(path, replace, &p->temporary, err);
	rc = take_old(p, from, err);
	if (rc < 0)
		return rc;
	/* What comes to be there meanwhile is nobody's to replace. */
	p->replace = p->held >= 0;
	if (asprintf(&p->temporary, "%.*s.blt-copy-XXXXXX", dir_len(path),
		     path) < 0) {
		p->temporary = NULL;
		return store_fail(err, -ENOMEM, "%s: out of memory", path);
	}
	fd = mkostemp(p->temporary, O_CLOEXEC);
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	rc = -errno;
	free(p->temporary);
	p->temporary = NULL;
	return store_fail(err, rc, "%s: cannot create: %s%s", path,
			  strerror(-rc),
			  rc == -ENOENT ? "; make the directory first" : "");
}

int store_place_end(struct store_place *p, struct blt_error *err)
{
	unsigned flags = p->replace ? 0 : RENAME_NOREPLACE;
	int rc;

	if (p->is) {
		rc = p->is->place_end(p->path, p->temporary, p->replace, err);
		if (rc == 0) {
			free(p->temporary);
			p->temporary = NULL;
		}
		return rc;
	}
	rc = renameat2(AT_FDCWD, p->temporary, AT_FDCWD, p->path, flags);
	/* Not every filesystem can tell whether the name is free. */
	if (rc < 0 && errno == EINVAL && access(p->path, F_OK) < 0)
		rc = rename(p->temporary, p->path);
	if (rc < 0) {
		rc = -errno;
	} else {
		free(p->temporary);
		p->temporary = NULL;
		rc = file_sync_name(p->path);
	}
	if (rc < 0)
		return store_fail(err, rc,
				  "%s: cannot rename the copy to it: %s",
				  p->path, strerror(-rc));
	return 0;
}

void store_place_release(struct store_place *p)
{
	if (p->temporary && p->is)
		p->is->place_drop(p->temporary);
	else if (p->temporary)
		unlink(p->temporary);
	free(p->temporary);
	p->temporary = NULL;
	if (p->held >= 0)
		close(p->held);
	p->held = -1;
}
