/* ns.c - a namespace: its rules, its directories, and their markers. */
#include "namespace/ns.h"

#include "booklet/format/marker.h"
#include "booklet/format/serial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A control name that holds these would not keep the mapping one to one. */
static bool is_control_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= NAME_MAX_LEN && !strpbrk(name, "/%") &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

int blt_ns_new(struct blt *store, const struct blt_ns_options *opts,
	       struct blt_ns **ret)
{
	static const struct blt_ns_options defaults;
	struct blt_info info;
	struct blt_ns *ns;
	int err = -ENOMEM;

	if (!opts)
		opts = &defaults;
	if (opts->control && !is_control_name(opts->control))
		return -EINVAL;
	ns = calloc(1, sizeof(*ns));
	if (!ns)
		return -ENOMEM;
	if (opts->control) {
		ns->control = strdup(opts->control);
		if (!ns->control)
			goto fail;
	}
	blt_get_info(store, &info);
	pthread_mutex_init(&ns->seq_write, NULL);
	pthread_rwlock_init(&ns->seq_state, NULL);
	ns->store = store;
	ns->rules.control = ns->control;
	ns->rules.int_width =
		serial_int_width(info.key_serializer, &ns->rules.int_signed);
	ns->rules.flat = opts->flat;
	ns->flat = opts->flat || ns->rules.int_width > 0;
	ns->dirs = store->backend->dirs;
	err = ns->dirs->start(store, ns->flat);
	if (err)
		goto fail;
	*ret = ns;
	return 0;
fail:
	blt_ns_free(ns);
	return err;
}

void blt_ns_free(struct blt_ns *ns)
{
	if (!ns)
		return;
	if (ns->store) {
		pthread_mutex_destroy(&ns->seq_write);
		pthread_rwlock_destroy(&ns->seq_state);
	}
	free(ns->control);
	free(ns);
}

uint64_t blt_ns_progress(struct blt_ns *ns, bool *ret_complete)
{
	*ret_complete = ns->dirs->complete(ns->store);
	return ns->dirs->known(ns->store);
}

int blt_ns_wait(struct blt_ns *ns)
{
	return ns->dirs->wait(ns->store);
}

int blt_ns_ready(struct blt_ns *ns)
{
	return ns->dirs->ready(ns->store);
}

bool ns_is_prefix(const struct blt_ns *ns, const uint8_t *prefix, size_t len)
{
	return len == 0 || (!ns->flat && prefix[len - 1] == '/');
}

size_t ns_prefix_len(const struct blt_ns *ns, const uint8_t *key, size_t len)
{
	const uint8_t *slash;

	if (ns->flat || len == 0)
		return 0;
	slash = memrchr(key, '/', len);
	return slash ? (size_t)(slash - key) + 1 : 0;
}

int ns_join(const void *a, size_t a_len, const void *b, size_t b_len,
	    bool slash, uint8_t **ret, size_t *ret_len)
{
	size_t len = a_len + b_len;
	uint8_t *key;

	if (len + slash > BLT_KEY_MAX)
		return -ENAMETOOLONG;
	key = malloc(len + 2);
	if (!key)
		return -ENOMEM;
	if (a_len > 0)
		memcpy(key, a, a_len);
	if (b_len > 0)
		memcpy(key + a_len, b, b_len);
	if (slash)
		key[len++] = '/';
	*ret = key;
	*ret_len = len;
	return 0;
}

int ns_seq_format(struct blt_ns *ns, const uint8_t *prefix, size_t len)
{
	uint8_t mark[MARKER_SEQ_LEN];
	struct blt_view v;
	int64_t n = 0;
	int rc = blt_get(ns->store, prefix, len, &v);

	if (rc < 0)
		return rc;
	if (v.len == sizeof(mark))
		n = blt_view_copy(&v, mark, sizeof(mark), 0);
	blt_view_release(&v);
	if (n < 0)
		return (int)n;
	rc = marker_seq_format(mark, (size_t)n);
	return rc < 0 ? -ENOENT : rc;
}

int ns_is_marker(struct blt_ns *ns, const uint8_t *key, size_t len,
		 uint64_t value_len)
{
	int rc;

	if (len == 0 || !ns_is_prefix(ns, key, len))
		return 0;
	if (value_len == 0)
		return 1;
	if (value_len != MARKER_SEQ_LEN)
		return 0;
	rc = ns_seq_format(ns, key, len);
	return rc == -ENOENT ? 0 : rc < 0 ? rc : 1;
}

int blt_ns_marker(struct blt_ns *ns, const void *prefix, size_t len,
		  struct blt_stat *ret)
{
	struct blt_stat st;
	int rc = blt_stat_key(ns->store, prefix, len, &st);

	if (rc == 0)
		rc = ns_is_marker(ns, prefix, len, st.len);
	if (rc == 1)
		*ret = (struct blt_stat){ .timestamp = st.timestamp };
	return rc == -ENOENT ? 0 : rc;
}

