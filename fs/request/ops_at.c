#include "request/ops.h"

#include "dir/seq_positions.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void reply(fuse_req_t req, int rc, const struct stat *st)
{
	struct fuse_entry_param e = { .ino = st->st_ino, .attr = *st };

	if (rc < 0)
		ops_reply(req, rc);
	else if (fuse_reply_entry(req, &e) < 0)
		seq_positions_forget(ops_fs(req), e.ino, 1);
}

void at_ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct stat st = { 0 };
	int rc = seq_positions_lookup(ops_fs(req), parent, &st);

	(void)name;
	reply(req, rc, &st);
}

void at_ops_lookup_link(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct stat st = { 0 };
	int rc = seq_positions_lookup_link(ops_fs(req), parent, name, &st);

	reply(req, rc, &st);
}

void at_ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	int rc = seq_positions_stat(ops_fs(req), ino, &st);

	(void)fi;
	if (rc < 0)
		ops_reply(req, rc);
	else
		fuse_reply_attr(req, &st, 0);
}

void at_ops_readlink(fuse_req_t req, fuse_ino_t ino)
{
	/* A copy: behind the answer the link may be forgotten at once. */
	char target[SEQ_POSITIONS_TARGET];
	int rc = seq_positions_readlink(ino, target);

	if (rc < 0)
		ops_reply(req, rc);
	else
		fuse_reply_readlink(req, target);
}

/* ---- listing: all positions there are, from 0 on ---- */

void at_ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fuse_reply_open(req, fi);
}

void at_ops_releasedir(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	ops_reply(req, 0);
}

/* Offsets: as many names as stand in front, "." and ".." among them. */
static size_t add(fuse_req_t req, char *buf, size_t room, uint64_t offset,
		  fuse_ino_t ino, bool plus)
{
	struct fuse_entry_param e = { 0 }; /* the kernel looks it up */
	char name[24] = "..";

	if (offset >= 2)
		snprintf(name, sizeof(name), "%" PRIu64, offset - 2);
	e.attr.st_ino = offset < 2 ? ino : ino + offset;
	e.attr.st_mode = offset < 2 ? S_IFDIR : S_IFLNK;
	if (plus)
		return fuse_add_direntry_plus(req, buf, room,
					      name + (offset == 0), &e,
					      (off_t)offset + 1);
	return fuse_add_direntry(req, buf, room, name + (offset == 0), &e.attr,
				 (off_t)offset + 1);
}

static void list_positions(fuse_req_t req, fuse_ino_t ino, size_t size,
			   off_t off, bool plus)
{
	uint64_t n, offset = (uint64_t)off;
	size_t used = 0, need;
	char *buf = malloc(size);
	int rc = buf ? seq_positions_count(ops_fs(req), ino, &n) : -ENOMEM;

	for (; rc == 0 && offset < n + 2; offset++) {
		need = add(req, buf + used, size - used, offset, ino, plus);
		if (need > size - used)
			break;
		used += need;
	}
	if (rc < 0)
		ops_reply(req, rc);
	else
		fuse_reply_buf(req, buf, used);
	free(buf);
}

void at_ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	(void)fi;
	list_positions(req, ino, size, off, false);
}

void at_ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			struct fuse_file_info *fi)
{
	(void)fi;
	list_positions(req, ino, size, off, true);
}
