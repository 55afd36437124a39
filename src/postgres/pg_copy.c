/* A copy of a store that takes its name when it is whole: filled under a name
 * of its own, which '~' begins.  What stood there keeps its rows under such a
 * name until they are gone. */
#include "postgres/pg_store.h"

#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int pg_copy(struct blt *blt, const char *path,
	    const struct blt_create_options *opts, bool replace,
	    blt_progress_fn *progress, void *arg, struct blt_error *err)
{
	struct blt_create_options o =
		opts ? *opts : (struct blt_create_options){ 0 };

	if (!o.engine)
		o.engine = pg_url_is(path) ? postgres_backend.name : "booklet";
	return backend_convert(blt, path, &o, replace, progress, arg, err);
}

/* ---- names of stores ---- */

struct swap {
	struct pg_store *store; /* whose connection it is */
	const char *from, *to;  /* names */
	char old[64];           /* what is replaced gets */
	bool replace;
	bool replaced;
};

static void add_rename(struct pg_turn *t, const char *from, const char *to)
{
	struct pg_args *args = pg_turn_args(t);

	pg_args_bytes(args, from, strlen(from));
	pg_args_bytes(args, to, strlen(to));
	pg_turn_add(t, PG_RENAME_STORE);
}

/* Whether the store has its name already: the answer to a COMMIT was lost. */
static int has_name(struct swap *s, struct pg_conn *c, int64_t until)
{
	struct pg_turn t;
	PGresult *res;
	int rc;

	pg_turn_begin(&t, c, until);
	pg_fill_id(s->store, pg_turn_args(&t));
	pg_turn_add(&t, PG_NAME_OF);
	pg_turn_send(&t);
	(void)pg_turn_result(&t, &res);
	rc = pg_turn_end(&t);
	if (rc == 0 && !PQntuples(res))
		rc = -ENOENT; /* somebody has taken it for a left-over */
	else if (rc == 0)
		rc = strcmp(PQgetvalue(res, 0, 0), s->to) == 0;
	PQclear(res);
	return rc;
}

static int try_swap(void *arg, struct pg_conn *c, int64_t until)
{
	struct swap *s = arg;
	uint64_t old = 0;
	struct pg_turn t;
	int rc = has_name(s, c, until);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	/* should this one's answer be lost, too, something may have been */
	s->replaced = s->replace;
	pg_turn_begin(&t, c, until);
	pg_turn_args(&t);
	pg_turn_add(&t, PG_BEGIN);
	if (s->replace)
		add_rename(&t, s->to, s->old);
	add_rename(&t, s->from, s->to);
	pg_turn_args(&t);
	pg_turn_add(&t, PG_COMMIT);
	pg_turn_send(&t);
	(void)pg_turn_done(&t, NULL);
	if (s->replace)
		(void)pg_turn_done(&t, &old);
	(void)pg_turn_done(&t, NULL);
	(void)pg_turn_done(&t, NULL);
	rc = pg_turn_end(&t);
	if (rc == 0)
		s->replaced = old;
	return rc;
}

static int open_admin(const char *path, struct blt **ret, struct blt_error *err)
{
	const struct blt_open_options how = { .mode = BLT_WRITE };

	return pg_store_open(path, &how, ret, err);
}

/* ---- a place (backend.h) ---- */

int pg_place_begin(const char *path, bool replace, char **ret_temporary,
		   struct blt_error *err)
{
	static const struct blt_open_options how = { .mode = BLT_READ };
	struct blt_error why = { "" };
	char name[64];
	struct pg_url url;
	struct blt *old;
	int rc = pg_url_parse(&url, path, &why);

	if (rc < 0)
		return store_fail(err, rc, "a store's URL: %s", why.text);
	if (!replace && pg_store_open(path, &how, &old, NULL) == 0) {
		blt_close(old);
		rc = store_fail(err, -EEXIST, "%s: exists already", path);
	}
	if (rc == 0) {
		snprintf(name, sizeof(name), "~copy-%llx-%lx",
			 (unsigned long long)now_us(), (long)getpid());
		*ret_temporary = pg_url_of_store(&url, name);
		if (!*ret_temporary)
			rc = store_fail(err, -ENOMEM, "%s: out of memory",
					path);
	}
	pg_url_free(&url);
	return rc;
}

/* The rows of a store, and its name. */
static int drop_store(const char *path)
{
	struct blt *blt;
	struct pg_store *store;
	int rc = open_admin(path, &blt, NULL);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	store = pg_of(blt);
	rc = pg_clear(store, NULL);
	if (rc == 0)
		rc = pg_do(store, PG_UNNAME, pg_fill_id, store);
	if (rc == 0)
		rc = pg_do(store, PG_DONE_CLEAR, pg_fill_id, store);
	blt_close(blt);
	return rc;
}

int pg_place_end(const char *path, const char *temporary, bool replace,
		 struct blt_error *err)
{
	struct blt *blt;
	struct pg_url url;
	struct swap s;
	char *old;
	int rc = pg_url_parse(&url, path, NULL);

	if (rc < 0)
		return rc;
	rc = open_admin(temporary, &blt, err);
	if (rc < 0) {
		pg_url_free(&url);
		return rc;
	}
	s = (struct swap){ .store = pg_of(blt),
			   .from = pg_of(blt)->url.store,
			   .to = url.store,
			   .replace = replace };
	snprintf(s.old, sizeof(s.old), "~old-%llx-%lx",
		 (unsigned long long)now_us(), (long)getpid());
	rc = pg_run(s.store, try_swap, &s);
	if (rc < 0)
		store_fail(err, rc, "%s: cannot take the copy's place: %s",
			   path,
			   rc == -EEXIST ? "exists already" : s.store->why);
	blt_close(blt);
	old = s.replaced ? pg_url_of_store(&url, s.old) : NULL;
	/* what is left of it a prune finds */
	if (old)
		(void)drop_store(old);
	free(old);
	pg_url_free(&url);
	return rc;
}

void pg_place_drop(const char *temporary)
{
	(void)drop_store(temporary);
}
