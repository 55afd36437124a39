/* ns_path.c - whole paths to keys and back. */
#include "namespace/ns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int blt_ns_name(struct blt_ns *ns, const void *key, size_t len,
		enum blt_kind kind, char name[256])
{
	int rc = 0;

	if (kind == BLT_DIR) {
		if (len == 0 || !ns_is_prefix(ns, key, len))
			return -EINVAL;
		len--;
	} else {
		rc = ns_has_dir(ns, key, len);
		if (rc < 0)
			return rc;
	}
	rc = ns_write_name(ns, key, len, ns_prefix_len(ns, key, len), rc == 1,
			   name);
	return rc < 0 ? rc : 0;
}

/* Whether a key is a directory's marker. */
static bool is_marker(struct blt_ns *ns, const uint8_t *key, size_t len)
{
	struct blt_stat st;

	return len > 0 && ns_is_prefix(ns, key, len) &&
	       blt_stat_key(ns->store, key, len, &st) == 0 &&
	       ns_is_marker(ns, key, len, st.len) == 1;
}

int blt_ns_path(struct blt_ns *ns, const void *key, size_t len, char **ret)
{
	const uint8_t *bytes = key;
	const uint8_t *slash;
	char last[NAME_BUF], *path, *less;
	size_t from = 0, to = 0, names = 1;
	int rc = 0;

	if (is_marker(ns, key, len))
		rc = blt_ns_name(ns, key, len--, BLT_DIR, last);
	else
		rc = blt_ns_name(ns, key, len, BLT_FILE, last);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < len && !ns->flat; i++)
		names += bytes[i] == '/';
	path = malloc(names * (NAME_MAX_LEN + 1) + 1);
	if (!path)
		return -ENOMEM;
	while (!ns->flat && (slash = memchr(bytes + from, '/', len - from))) {
		rc = ns_write_name(ns, bytes, (size_t)(slash - bytes), from,
				   false, path + to);
		if (rc < 0) {
			free(path);
			return rc;
		}
		to += (size_t)rc;
		path[to++] = '/';
		from = (size_t)(slash - bytes) + 1;
	}
	strcpy(path + to, last);
	less = realloc(path, to + strlen(last) + 1);
	*ret = less ? less : path;
	return 0;
}

/* ---- from a path ---- */

/* A path on its way down: the prefix of the directory reached, and the name
 * that is left. */
struct descent {
	uint8_t *dir;
	size_t dir_len;
	const char *name; /* in the path; name_len 0: the path is a directory */
	size_t name_len;
};

/* The next name of a path, passing over '/'; false at its end. */
static bool next_name(const char **path, const char **ret, size_t *ret_len)
{
	const char *p = *path + strspn(*path, "/");

	*ret = p;
	*ret_len = strcspn(p, "/");
	*path = p + *ret_len;
	return *ret_len > 0;
}

/* One directory down.  A plain name is trusted: if what the path ends at is
 * there then so are the directories above it, and a key is thus found before
 * the walk's end.  -EINVAL: no directory can have that name. */
static int go_down(struct blt_ns *ns, struct descent *d)
{
	struct name_parsed parsed;
	struct blt_node node;
	uint8_t *dir;
	size_t len;
	int rc;

	if (ns->flat)
		return -EINVAL;
	rc = ns_read_name(ns, d->dir, d->dir_len, d->name, d->name_len,
			  &parsed);
	if (rc < 0)
		return d->name_len > NAME_MAX_LEN ? -ENAMETOOLONG : rc;
	if (parsed.form == NAME_PLAIN) {
		rc = ns_join(d->dir, d->dir_len, parsed.comp, parsed.comp_len,
			     true, &dir, &len);
	} else if (parsed.form == NAME_LONG) {
		rc = blt_ns_lookup(ns, d->dir, d->dir_len, d->name, d->name_len,
				   &node);
		if (rc == 0 && node.kind != BLT_DIR) {
			free(node.key);
			rc = -ENOTDIR;
		}
		dir = node.key;
		len = node.key_len;
	} else {
		rc = -EINVAL;
	}
	if (rc < 0)
		return rc;
	free(d->dir);
	d->dir = dir;
	d->dir_len = len;
	return 0;
}

/* Down to the last name.  ret->dir is the caller's to free, whatever comes. */
static int descend(struct blt_ns *ns, const char *path, struct descent *ret)
{
	const char *name;
	size_t len;
	int rc;

	*ret = (struct descent){ 0 };
	if (!next_name(&path, &ret->name, &ret->name_len))
		return 0;
	while (next_name(&path, &name, &len)) {
		rc = go_down(ns, ret);
		if (rc < 0)
			return rc;
		ret->name = name;
		ret->name_len = len;
	}
	return 0;
}

static int root_node(struct blt_node *ret)
{
	struct keyhash h = keyhash_of("", 0);
	uint8_t *key = calloc(1, 1);

	if (!key)
		return -ENOMEM;
	*ret = (struct blt_node){ .kind = BLT_DIR,
				  .key = key,
				  .hash = keyhash_word(&h),
				  .sure = true };
	return 0;
}

int blt_ns_resolve(struct blt_ns *ns, const char *path, struct blt_node *ret)
{
	struct descent d;
	int rc = descend(ns, path, &d);

	if (rc == 0)
		rc = d.name_len == 0 ? root_node(ret) :
				       blt_ns_lookup(ns, d.dir, d.dir_len,
						     d.name, d.name_len, ret);
	free(d.dir);
	return rc == -EINVAL ? -ENOENT : rc;
}

int blt_ns_key_of_path(struct blt_ns *ns, const char *path, uint8_t **ret_key,
		       size_t *ret_len)
{
	struct descent d;
	int rc = descend(ns, path, &d);

	if (rc == 0)
		rc = d.name_len == 0 ?
			     -EISDIR :
			     blt_ns_key(ns, d.dir, d.dir_len, d.name,
					d.name_len, BLT_FILE, ret_key, ret_len);
	free(d.dir);
	return rc;
}
