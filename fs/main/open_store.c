#include "main/open_store.h"

#include "main/clock.h"
#include "main/daemon.h"
#include "main/log.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sysexits.h>

int exit_code(int err)
{
	switch (err) {
	case -ENOENT:
	case -ENOTDIR:
		return EX_NOINPUT;
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return EX_NOPERM;
	case -EUCLEAN:
	case -EPROTONOSUPPORT:
	case -EISDIR:
		return EX_DATAERR;
	case -EWOULDBLOCK:
		return EX_TEMPFAIL;
	case -EINVAL:
		return EX_USAGE;
	case -EIO:
	case -ENOSPC:
		return EX_IOERR;
	default:
		return EX_OSERR;
	}
}

static int serializer(const char *option, const char *name, unsigned *ret)
{
	int code;

	if (!name)
		return 0;
	code = blt_serializer_code(name);
	if (code < 0) {
		log_error("-o %s=%s: no such serializer", option, name);
		return EX_USAGE;
	}
	*ret = (unsigned)code;
	return 0;
}

/* A recovery that takes longer is told of, once. */
#define PATIENCE_NS ((int64_t)1000000000)

struct recovery {
	const struct options *opts;
	int64_t started;
	bool told;
};

/* A blt_progress_fn.  With -d nothing is too short to be told. */
static int tell_recovery(void *arg, uint64_t done, uint64_t total,
			 uint64_t records)
{
	struct recovery *r = arg;

	if (r->told ||
	    (!r->opts->debug && clock_ticks_ns() - r->started < PATIENCE_NS))
		return 0;
	r->told = true;
	log_info(
		"%s: recovering what its last writer left: %.1f of %.1f MiB, %llu records so far",
		r->opts->store, (double)done / (1 << 20),
		(double)total / (1 << 20), (unsigned long long)records);
	return 0;
}

static void tell_server(void *arg, const char *text)
{
	const struct options *o = arg;

	log_warn("%s: %s", o->store, text);
}

static void tell_caution(void *arg, const char *text)
{
	(void)arg;
	log_warn("%s", text);
}

/* What opening it asks for, in terms of our options. */
static const char *advice(int err)
{
	switch (-err) {
	case ENOENT:
		return "; make a store with \"blt create\", or mount with -o "
		       "create";
	case EACCES:
	case EROFS:
		return " (with -o ro it is only read)";
	case EWOULDBLOCK:
		return " (-o lock_timeout)";
	default:
		return "";
	}
}

/* The message begins with the path, which is not the one that was given. */
static void complain(const struct options *o, const char *path,
		     const char *text, int err)
{
	size_t len = strlen(path);
	bool named = strncmp(text, path, len) == 0;

	log_error("%s%s%s", named ? o->store : "", named ? text + len : text,
		  o->ro && err != -EWOULDBLOCK && err != -ENOENT ? "" :
								   advice(err));
}

int open_store(const struct options *o, const char *path, struct blt **ret)
{
	struct recovery recovery = { .opts = o, .started = clock_ticks_ns() };
	struct blt_open_options how = {
		.mode = o->ro ? BLT_READ : o->create ? BLT_CREATE : BLT_WRITE,
		.engine = o->engine,
		.db = o->db,
		.progress = tell_recovery,
		.progress_arg = &recovery,
		.tell = tell_server,
		.tell_arg = (void *)(uintptr_t)o,
		.create = {
			.n_buckets = (uint32_t)o->buckets,
			.value_len = (uint32_t)o->value_len,
			.no_timestamps = o->no_timestamps,
		},
	};
	struct blt_error err = { "" };
	char durable[BLT_DURABILITY_MAX];
	int rc;

	rc = serializer("key_serializer", o->key_serializer,
			&how.create.key_serializer);
	if (rc == 0)
		rc = serializer("value_serializer", o->value_serializer,
				&how.create.value_serializer);
	if (rc)
		return rc;
	rc = blt_open(path, &how, ret, &err);
	if (rc == -EWOULDBLOCK && o->lock_timeout) {
		mountpoint_tell_wait(o, path);
		how.lock_timeout_ms = (int)o->lock_timeout * 1000;
		rc = blt_open(path, &how, ret, &err);
	}
	if (rc == 0) {
		blt_cautions(*ret, tell_caution, NULL);
		if (blt_durability(*ret, durable) == 0)
			log_info("%s: what is synced is on %s", o->store,
				 durable);
		return 0;
	}
	complain(o, path, err.text, rc);
	return exit_code(rc);
}
