/* tool_tree.h - what blt import and blt export share: trees of files, in a
 * directory or in a tar stream, with the names that a mount shows.
 *
 * A component of a key that has no name of its own (longer than 255 bytes as
 * written) stands in the tree as its hash, and the key up to it as a line of
 * hex digits in the file .bltfs/long-names, a path that no key has.  So do keys
 * beside directories of their name, whose names end in '%'; and the prefixes of
 * sequences in .bltfs/sequences.  Both come before all others.
 */
#ifndef BLT_TOOL_TREE_H
#define BLT_TOOL_TREE_H

#include "booklet/format/keyhash.h"
#include "tool/tool.h"

#define TREE_CONTROL ".bltfs"
#define TREE_LONG_NAMES "long-names"
#define TREE_LONG_PATH TREE_CONTROL "/" TREE_LONG_NAMES
#define TREE_SEQ_PATH TREE_CONTROL "/sequences"

#define TREE_ABOUT_MAX ((int64_t)1 << 30) /* bytes of one of these files */

/* ---- tool_tree.c ---- */

/* Whether a path is that of one of these. */
bool tree_is_about(const char *path);
/* Whether a value of the store may stand for a symbolic link. */
bool tree_takes_links(struct blt *store);

struct archive;

/* One of libarchive's, for tar streams, not opened yet; NULL: no memory. */
struct archive *tree_tar_reader(void);
/* A path without "./" in front and "/" behind; NULL where it is not one that
 * stays inside.  *path is changed. */
char *tree_clean_path(char *path);

/* ---- tool_longnames.c ---- */

struct long_name {
	struct keyhash hash;
	uint8_t *key; /* up to and including the component */
	size_t len;
};

struct long_names {
	struct long_name *item;
	size_t n, room;
	bool sorted;
};

int long_names_add(struct long_names *l, const void *key, size_t len);
void long_names_free(struct long_names *l);
/* The key's beginning that a name ("%~", digits, perhaps "%") stands for, or
 * NULL.  Whether it is such a name at all. */
const struct long_name *long_names_find(struct long_names *l, const char *name,
					size_t len);
bool long_names_is(const char *name, size_t len);
/* Whether that key is among them. */
bool long_names_has(struct long_names *l, const void *key, size_t len);
/* Adds the lines of the file; -EINVAL. */
int long_names_parse(struct long_names *l, const char *text, size_t len);
/* The file, malloc'd, without what stands there twice; sorts. */
int long_names_print(struct long_names *l, char **ret, size_t *ret_len);

/* ---- tool_import.c: what a source hands over ---- */

/* Paths that are looked at again when all has come. */
struct import_late {
	struct import_late *next;
	int64_t time;
	unsigned mode;
	char path[];
};

struct import {
	struct tool *t;
	bool in_any_order; /* a stream */
	struct long_names names;
	struct tool_batch batch;
	struct progress progress;
	uint64_t done, items; /* bytes of the source, and files */
	struct tool_counts counts;
	bool takes_links, takes_empty, takes_modes;
	bool source_failed; /* the last read of a source: not the store */
	int code;           /* of what went wrong with single files */
};

/* Paths are relative; times are in microseconds; modes are as in st_mode, and
 * stored without set-user-ID and set-group-ID.  0 to go on, or an exit code
 * after a message. */
int import_file(struct import *im, const char *path, int64_t time,
		unsigned mode, const struct blt_source *source);
int import_link(struct import *im, const char *path, int64_t time,
		const char *target);
/* The same value as that of another path. */
int import_same(struct import *im, const char *path, int64_t time,
		const char *other);
/* The text of a file about the tree, which is taken. */
int import_about(struct import *im, const char *path, const char *text,
		 size_t len);
/* A directory with nothing in it, if nothing is in it in the store either. */
int import_empty_dir(struct import *im, const char *path, int64_t time,
		     unsigned mode);
/* The mode of a directory with entries; called after them. */
int import_dir_mode(struct import *im, const char *path, unsigned mode);
int import_later(struct import *im, struct import_late **list, const char *path,
		 int64_t time, unsigned mode);
void import_free_late(struct import_late **list);
/* Something that cannot be taken; returns 0. */
int import_pass_over(struct import *im, const char *path, const char *why);
int64_t import_time(int64_t seconds, long nanoseconds);

/* ---- tool_import_dir.c, tool_import_tar.c ---- */

int import_dir(struct import *im, const char *path);
int import_tar(struct import *im, const char *path);

/* ---- export: one thing of the tree on its way out ---- */

struct export_item {
	const char *path;
	int64_t time;         /* or BLT_NO_TIME */
	unsigned mode;        /* permission bits, if has_mode; else the */
	bool has_mode;        /* target's default */
	uint64_t len;         /* of a file's value */
	uint64_t offset;      /* of it in the store's file, */
	const uint8_t *bytes; /* or the value itself */
};

struct export
{
	struct tool *t;
	struct tool_window window;
	struct tool_counts counts;
	int code; /* of what went wrong with single files */
};

/* Bytes of an item's value from at on, at most as many as are left: their
 * number. */
int64_t export_bytes(struct export *ex, const struct export_item *item,
		     uint64_t at, const uint8_t **ret);
/* Reading the store failed; an exit code. */
int export_fail_read(struct export *ex, const char *path, int err);

/* Where it all goes: a directory or an archive.  0 to go on, or an exit code
 * after a message. */
struct export_to {
	int (*open)(struct export *ex, const char *path, void **ret);
	int (*dir)(void *to, const struct export_item *item);
	int (*file)(void *to, const struct export_item *item);
	int (*link)(void *to, const struct export_item *item,
		    const char *target);
	/* Frees; code is what the work came to so far. */
	int (*close)(void *to, int code);
};

extern const struct export_to export_to_dir, export_to_tar;

/* Whether a path's suffix, or --format, asks for an archive. */
bool export_is_tar(const struct tool *t, const char *path);

#endif
