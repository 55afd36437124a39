#include "postgres/pg_url.h"

#include "engine/backend.h"
#include "base/util.h"

#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXTRA 10    /* parameters that we add, and the end */
#define SILENCE 15u /* seconds behind which a machine is taken for dead */

bool pg_url_is(const char *text)
{
	return strncmp(text, "postgresql://", 13) == 0 ||
	       strncmp(text, "postgres://", 11) == 0;
}

/* ---- what is ours ---- */

static int decode(const char *from, size_t len, char *to, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int high, low;
		char c = from[i];

		if (c == '%') {
			if (i + 2 >= len)
				return -EINVAL;
			high = hex_digit(from[i + 1]);
			low = hex_digit(from[i + 2]);
			if (high < 0 || low < 0 || (high | low) == 0)
				return -EINVAL;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (n + 1 >= room)
			return -EINVAL;
		to[n++] = c;
	}
	to[n] = '\0';
	return 0;
}

static int take_store(struct pg_url *url, const char *value, size_t len)
{
	char name[PG_STORE_NAME_MAX + 1];

	if (decode(value, len, name, sizeof(name)) < 0 || !*name)
		return -EINVAL;
	free(url->store);
	url->store = strdup(name);
	return url->store ? 0 : -ENOMEM;
}

static int take_number(const char *value, size_t len, unsigned most,
		       unsigned *ret)
{
	unsigned n = 0;

	if (len == 0 || len > 6)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (value[i] < '0' || value[i] > '9')
			return -EINVAL;
		n = n * 10 + (unsigned)(value[i] - '0');
	}
	if (n == 0 || n > most)
		return -EINVAL;
	*ret = n;
	return 0;
}

static bool is_name(const char *name, const char *from, size_t len)
{
	return strlen(name) == len && memcmp(name, from, len) == 0;
}

/* 1: it is one of ours; 0: libpq's. */
static int take(struct pg_url *url, const char *name, size_t name_len,
		const char *value, size_t len, struct blt_error *err)
{
	int rc;

	if (is_name("store", name, name_len)) {
		rc = take_store(url, value, len);
		if (rc == -EINVAL)
			store_fail(err, rc,
				   "store=%.*s: expected is a name of 1 to %u "
				   "bytes",
				   (int)min_u64(len, 64), value,
				   PG_STORE_NAME_MAX);
	} else if (is_name("timeo", name, name_len)) {
		rc = take_number(value, len, 86400, &url->timeo);
		if (rc < 0)
			store_fail(err, rc,
				   "timeo=%.*s: expected are seconds, 1 to "
				   "86400",
				   (int)min_u64(len, 64), value);
	} else if (is_name("connections", name, name_len)) {
		rc = take_number(value, len, 1000, &url->connections);
		if (rc < 0)
			store_fail(err, rc,
				   "connections=%.*s: expected is a number, 1 "
				   "to 1000",
				   (int)min_u64(len, 64), value);
	} else {
		return 0;
	}
	return rc < 0 ? rc : 1;
}

/* The rest stands in url->bare, for libpq. */
static int take_ours(struct pg_url *url, struct blt_error *err)
{
	const char *query = strchr(url->text, '?'), *p = query;
	char *to, join = '?';

	url->bare = malloc(strlen(url->text) + 1);
	if (!url->bare)
		return -ENOMEM;
	to = url->bare;
	if (!query) {
		strcpy(to, url->text);
		return 0;
	}
	memcpy(to, url->text, (size_t)(query - url->text));
	to += query - url->text;
	while (*p) {
		const char *name = p + 1;
		size_t n = strcspn(name, "&"), name_len = strcspn(name, "=&");
		const char *value = name + name_len + (name[name_len] == '=');
		int rc = take(url, name, name_len, value,
			      (size_t)(name + n - value), err);

		if (rc < 0)
			return rc;
		if (rc == 0 && n) {
			*to++ = join;
			memcpy(to, name, n);
			to += n;
			join = '&';
		}
		p = name + n;
	}
	*to = '\0';
	return 0;
}

/* ---- what is libpq's ---- */

bool pg_url_is_here(const char *hosts)
{
	const char *p = hosts ? hosts : "";

	for (;;) {
		size_t n = strcspn(p, ",");

		if (n && *p != '/' && *p != '@' &&
		    !is_name("localhost", p, n) && !is_name("::1", p, n) &&
		    (n < 4 || memcmp(p, "127.", 4) != 0))
			return false;
		if (!p[n])
			return true;
		p += n + 1;
	}
}

static const char *value_of(const PQconninfoOption *o, const char *name)
{
	for (; o->keyword; o++)
		if (strcmp(o->keyword, name) == 0)
			return o->val && *o->val ? o->val : NULL;
	return NULL;
}

static int check_options(struct pg_url *url, struct blt_error *err)
{
	const PQconninfoOption *o = url->options;
	static const char *const secret[] = { "password", "sslpassword" };

	for (size_t i = 0; i < ARRAY_SIZE(secret); i++)
		if (value_of(o, secret[i]))
			return store_fail(
				err, -EINVAL,
				"the URL holds a password (%s), which other "
				"users of this machine can see; put it into "
				"~/.pgpass, PGPASSWORD or a service file",
				secret[i]);
	return 0;
}

