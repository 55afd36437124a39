/* worker_builtin.c - the functions that need no program. */
#include "map/worker.h"

#include "base/util.h"

#include <inttypes.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

typedef int fn(struct worker *w, const uint8_t *value, size_t len);

static struct worker_buf made;

static int identity(struct worker *w, const uint8_t *value, size_t len)
{
	return worker_result(w, NULL, 0, value, len);
}

static int upper(struct worker *w, const uint8_t *value, size_t len)
{
	int rc;

	made.len = 0;
	rc = worker_room(w, &made, len + 1);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < len; i++)
		made.bytes[i] = value[i] >= 'a' && value[i] <= 'z' ?
					(uint8_t)(value[i] - 'a' + 'A') :
					value[i];
	return worker_result(w, NULL, 0, made.bytes, len);
}

static int compress(struct worker *w, const uint8_t *value, size_t len)
{
	size_t n;
	int rc;

	made.len = 0;
	rc = worker_room(w, &made, ZSTD_compressBound(len));
	if (rc < 0)
		return rc;
	n = ZSTD_compress(made.bytes, made.room, value, len,
			  ZSTD_CLEVEL_DEFAULT);
	if (ZSTD_isError(n))
		return worker_fail(w, "zstd: %s", ZSTD_getErrorName(n));
	return worker_result(w, NULL, 0, made.bytes, n);
}

/* Whatever a head says of its length is not believed. */
static int inflate(struct worker *w, ZSTD_DStream *z, const uint8_t *value,
		   size_t len)
{
	ZSTD_inBuffer from = { value, len, 0 };
	size_t left = 1;

	made.len = 0;
	while (from.pos < from.size || left) {
		ZSTD_outBuffer to;
		size_t was = from.pos;
		int rc = worker_room(w, &made, ZSTD_DStreamOutSize());

		if (rc < 0)
			return rc;
		to = (ZSTD_outBuffer){ made.bytes + made.len,
				       made.room - made.len, 0 };
		left = ZSTD_decompressStream(z, &to, &from);
		if (ZSTD_isError(left))
			return worker_fail(w, "unzstd: %s",
					   ZSTD_getErrorName(left));
		made.len += to.pos;
		if (made.len > WIRE_VALUE_MAX)
			return worker_fail(w, "unzstd: more than 4294967295 "
					      "bytes");
		if (left && from.pos == was && !to.pos)
			return worker_fail(w, "unzstd: the value ends too "
					      "early");
	}
	return worker_result(w, NULL, 0, made.bytes, made.len);
}

static int decompress(struct worker *w, const uint8_t *value, size_t len)
{
	ZSTD_DStream *z = ZSTD_createDStream();
	int rc;

	if (!z)
		return worker_fail(w, "out of memory");
	rc = inflate(w, z, value, len);
	ZSTD_freeDStream(z);
	return rc;
}

static int sha256sum(struct worker *w, const uint8_t *value, size_t len)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char text[2 * SHA256_DIGEST_LENGTH + 1];
	SHA2_CTX ctx;

	SHA256Init(&ctx);
	SHA256Update(&ctx, value, len);
	SHA256Final(digest, &ctx);
	hex_encode(text, digest, sizeof(digest));
	text[sizeof(text) - 1] = '\n';
	return worker_result(w, NULL, 0, text, sizeof(text));
}

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static int wc(struct worker *w, const uint8_t *value, size_t len)
{
	uint64_t lines = 0, words = 0;
	char text[80];
	int n;

	for (size_t i = 0; i < len; i++) {
		lines += value[i] == '\n';
		words += !is_space(value[i]) &&
			 (i == 0 || is_space(value[i - 1]));
	}
	n = snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 " %zu\n", lines,
		     words, len);
	return worker_result(w, NULL, 0, text, (size_t)n);
}

static const struct builtin {
	const char *name;
	fn *fn;
} builtins[] = {
	{ "identity", identity },
	{ "sha256sum", sha256sum },
	{ "unzstd", decompress },
	{ "upper", upper },
	{ "wc", wc },
	{ "zstd", compress },
};

static fn *chosen;

static int init(struct worker *w)
{
	char names[WORKER_WHY / 2] = "";
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(builtins); i++) {
		if (!strcmp(builtins[i].name, w->argv[0]))
			chosen = builtins[i].fn;
		n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s",
				      n ? ", " : "", builtins[i].name);
	}
	return chosen ? 0 :
			worker_fail(w, "%s: no such function; there are %s",
				    w->argv[0], names);
}

static int run(struct worker *w, const struct worker_item *item)
{
	const uint8_t *value = NULL;
	int rc = worker_value(w, item, &value);

	return rc < 0 ? rc : chosen(w, value, (size_t)item->len);
}

const struct worker_kind worker_builtin = { "builtin", init, run, true };
