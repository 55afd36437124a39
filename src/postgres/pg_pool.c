/* The pool: as many connections as threads ask at once, up to a limit. */
#include "postgres/pg_conn.h"

#include "base/util.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

/* Behind so long without an answer a connection attempt is given up. */
#define CONNECT_US (INT64_C(10) * 1000000)
#define CONNECT_LEAST_US 500000 /* where there are other hosts */

void pg_pool_init(struct pg_pool *p, const struct pg_url *url)
{
	*p = (struct pg_pool){ .url = url };
	pthread_mutex_init(&p->lock, NULL);
	steady_cond_init(&p->freed);
}

static void conn_free(struct pg_conn *c)
{
	PQfinish(c->pg);
	free(c);
}

void pg_pool_drop_idle(struct pg_pool *p)
{
	struct pg_conn *list, *next;
	unsigned n = 0;

	pthread_mutex_lock(&p->lock);
	list = p->idle;
	p->idle = NULL;
	for (struct pg_conn *c = list; c; c = c->next)
		n++;
	p->n -= n;
	pthread_cond_broadcast(&p->freed);
	pthread_mutex_unlock(&p->lock);
	for (; list; list = next) {
		next = list->next;
		conn_free(list);
	}
}

void pg_pool_release(struct pg_pool *p)
{
	pg_pool_drop_idle(p);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->freed);
}

/* ---- connecting ---- */

static int wait_connect(struct pg_conn *c, int64_t until)
{
	PostgresPollingStatusType now = PGRES_POLLING_WRITING;

	while (now != PGRES_POLLING_OK) {
		int64_t left = until - steady_us();
		struct pollfd p = {
			.fd = PQsocket(c->pg),
			.events =
				now == PGRES_POLLING_READING ? POLLIN : POLLOUT,
		};
		int n = left > 0 ? poll(&p, 1, (int)(left / 1000) + 1) : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			strcpy(c->why, PG_SILENT);
			return -ERESTART;
		}
		now = PQconnectPoll(c->pg);
		if (now == PGRES_POLLING_FAILED)
			return -ERESTART;
	}
	return 0;
}

/* libpq has no code for a refusal, but the server's own text comes with the
 * reason.  It will say again what it said once it was there; but where one of
 * several hosts may be back soon, that one has not refused. */
static int refusal(const char *all, const char *why)
{
	static const struct {
		const char *text;
		int rc;
	} known[] = {
		{ "password authentication failed", -EACCES },
		{ "no password supplied", -EACCES },
		{ "authentication failed", -EACCES },
		{ "no pg_hba.conf entry", -EACCES },
		{ "permission denied for database", -EACCES },
		{ "is not permitted to log in", -EACCES },
		{ "role \"", -EACCES },
		{ "database \"", -ENXIO },
		{ "certificate", -EACCES },
		{ "SSL", -EACCES },
		{ "invalid ", -EINVAL },
		{ "definition of service", -EINVAL },
		{ "could not translate host name", -EHOSTUNREACH },
	};
	static const char *const passing[] = {
		"too many connections", "remaining connection slots",
		"Connection refused",   "Is the server running",
		"starting up",          "shutting down",
		"in recovery mode",     "not currently accepting connections",
		"session is ", /* not what target_session_attrs asks for */
		"server is ",  /* the same */
		"SSL SYSCALL error", /* it has gone in the middle */
		"closed unexpectedly",  "server closed the connection",
		"Connection reset",     "Temporary failure in name resolution",
		"No route to host",     "Network is unreachable",
		"timeout expired",      "Connection timed out",
	};

	for (size_t i = 0; i < ARRAY_SIZE(passing); i++)
		if (strstr(all, passing[i]))
			return -ERESTART;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strstr(why, known[i].text))
			return known[i].rc;
	return -ERESTART;
}

/* libpq's text has lines for each host that was tried; what a server has said
 * says most: "connection to server at ... failed: FATAL:  reason". */
static void take_reason(struct pg_conn *c)
{
	static const char fatal[] = "FATAL:  ";
	const char *text = PQerrorMessage(c->pg), *from = text;
	size_t n;

	for (const char *p = text; (p = strstr(p, fatal)); p++)
		from = p + sizeof(fatal) - 1;
	n = min_u64(strcspn(from, "\n"), PG_WHY_MAX - 1);
	if (n) {
		memcpy(c->why, from, n);
		c->why[n] = '\0';
	}
}

/* A service file may name a server that is not here, and say nothing of its
 * certificate. */
static bool is_unverified(const struct pg_url *url, const PGconn *pg)
{
	const char *host = PQhost(pg);
	PQconninfoOption *o;
	bool is = false;

	if (!url->asks_verify || pg_url_is_here(host))
		return false;
	o = PQconninfo((PGconn *)(uintptr_t)pg);
	for (PQconninfoOption *p = o; p && p->keyword; p++)
		is = is || (strcmp(p->keyword, "sslmode") == 0 && p->val &&
			    strcmp(p->val, "prefer") == 0);
	PQconninfoFree(o);
	return is;
}

/* "relation exists already, skipping" is not for our user's terminal. */
static void drop_notice(void *arg, const PGresult *res)
{
	(void)arg;
	(void)res;
}

/* libpq goes on to the next host when one refuses, but waits for one that is
 * silent: who calls it has to begin with another. */