static void add(struct pg_url *url, size_t *n, const char *key,
		const char *value)
{
	url->keys[*n] = key;
	url->values[(*n)++] = value;
}

/* A machine that is gone says nothing at all. */
static void add_silence(struct pg_url *url, size_t *n)
{
	static const char *const names[] = { "keepalives_idle",
					     "keepalives_interval",
					     "keepalives_count" };
	static const char *const values[] = { "6", "3", "3" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!value_of(url->options, names[i]))
			add(url, n, names[i], values[i]);
	snprintf(url->silence, sizeof(url->silence), "%u",
		 1000 * (url->timeo < SILENCE ? url->timeo : SILENCE));
	if (!value_of(url->options, "tcp_user_timeout"))
		add(url, n, "tcp_user_timeout", url->silence);
}

static int fill(struct pg_url *url, struct blt_error *err)
{
	const PQconninfoOption *o = url->options;
	const char *host = value_of(o, "host"), *env = getenv("PGHOST");
	bool service = value_of(o, "service") || getenv("PGSERVICE");
	size_t n = 0, room = EXTRA;
	int rc = check_options(url, err);

	if (rc < 0)
		return rc;
	for (const PQconninfoOption *p = o; p->keyword; p++)
		room++;
	url->keys = calloc(room, sizeof(*url->keys));
	url->values = calloc(room, sizeof(*url->values));
	if (!url->keys || !url->values)
		return -ENOMEM;
	for (const PQconninfoOption *p = o; p->keyword; p++)
		if (p->val && *p->val)
			add(url, &n, p->keyword, p->val);
	if (!host && !service && env)
		add(url, &n, "host", env);
	if (!value_of(o, "port") && !service && getenv("PGPORT"))
		add(url, &n, "port", getenv("PGPORT"));
	host = host ? host : value_of(o, "hostaddr");
	host = host || service ? host : env;
	url->n_hosts = 1;
	for (const char *p = host; p && (p = strchr(p, ',')); p++)
		url->n_hosts++;
	if (!service)
		add_silence(url, &n);
	if (!value_of(o, "sslmode") && !getenv("PGSSLMODE")) {
		if (!host && service)
			url->asks_verify = true;
		else if (!pg_url_is_here(host ? host : env))
			add(url, &n, "sslmode", "verify-full");
	}
	if (!value_of(o, "target_session_attrs") &&
	    !getenv("PGTARGETSESSIONATTRS"))
		add(url, &n, "target_session_attrs",
		    host && strchr(host, ',') ? "read-write" : "any");
	if (!value_of(o, "application_name") && !getenv("PGAPPNAME"))
		add(url, &n, "application_name", "bltfs");
	return 0;
}

int pg_url_parse(struct pg_url *url, const char *text, struct blt_error *err)
{
	char *why = NULL;
	int rc;

	*url = (struct pg_url){ .timeo = PG_TIMEO,
				.connections = PG_CONNECTIONS };
	url->text = strdup(text);
	url->store = strdup("main");
	rc = url->text && url->store ? take_ours(url, err) : -ENOMEM;
	if (rc == 0) {
		url->options = PQconninfoParse(url->bare, &why);
		if (!url->options) {
			size_t n = why ? strcspn(why, "\n") : 0;

			rc = store_fail(err, why ? -EINVAL : -ENOMEM,
					"the URL cannot be understood: %.*s",
					(int)n, why ? why : "");
		}
		PQfreemem(why);
	}
	if (rc == 0)
		rc = fill(url, err);
	if (rc == -ENOMEM)
		store_fail(err, rc, "out of memory");
	if (rc < 0)
		pg_url_free(url);
	return rc;
}

void pg_url_free(struct pg_url *url)
{
	PQconninfoFree(url->options);
	free(url->keys);
	free(url->values);
	free(url->bare);
	free(url->text);
	free(url->store);
	*url = (struct pg_url){ 0 };
}

char *pg_url_rotate(const char *list, unsigned first)
{
	unsigned n = 1;
	const char *p = list;
	char *ret;

	for (const char *q = list; (q = strchr(q, ',')); q++)
		n++;
	for (first %= n; first; first--)
		p = strchr(p, ',') + 1;
	if (p == list)
		return strdup(list);
	if (asprintf(&ret, "%s,%.*s", p, (int)(p - list - 1), list) < 0)
		return NULL;
	return ret;
}

char *pg_url_of_store(const struct pg_url *url, const char *store)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmno"
				    "pqrstuvwxyz0123456789-_.~";
	char name[3 * PG_STORE_NAME_MAX + 1], *to = name, *ret;

	for (; *store && to + 3 < name + sizeof(name); store++) {
		if (strchr(plain, *store))
			*to++ = *store;
		else
			to += sprintf(to, "%%%02x", (unsigned char)*store);
	}
	*to = '\0';
	if (asprintf(&ret, "%s%cstore=%s&timeo=%u&connections=%u", url->bare,
		     strchr(url->bare, '?') ? '&' : '?', name, url->timeo,
		     url->connections) < 0)
		return NULL;
	return ret;
}
