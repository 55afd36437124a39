/* pg_url.h - the URL of a store in a PostgreSQL database.
 *
 *   postgresql://[user@][host[:port][,...]][/database][?name=value[&...]]
 *
 * is libpq's connection URI (its manual, 34.1.1.2) with these names besides:
 *
 *   store=NAME       which store of the database; "main" where it is left out
 *   timeo=SECONDS    how long a request waits for a server that does not answer
 *   connections=N    at most so many at once
 *
 *   rc = pg_url_parse(&url, text, err);
 *   PQconnectStartParams(url.keys, url.values, 0);
 *   pg_url_free(&url);
 *
 * A password in a URL would be seen by other users (ps), and is refused.  Off
 * this machine the server's certificate is verified, unless the URL, the
 * environment or a service file says otherwise.
 *
 * Ownership: all strings are the struct's.  Errors: -EINVAL and -ENOMEM, with
 * the reason in *err, which never shows more than the names of what was given.
 * Any thread.
 */
#ifndef BLT_PG_URL_H
#define BLT_PG_URL_H

#include "blt.h"

#include <stdbool.h>

#define PG_STORE_NAME_MAX 200u
#define PG_TIMEO 60u /* seconds */
#define PG_CONNECTIONS 8u

struct pg_url {
	char *text;  /* as it was given */
	char *store; /* the store's name */
	unsigned timeo, connections;
	const char **keys, **values; /* for libpq; end with a NULL */
	void *options;               /* what these point into */
	char *bare;                  /* the URL without what is ours */
	unsigned n_hosts;            /* that it names, at least 1 */
	char silence[12];            /* tcp_user_timeout, which values has */
	bool asks_verify; /* by a service file, which may say otherwise */
};

bool pg_url_is(const char *text);
/* Whether all of these hosts, a list with commas or NULL, are this machine. */
bool pg_url_is_here(const char *hosts);
int pg_url_parse(struct pg_url *url, const char *text, struct blt_error *err);
void pg_url_free(struct pg_url *url);

/* The same with another store's name; malloc'd, NULL: no memory. */
char *pg_url_of_store(const struct pg_url *url, const char *store);

/* A list "a,b,c" of hosts, or what goes with them, that begins with the one of
 * that number; malloc'd, NULL: no memory. */
char *pg_url_rotate(const char *list, unsigned first);

#endif