static PGconn *start(const struct pg_url *url, unsigned first)
{
	static const char *const lists[] = { "host", "hostaddr", "port" };
	char *mine[ARRAY_SIZE(lists)] = { NULL };
	const char **values;
	PGconn *pg = NULL;
	size_t n = 0;

	if (first % url->n_hosts == 0)
		return PQconnectStartParams(url->keys, url->values, 0);
	while (url->keys[n])
		n++;
	values = calloc(n + 1, sizeof(*values));
	for (size_t i = 0; values && i < n; i++) {
		values[i] = url->values[i];
		for (size_t j = 0; j < ARRAY_SIZE(lists); j++)
			if (strcmp(url->keys[i], lists[j]) == 0) {
				free(mine[j]);
				mine[j] = pg_url_rotate(values[i], first);
				values[i] = mine[j];
			}
	}
	if (values)
		pg = PQconnectStartParams(url->keys, values, 0);
	for (size_t j = 0; j < ARRAY_SIZE(lists); j++)
		free(mine[j]);
	free(values);
	return pg;
}

static int64_t connect_limit(const struct pg_url *url, int64_t until)
{
	int64_t most = CONNECT_US;

	if (url->n_hosts > 1)
		most = (int64_t)min_u64(
			(uint64_t)most,
			max_u64(CONNECT_LEAST_US,
				UINT64_C(500000) * url->timeo / url->n_hosts));
	most += steady_us();
	return most < until ? most : until;
}

static int conn_new(const struct pg_url *url, unsigned first, int64_t until,
		    struct pg_conn **ret, char why[PG_WHY_MAX])
{
	struct pg_conn *c = calloc(1, sizeof(*c));
	int rc = -ERESTART;

	if (!c)
		return -ENOMEM;
	c->pg = start(url, first);
	if (c->pg)
		PQsetNoticeReceiver(c->pg, drop_notice, NULL);
	if (c->pg && PQstatus(c->pg) != CONNECTION_BAD)
		rc = wait_connect(c, connect_limit(url, until));
	if (rc < 0) {
		if (!c->why[0])
			take_reason(c);
		rc = refusal(c->pg ? PQerrorMessage(c->pg) : "", c->why);
	} else if (is_unverified(url, c->pg)) {
		snprintf(c->why, sizeof(c->why),
			 "the service file does not say how the server %.100s "
			 "is verified; add sslmode=verify-full to it",
			 PQhost(c->pg));
		rc = -EACCES;
	} else if (PQsetnonblocking(c->pg, 1) < 0 ||
		   !PQenterPipelineMode(c->pg)) {
		rc = -ENOMEM;
	}
	if (rc < 0) {
		memcpy(why, c->why, PG_WHY_MAX);
		conn_free(c);
		return rc;
	}
	*ret = c;
	return 0;
}

/* ---- taking and giving ---- */

/* 1: one is there; 0: one may be made, and is counted. */
static int take_idle(struct pg_pool *p, int64_t until, struct pg_conn **ret)
{
	struct timespec at = steady_timespec(until);
	int rc = -EAGAIN;

	pthread_mutex_lock(&p->lock);
	while (rc == -EAGAIN) {
		if (p->idle) {
			*ret = p->idle;
			p->idle = p->idle->next;
			rc = 1;
		} else if (p->n < p->url->connections) {
			p->n++;
			rc = 0;
		} else if (pthread_cond_timedwait(&p->freed, &p->lock, &at)) {
			rc = -ERESTART;
		}
	}
	pthread_mutex_unlock(&p->lock);
	return rc;
}

int pg_pool_take(struct pg_pool *p, int64_t until, struct pg_conn **ret)
{
	char why[PG_WHY_MAX] = "";
	unsigned first;
	int rc = take_idle(p, until, ret);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	pthread_mutex_lock(&p->lock);
	first = p->first;
	pthread_mutex_unlock(&p->lock);
	rc = conn_new(p->url, first, until, ret, why);
	pthread_mutex_lock(&p->lock);
	if (rc < 0) {
		p->n--;
		if (strcmp(why, PG_SILENT) == 0 && first == p->first)
			p->first++;
		memcpy(p->why, why, sizeof(why));
		pthread_cond_signal(&p->freed);
	} else {
		(*ret)->plain = p->plain;
	}
	pthread_mutex_unlock(&p->lock);
	return rc;
}

void pg_pool_why(struct pg_pool *p, char to[PG_WHY_MAX])
{
	pthread_mutex_lock(&p->lock);
	memcpy(to, p->why, PG_WHY_MAX);
	pthread_mutex_unlock(&p->lock);
}

static bool is_usable(struct pg_conn *c)
{
	if (c->broken || PQstatus(c->pg) != CONNECTION_OK)
		return false;
	if (PQtransactionStatus(c->pg) == PQTRANS_IDLE)
		return true;
	return pg_exec(c, "rollback", steady_us() + CONNECT_US) == 0 &&
	       PQtransactionStatus(c->pg) == PQTRANS_IDLE;
}

void pg_pool_give(struct pg_pool *p, struct pg_conn *c)
{
	bool keep = is_usable(c);

	pthread_mutex_lock(&p->lock);
	p->plain = p->plain || c->plain;
	if (c->why[0])
		memcpy(p->why, c->why, sizeof(p->why));
	c->why[0] = '\0';
	if (keep) {
		c->next = p->idle;
		p->idle = c;
	} else {
		p->n--;
	}
	pthread_cond_signal(&p->freed);
	pthread_mutex_unlock(&p->lock);
	if (!keep)
		conn_free(c);
}