int ns_find_dir(struct blt_ns *ns, const uint8_t *prefix, size_t len,
		struct blt_stat *ret)
{
	bool marked = true;
	struct blt_stat marker = { 0 };
	int found, rc;

	if (!ns_is_prefix(ns, prefix, len))
		return 0;
	if (len == 0) {
		*ret = marker;
		return 1;
	}
	found = ns->dirs->find(ns->store, prefix, len, &marked);
	if (found == 1 && !marked) {
		*ret = marker;
		return 1;
	}
	rc = blt_ns_marker(ns, prefix, len, &marker);
	if (rc < 0)
		return rc;
	if (rc == 1)
		found = 1;
	if (found == 1)
		*ret = marker;
	return found;
}

int ns_find_file(struct blt_ns *ns, const uint8_t *key, size_t len,
		 size_t dir_len, struct blt_stat *ret)
{
	struct blt_stat st;
	int rc = blt_stat_key(ns->store, key, len, &st);

	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return rc;
	if (len > 0 && len == dir_len) {
		rc = ns_is_marker(ns, key, len, st.len);
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
	*ret = st;
	return 1;
}

int ns_has_dir(struct blt_ns *ns, const uint8_t *key, size_t len)
{
	struct blt_stat marker;
	uint8_t *prefix;
	size_t prefix_len;
	uint64_t seen = 0;
	bool complete;
	int rc;

	if (ns->flat)
		return 0;
	rc = ns_join(key, len, NULL, 0, true, &prefix, &prefix_len);
	if (rc < 0)
		return rc == -ENAMETOOLONG ? 0 : rc;
	do {
		/* Before the look: what it has not met counts only then. */
		complete = ns->dirs->complete(ns->store);
		rc = ns_find_dir(ns, prefix, prefix_len, &marker);
		if (rc != 0 || complete)
			break;
		rc = ns->dirs->wait_more(ns->store, &seen);
	} while (rc >= 0);
	free(prefix);
	return rc;
}

int ns_both(void *arg, const uint8_t *comp, size_t len)
{
	struct ns_beside *b = arg;
	struct blt_stat st;
	uint8_t *key;
	size_t key_len;
	int rc;

	rc = ns_join(b->dir, b->dir_len, comp, len, false, &key, &key_len);
	if (rc < 0)
		return rc == -ENAMETOOLONG ? 0 : rc;
	rc = ns_find_file(b->ns, key, key_len, b->dir_len, &st);
	if (rc == 1 && b->quick) {
		b->unsure = true;
		rc = -EAGAIN;
	}
	if (rc == 1)
		rc = ns_has_dir(b->ns, key, key_len);
	free(key);
	return rc;
}

bool ns_is_seq(struct blt_ns *ns, const uint8_t *prefix, size_t len)
{
	struct blt_stat st;

	return len > 0 && ns_is_prefix(ns, prefix, len) &&
	       blt_stat_key(ns->store, prefix, len, &st) == 0 &&
	       st.len == MARKER_SEQ_LEN &&
	       ns_is_marker(ns, prefix, len, st.len) == 1;
}

/* Hardly any name can be that of the positions, or stand for it. */
static bool may_be_positions(const char *name, size_t len)
{
	const size_t n = strlen(NS_POSITIONS);

	return len >= n && len <= n + 3 && memmem(name, len, "at", 2);
}

struct name_rules ns_rules(struct blt_ns *ns, const uint8_t *dir,
			   size_t dir_len, const void *name, size_t len)
{
	struct name_rules rules = ns->rules;

	if (dir_len == 0)
		return rules;
	rules.control = NULL;
	if (may_be_positions(name, len) && ns_is_seq(ns, dir, dir_len))
		rules.control = NS_POSITIONS;
	return rules;
}

int ns_read_name(struct blt_ns *ns, const uint8_t *dir, size_t dir_len,
		 const char *name, size_t len, struct name_parsed *ret)
{
	struct name_rules rules = ns_rules(ns, dir, dir_len, name, len);
	struct ns_beside around = { .ns = ns, .dir = dir, .dir_len = dir_len };
	struct name_beside beside = { ns_both, &around };

	return name_read(&rules, name, len, true, ns->flat ? NULL : &beside,
			 ret);
}

int ns_write_name(struct blt_ns *ns, const uint8_t *key, size_t len,
		  size_t prefix_len, bool conflict, char name[NAME_BUF])
{
	struct name_rules rules = ns_rules(ns, key, prefix_len,
					   key + prefix_len, len - prefix_len);
	struct ns_beside around = { .ns = ns,
				    .dir = key,
				    .dir_len = prefix_len };
	struct name_beside beside = { ns_both, &around };
	struct keyhash h = keyhash_of(key, len);

	return name_write(&rules, key + prefix_len, len - prefix_len, true,
			  conflict, &h, ns->flat ? NULL : &beside, name);
}
