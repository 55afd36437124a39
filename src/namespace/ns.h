/* ns.h - what the files of the namespace share: ns.c (its rules, directories
 * and markers), ns_lookup.c (what a name stands for), ns_list.c (what a
 * directory holds), ns_path.c (whole paths).  The public face and its contract
 * are in blt.h.
 *
 * A namespace holds no state but its rules: whether a key is there is asked of
 * the store, whether a directory is there of its directories (backend.h).
 */
#ifndef BLT_NS_H
#define BLT_NS_H

#include "engine/backend.h"
#include "booklet/format/name.h"

#include <pthread.h>

struct blt_ns {
	struct blt *store;
	const struct backend_dirs *dirs;
	struct name_rules rules;
	bool flat;     /* one directory: asked for, or integer keys */
	char *control; /* what rules.control points at */
	pthread_mutex_t seq_write; /* of the sequences in it: seq.h */
	pthread_rwlock_t seq_state;
};

/* The name in a sequence under which its items are found by their positions;
 * a mount answers it.  No key has it there. */
#define NS_POSITIONS ".at"

/* Whether a directory is a sequence, as far as its marker says; never waits.
 * The format of that marker; -ENOENT: there is another one or none. */
bool ns_is_seq(struct blt_ns *ns, const uint8_t *prefix, size_t len);
int ns_seq_format(struct blt_ns *ns, const uint8_t *prefix, size_t len);

/* The rules for what has this name, or component, in a directory; for name.h's
 * functions, with first set. */
struct name_rules ns_rules(struct blt_ns *ns, const uint8_t *dir,
			   size_t dir_len, const void *name, size_t len);

/* Whether a namespace can have a directory of this prefix: "", or in a tree
 * what ends in '/'. */
bool ns_is_prefix(const struct blt_ns *ns, const uint8_t *prefix, size_t len);

/* How long the directory's prefix is within a key. */
size_t ns_prefix_len(const struct blt_ns *ns, const uint8_t *key, size_t len);

/* a and b behind each other, and a '/' where slash is set; malloc'd, with room
 * for one byte more.  -ENAMETOOLONG, -ENOMEM. */
int ns_join(const void *a, size_t a_len, const void *b, size_t b_len,
	    bool slash, uint8_t **ret, size_t *ret_len);

/* Whether a key, which has a value of that length, is its directory's marker:
 * 1, 0, or an error. */
int ns_is_marker(struct blt_ns *ns, const uint8_t *key, size_t len,
		 uint64_t value_len);

/* 1 where the directory is there, with the stat of its marker (or zeros); 0
 * where neither the store nor a marker knows it, for now; or an error. */
int ns_find_dir(struct blt_ns *ns, const uint8_t *prefix, size_t len,
		struct blt_stat *ret);

/* 1 where the key is there and is no marker of its directory, whose prefix is
 * dir_len long; 0, or an error. */
int ns_find_file(struct blt_ns *ns, const uint8_t *key, size_t len,
		 size_t dir_len, struct blt_stat *ret);

/* Whether there is a directory of a key's name: 1, 0 or an error.  Waits for
 * the walk's end where only that can tell. */
int ns_has_dir(struct blt_ns *ns, const uint8_t *key, size_t len);

/* For name.h: which components of a directory are a key and a directory. */
struct ns_beside {
	struct blt_ns *ns;
	const uint8_t *dir; /* borrowed */
	size_t dir_len;
	bool quick;  /* the directories are locked: with a key that is there */
	bool unsure; /* set unsure and fail */
};
int ns_both(void *arg, const uint8_t *comp, size_t len);

/* name_read in a directory. */
int ns_read_name(struct blt_ns *ns, const uint8_t *dir, size_t dir_len,
		 const char *name, size_t len, struct name_parsed *ret);

/* The name of a key (its directory's prefix is prefix_len long) or, without
 * its '/', of a prefix.  Its length, or an error of the store. */
int ns_write_name(struct blt_ns *ns, const uint8_t *key, size_t len,
		  size_t prefix_len, bool conflict, char name[NAME_BUF]);

#endif
