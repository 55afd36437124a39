/* job_prune.c - a prune, with keys that it is to keep, and what came of it. */
#include "job/job_inner.h"

#include "base/util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_HEAD 4 /* its length, in front of each key */

int job_keys_add(void **bytes, size_t *len, const void *key, size_t key_len)
{
	uint8_t *more = realloc(*bytes, *len + KEY_HEAD + key_len);

	if (!more)
		return -ENOMEM;
	put_le(more + *len, key_len, KEY_HEAD);
	if (key_len)
		memcpy(more + *len + KEY_HEAD, key, key_len);
	*bytes = more;
	*len += KEY_HEAD + key_len;
	return 0;
}

/* The next key behind *at: 1; 0 at the end; -EINVAL. */
static int next_key(const struct job_request *req, size_t *at,
		    struct blt_bytes *ret)
{
	const uint8_t *from = req->bytes;
	size_t left = req->bytes_len - *at;
	uint64_t len;

	if (left == 0)
		return 0;
	if (left < KEY_HEAD)
		return -EINVAL;
	len = get_le(from + *at, KEY_HEAD);
	if (len > left - KEY_HEAD)
		return -EINVAL;
	*ret = (struct blt_bytes){ from + *at + KEY_HEAD, (size_t)len };
	*at += KEY_HEAD + (size_t)len;
	return 1;
}

int job_check_prune(const struct job_request *req)
{
	struct blt_bytes key;
	size_t at = 0;
	int rc;

	if (req->older_than < 0 || (req->bytes_len && !req->older_than))
		return -EINVAL;
	while ((rc = next_key(req, &at, &key)) > 0)
		;
	return rc;
}

/* The keys stand in the request; the list is malloc'd. */
static int kept_keys(const struct job_request *req, struct blt_bytes **ret,
		     size_t *ret_n)
{
	struct blt_bytes *keys, key;
	size_t at = 0, n = 0;

	while (next_key(req, &at, &key) > 0)
		n++;
	keys = calloc(n + 1, sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	for (at = 0, n = 0; next_key(req, &at, &key) > 0; n++)
		keys[n] = key;
	*ret = keys;
	*ret_n = n;
	return 0;
}

/* Whether others stand in the way, who may share the store (LMDB's users). */
static bool is_others(struct job *job, int rc)
{
	if (!job_is_shared(job) || (rc != -EBUSY && rc != -EAGAIN))
		return false;
	job_result(
		job,
		rc == -EBUSY ?
			"another process has the environment open (mdb_stat -r "
			"lists those that read it), and a prune puts another "
			"file in its place: close it there first; nothing is "
			"changed" :
			"another process has changed the environment while it "
			"was copied; run it again; nothing is changed");
	return true;
}

static void tell_pruned(struct job *job, int rc,
			const struct blt_prune_result *r)
{
	const uint64_t fact[JOB_FACTS] = { r->dropped, r->moved, r->size_before,
					   r->size_after };
	uint64_t freed = r->size_before > r->size_after ?
				 r->size_before - r->size_after :
				 0;
	char dropped[64] = "";

	job_facts(job, fact);
	if (is_others(job, rc))
		return;
	if (rc == -ENOTSUP) {
		job_result(job,
			   "the store keeps no timestamps, so no key is older "
			   "than another");
		return;
	}
	if (job->req.older_than)
		snprintf(dropped, sizeof(dropped),
			 "%" PRIu64 " key%s dropped; ", r->dropped,
			 r->dropped == 1 ? "" : "s");
	if (rc == 0)
		job_result(job,
			   "%s%" PRIu64 " bytes given back, %" PRIu64 " left",
			   dropped, freed, r->size_after);
	else
		job_result(job, "%s%s%s", dropped, strerror(-rc),
			   job_is_shared(job) ? "; nothing is changed" :
						"; the next prune goes on");
	job_tell_damage(job, rc);
}

int job_prune(struct job *job)
{
	struct blt_prune_options o = { .older_than = job->req.older_than,
				       .progress = job_follow,
				       .arg = job };
	struct blt_prune_result r = { 0 };
	struct blt_bytes *keys = NULL;
	int rc = kept_keys(&job->req, &keys, &o.n_keep);

	o.keep = keys;
	if (rc == 0)
		rc = blt_prune(job->jobs->store, &o, &r);
	if (r.dropped)
		job_changed(job, NULL, 0);
	tell_pruned(job, rc, &r);
	free(keys);
	return rc;
}
