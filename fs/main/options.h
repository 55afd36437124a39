/* options.h - the daemon's command line.
 *
 *   struct options opts;
 *   struct options_error err;
 *
 *   if (options_parse(&opts, argc, argv, &err) < 0)
 *           ...print err.text, exit EX_USAGE
 *   ...
 *   options_release(&opts);
 *
 * All options are rows of one table in options.c; the help is made from it.
 * Strings belong to the struct.  Not for use by two threads.
 */
#ifndef FS_OPTIONS_H
#define FS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct options_error {
	char text[512];
};

/* As option_choices has them for -o io_uring. */
enum io_uring_wish {
	IO_URING_AUTO,
	IO_URING_YES,
	IO_URING_NO,
};

/* Likewise for -o attrs. */
enum attrs_wish {
	ATTRS_STORED,
	ATTRS_DROPPED,
};

struct options {
	char *store;
	char *mountpoint;
	/* switches */
	bool foreground;
	bool debug;
	bool single;
	bool help;
	bool version;
	/* -o */
	bool ro;
	bool create;
	bool flat;
	bool allow_other;
	bool default_permissions;
	bool sync;
	bool strict_attrs;
	bool xattr;
	bool nosymlinks;
	bool decode;
	bool clone_fd;
	uint64_t io_uring; /* enum io_uring_wish */
	bool nonempty;
	bool mkdir;
	bool no_timestamps;
	uint64_t uid;
	uint64_t gid;
	uint64_t umask;
	uint64_t fmask;        /* of files; the umask if not given */
	bool fmask_given;      /* else files are executable only where
				* chmod cannot say so (rights.c) */
	uint64_t dmask;        /* of directories; the umask if not given */
	uint64_t new_fmask;    /* what was given of these, 0 if nothing: new */
	uint64_t new_dmask;    /* files and directories go without it */
	uint64_t attrs;        /* enum attrs_wish */
	bool attrs_asked;      /* it was given */
	uint64_t commit;       /* seconds */
	uint64_t autoprune;    /* percent that may be dead; 0: no limit */
	uint64_t poll_us;      /* 0: sleep at once */
	uint64_t attr_ms;      /* how long what others may change is kept */
	uint64_t look_ms;      /* between two looks at what others change */
	uint64_t lock_timeout; /* seconds */
	uint64_t max_staging;  /* bytes */
	uint64_t buckets;
	uint64_t value_len;
	bool control_write;
	bool control_exec;
	char *control; /* NULL: none */
	char **map;    /* n_map of them: "NAME=COMMAND" */
	size_t n_map;
	char *log;    /* "text" or "json"; NULL: text */
	char *fsname; /* NULL: the store's path */
	char *subtype;
	char *engine; /* NULL: booklet, or what is there */
	char *db;     /* LMDB: the one database; NULL: all */
	char *key_serializer;
	char *value_serializer;
	char *pass; /* options for libfuse and the kernel, with
		     * commas between; NULL: none */
};

/* 0, -EINVAL with the reason in *err, -ENOMEM.  -h and -V are answered before
 * the rest is looked at.  On failure nothing is left to release. */
int options_parse(struct options *opts, int argc, char **argv,
		  struct options_error *err);
void options_release(struct options *opts);

void options_help(FILE *to);

/* What the last of n words could become, for the completion of shells. */
void options_complete(FILE *to, char **words, int n);

#endif
