#include "tool/tool_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define TRIES 1000

int place_begin(struct place *p, int dir)
{
	*p = (struct place){ .dir = dir, .fd = -1 };
	for (int i = 0; i < TRIES; i++) {
		snprintf(p->temporary, sizeof(p->temporary), ".blt-new-%d-%d",
			 (int)getpid(), i);
		p->fd = openat(dir, p->temporary,
			       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
				       O_CLOEXEC,
			       0666);
		if (p->fd >= 0 || errno != EEXIST)
			break;
	}
	return p->fd < 0 ? -errno : 0;
}

int place_end(struct place *p, const char *name, bool replace)
{
	unsigned flags = replace ? 0 : RENAME_NOREPLACE;
	int r = renameat2(p->dir, p->temporary, p->dir, name, flags);

	/* Not every filesystem can tell whether the name is free. */
	if (r < 0 && errno == EINVAL &&
	    faccessat(p->dir, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		r = renameat(p->dir, p->temporary, p->dir, name);
	if (r < 0) {
		r = -errno;
		place_abort(p);
		return r;
	}
	close(p->fd);
	p->fd = -1;
	return 0;
}

void place_abort(struct place *p)
{
	if (p->fd < 0)
		return;
	unlinkat(p->dir, p->temporary, 0);
	close(p->fd);
	p->fd = -1;
}
