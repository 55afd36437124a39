/* nullfs MOUNTPOINT FILES LENGTH - a low-level server that answers from
 * constants: what the kernel and libfuse take, and no filesystem does better.
 *
 * Its root shows f0 to f(FILES - 1), each of LENGTH zeros; the kernel may keep
 * what it was told for ever, as bltfs lets it.  Whatever is created, written,
 * renamed or removed is fine with it, and changes nothing; but a file has one
 * name, f0 or nf0, the one that is asked for first, so that there is something
 * to rename. */
#define FUSE_USE_VERSION 312

#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOR_EVER 1e9

static unsigned long files, length;
static char zeros[1 << 20];
static char *first_letter; /* of each file's name, 0: not asked for yet */

static struct stat attr_of(fuse_ino_t ino)
{
	struct stat st = { .st_ino = ino, .st_nlink = 1 };

	st.st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644;
	st.st_size = ino == FUSE_ROOT_ID ? 0 : (off_t)length;
	return st;
}

/* f0 is inode 2, and nf0, its name when it has been renamed; 0: there is no
 * such file. */
static fuse_ino_t ino_of(const char *name)
{
	unsigned long n = files;

	name += name[0] == 'n';
	if (name[0] == 'f')
		n = strtoul(name + 1, NULL, 10);
	return n < files ? n + 2 : 0;
}

static struct fuse_entry_param entry_of(fuse_ino_t ino)
{
	struct fuse_entry_param e = { .ino = ino,
				      .attr_timeout = FOR_EVER,
				      .entry_timeout = FOR_EVER };

	e.attr = attr_of(ino);
	return e;
}

static void null_init(void *arg, struct fuse_conn_info *conn)
{
	(void)arg;
	conn->want |= conn->capable &
		      (FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
		       FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_ATOMIC_O_TRUNC);
}

static bool has_name(fuse_ino_t ino, const char *name)
{
	char *letter = &first_letter[ino - 2];

	if (!*letter)
		*letter = name[0];
	return *letter == name[0];
}

/* A missing name is told in a way that the kernel keeps, too. */
static void null_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_ino_t ino = ino_of(name);
	struct fuse_entry_param e =
		entry_of(ino && has_name(ino, name) ? ino : 0);

	(void)parent;
	fuse_reply_entry(req, &e);
}

static void null_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	(void)ino;
	(void)n;
	fuse_reply_none(req);
}

static void null_getattr(fuse_req_t req, fuse_ino_t ino,
			 struct fuse_file_info *fi)
{
	struct stat st = attr_of(ino);

	(void)fi;
	fuse_reply_attr(req, &st, FOR_EVER);
}

static void null_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr,
			 int what, struct fuse_file_info *fi)
{
	(void)attr;
	(void)what;
	null_getattr(req, ino, fi);
}

static void null_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void null_opendir(fuse_req_t req, fuse_ino_t ino,
			 struct fuse_file_info *fi)
{
	(void)ino;
	fi->keep_cache = fi->cache_readdir = 1;
	fuse_reply_open(req, fi);
}

static void null_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		      struct fuse_file_info *fi)
{
	size_t n = (size_t)off < length ? length - (size_t)off : 0;

	(void)ino;
	(void)fi;
	n = n < size ? n : size;
	fuse_reply_buf(req, zeros, n < sizeof(zeros) ? n : sizeof(zeros));
}

static void null_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
		       size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)ino;
	(void)buf;
	(void)off;
	(void)fi;
	fuse_reply_write(req, size);
}

static void null_done(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

static void null_create(fuse_req_t req, fuse_ino_t parent, const char *name,
			mode_t mode, struct fuse_file_info *fi)
{
	fuse_ino_t ino = ino_of(name);
	struct fuse_entry_param e = entry_of(ino ? ino : files + 2);

	(void)parent;
	(void)mode;
	fuse_reply_create(req, &e, fi);
}

static void null_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent;
	(void)name;
	fuse_reply_err(req, 0);
}

static void null_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
			fuse_ino_t to, const char *to_name, unsigned flags)
{
	(void)parent;
	(void)name;
	(void)to;
	(void)to_name;
	(void)flags;
	fuse_reply_err(req, 0);
}

/* One name into buf; what it takes, which may be more than is left. */
static size_t add_name(fuse_req_t req, char *buf, size_t left, off_t at,
		       bool plus)
{
	struct fuse_entry_param e = entry_of((fuse_ino_t)at + 2);
	char name[32];

	snprintf(name, sizeof(name), "f%ld", (long)at);
	if (plus)
		return fuse_add_direntry_plus(req, buf, left, name, &e, at + 1);
	return fuse_add_direntry(req, buf, left, name, &e.attr, at + 1);
}

static void list(fuse_req_t req, size_t size, off_t off, bool plus)
{
	char buf[1 << 16];
	size_t used = 0, room = size < sizeof(buf) ? size : sizeof(buf);

	for (; (unsigned long)off < files; off++) {
		size_t n = add_name(req, buf + used, room - used, off, plus);

		if (n > room - used)
			break;
		used += n;
	}
	fuse_reply_buf(req, buf, used);
}

static void null_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			 struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	list(req, size, off, false);
}

static void null_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
			     off_t off, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	list(req, size, off, true);
}

static const struct fuse_lowlevel_ops ops = {
	.init = null_init,
	.lookup = null_lookup,
	.forget = null_forget,
	.getattr = null_getattr,
	.setattr = null_setattr,
	.open = null_open,
	.opendir = null_opendir,
	.read = null_read,
	.write = null_write,
	.flush = null_done,
	.release = null_done,
	.releasedir = null_done,
	.create = null_create,
	.unlink = null_unlink,
	.rename = null_rename,
	.readdir = null_readdir,
	.readdirplus = null_readdirplus,
};

int main(int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	struct fuse_session *se;
	int rc = 1;

	if (argc != 4)
		return 64;
	files = strtoul(argv[2], NULL, 10);
	length = strtoul(argv[3], NULL, 10);
	first_letter = calloc(files ? files : 1, 1);
	if (!first_letter)
		return 1;
	fuse_opt_add_arg(&args, argv[0]);
	fuse_opt_add_arg(&args, "-ofsname=nullfs");
	se = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (!se || fuse_set_signal_handlers(se) < 0)
		return 1;
	fuse_loop_cfg_set_clone_fd(config, 1);
	if (fuse_session_mount(se, argv[1]) == 0) {
		rc = fuse_session_loop_mt(se, config);
		fuse_session_unmount(se);
	}
	fuse_remove_signal_handlers(se);
	fuse_session_destroy(se);
	fuse_loop_cfg_destroy(config);
	fuse_opt_free_args(&args);
	free(first_letter);
	return rc ? 1 : 0;
}
