/* Namespaces: the names of awkward keys, of random ones and of those in files
 * that Python wrote, and what is made under a name. */
#include "blt.h"
#include "lib/nscrawl.h"
#include "lib/rnd.h"
#include "lib/rounds.h"
#include "lib/suite.h"
#include "base/util.h"
#include "lib/checked.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct blt *open_store(const char *path, enum blt_mode mode,
			      const char *serializer)
{
	struct blt_open_options how = { .mode = mode };
	struct blt_error err;
	struct blt *store;

	how.create.n_buckets = 101;
	how.create.key_serializer = (unsigned)blt_serializer_code(serializer);
	if (blt_open(path, &how, &store, &err) < 0)
		ck_abort_msg("%s", err.text);
	return store;
}

static struct blt_ns *open_ns(struct blt *store, bool flat)
{
	struct blt_ns_options how = { .flat = flat, .control = ".bltfs" };
	struct blt_ns *ns;

	ck_assert_int_eq(blt_ns_new(store, &how, &ns), 0);
	return ns;
}

/* ---- files that Python wrote ---- */

START_TEST(test_vectors)
{
	const char *from = getenv("VECTORS");
	struct dirent *entry;
	unsigned n = 0;
	DIR *dir;

	ck_assert_ptr_nonnull(from);
	dir = opendir(from);
	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir))) {
		char *dot = strrchr(entry->d_name, '.');
		char path[4096];
		struct blt *store;
		struct blt_info info;
		struct blt_ns *ns;
		bool flat = _i;

		if (!dot || strcmp(dot, ".blt") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", from, entry->d_name);
		store = open_store(path, BLT_READ, "str");
		ns = open_ns(store, flat);
		blt_get_info(store, &info);
		if (strstr(blt_serializer_name(info.key_serializer), "int"))
			flat = true;
		nscrawl(store, ns, flat);
		blt_ns_free(ns);
		blt_close(store);
		n++;
	}
	closedir(dir);
	ck_assert_uint_ge(n, 20);
}
END_TEST

START_TEST(test_awkward_names)
{
	static const struct {
		const char *key, *path;
		size_t len;
	} known[] = {
		{ "", "%%", 0 },
		{ "%", "%25", 1 },
		{ "%41", "%41", 3 },
		{ ".", "%2E", 1 },
		{ "..", "%2E%2E", 2 },
		{ ".bltfs", "%2Ebltfs%", 6 },
		{ ".bltfs/stats", "%2Ebltfs/stats", 12 },
		{ "//", "%/%/%", 2 },
		{ "/abs", "%/abs", 4 },
		{ "a", "a%", 1 },
		{ "a%", "a%25", 2 },
		{ "a/../b", "a/%2E%2E/b", 6 },
		{ "a/b", "a/b%", 3 },
		{ "a/b/c", "a/b/c", 5 },
		{ "nul\0inside", "nul%00inside", 10 },
		{ "trail/", "trail/%", 6 },
		{ "x//y", "x/%/y", 4 },
	};
	char file[4096];
	struct blt *store;
	struct blt_ns *ns;
	char *path;

	snprintf(file, sizeof(file), "%s/names.blt", getenv("VECTORS"));
	store = open_store(file, BLT_READ, "str");
	ns = open_ns(store, false);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		ck_assert_int_eq(
			blt_ns_path(ns, known[i].key, known[i].len, &path), 0);
		ck_assert_str_eq(path, known[i].path);
		free(path);
	}
	ck_assert_uint_eq(nscrawl(store, ns, false), 34);
	blt_ns_free(ns);
	blt_close(store);
}
END_TEST

/* ---- random keys ---- */

static char dir_name[64], store_name[80];

static void make_dir(void)
{
	strcpy(dir_name, "/tmp/test-ns-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir_name));
	snprintf(store_name, sizeof(store_name), "%s/s.blt", dir_name);
}

static void remove_dir(void)
{
	unlink(store_name);
	rmdir(dir_name);
}

#define POOL 400

struct pool_key {
	uint8_t bytes[700];
	size_t len;
	bool there;
	char *path;
};

static struct pool_key pool[POOL];

static void fill_pool(void)
{
	static const char odd[] = { 'a', '/', '%', '.', '\0', '~', 'x' };

	for (size_t i = 0; i < POOL; i++) {
		struct pool_key *k = &pool[i];

		memset(k, 0, sizeof(*k));
		k->len = rnd(9);
		if (rnd(12) == 0)
			k->len = 250 + rnd(12);
		else if (rnd(40) == 0)
			k->len = 700;
		for (size_t j = 0; j < k->len; j++)
			k->bytes[j] = (uint8_t)(k->len > 9 && rnd(200) ?
							'y' :
							odd[rnd(sizeof(odd))]);
		/* some beside a directory of their name */
		if (i > 0 && rnd(8) == 0 && pool[i - 1].len < 690) {
			*k = pool[i - 1];
			k->bytes[k->len++] = '/';
			if (rnd(2))
				k->bytes[k->len++] = 'a';
		}
	}
}

static void change_store(struct blt *store, unsigned times)
{
	while (times-- > 0) {
		struct pool_key *k = &pool[rnd(POOL)];

		if (rnd(3) == 0) {
			int rc = blt_delete(store, k->bytes, k->len);

			ck_assert(rc == 0 || rc == -ENOENT);
			k->there = false;
		} else {
			ck_assert_int_eq(blt_put(store, k->bytes, k->len, "val",
						 rnd(2) ? 0 : 3, BLT_NOW),
					 0);
			k->there = true;
		}
	}
}

/* A name made up at random is nothing, or the one name of what it is. */
static void check_made_up(struct blt *store, struct blt_ns *ns)
{
	static const char odd[] = "a%.~x25E0y";

	for (int i = 0; i < 3000; i++) {
		const struct pool_key *k = &pool[rnd(POOL)];
		size_t dir_len = rnd(4) ? 0 : k->len;
		char name[8] = { 0 }, own[256];
		size_t n = 1 + rnd(5);
		struct blt_node node;
		uint8_t *key;
		size_t len;
		int rc;

		while (dir_len > 0 && k->bytes[dir_len - 1] != '/')
			dir_len--;
		if (!k->there)
			dir_len = 0;
		for (size_t j = 0; j < n; j++)
			name[j] = odd[rnd(sizeof(odd) - 1)];
		rc = blt_ns_lookup(ns, k->bytes, dir_len, name, n, &node);
		if (rc == 0) {
			ck_assert_int_eq(blt_ns_name(ns, node.key, node.key_len,
						     node.kind, own),
					 0);
			ck_assert_str_eq(own, name);
			free(node.key);
			continue;
		}
		ck_assert_int_eq(rc, -ENOENT);
		rc = blt_ns_key(ns, k->bytes, dir_len, name, n, BLT_FILE, &key,
				&len);
		if (rc < 0) {
			ck_assert_int_eq(rc, -EINVAL);
			continue;
		}
		/* a file made there has that name */
		ck_assert_int_eq(blt_put(store, key, len, "x", 1, BLT_NOW), 0);
		ck_assert_int_eq(
			blt_ns_lookup(ns, k->bytes, dir_len, name, n, &node),
			0);
		ck_assert_int_eq(node.kind, BLT_FILE);
		ck_assert_uint_eq(node.key_len, len);
		ck_assert_mem_eq(node.key, key, len);
		free(node.key);
		ck_assert_int_eq(blt_delete(store, key, len), 0);
		free(key);
	}
}

/* Before the walk's end every path leads where it led. */
static void check_early(struct blt_ns *ns)
{
	for (size_t i = 0; i < POOL; i++) {
		struct blt_node node;

		if (!pool[i].path)
			continue;
		ck_assert_int_eq(blt_ns_resolve(ns, pool[i].path, &node), 0);
		ck_assert_uint_eq(node.key_len, pool[i].len);
		ck_assert_mem_eq(node.key, pool[i].bytes, pool[i].len);
		free(node.key);
		free(pool[i].path);
		pool[i].path = NULL;
	}
}

START_TEST(test_random_keys)
{
	struct blt *store;
	struct blt_ns *ns;

	make_dir();
	for (unsigned round = 0; round < rounds_of(12); round++) {
		bool flat = round % 4 == 3;

		if (round % 4 == 0) {
			fill_pool();
			unlink(store_name);
		}
		store = open_store(store_name, BLT_CREATE, "bytes");
		change_store(store, 200);
		ns = open_ns(store, flat);
		for (int i = 0; i < 6; i++) {
			nscrawl(store, ns, flat);
			change_store(store, 1 + rnd(300));
		}
		nscrawl(store, ns, flat);
		if (!flat)
			check_made_up(store, ns);
		nscrawl(store, ns, flat);
		blt_ns_free(ns);
		ck_assert_int_eq(blt_close(store), 0);
	}
	remove_dir();
}
END_TEST

/* The paths of a store that nobody changes, looked up at once after it was
 * opened, a few of them while the walk is under way. */
START_TEST(test_before_the_walk_ends)
{
	struct blt *store;
	struct blt_ns *ns;
	struct blt_node node;
	struct blt_stat st;

	make_dir();
	for (unsigned round = 0; round < rounds_of(20); round++) {
		fill_pool();
		unlink(store_name);
		store = open_store(store_name, BLT_CREATE, "bytes");
		change_store(store, 600);
		ns = open_ns(store, false);
		for (size_t i = 0; i < POOL; i++) {
			if (blt_stat_key(store, pool[i].bytes, pool[i].len,
					 &st) == 0)
				ck_assert_int_eq(blt_ns_path(ns, pool[i].bytes,
							     pool[i].len,
							     &pool[i].path),
						 0);
		}
		blt_ns_free(ns);
		blt_close(store);
		store = open_store(store_name, BLT_READ, "bytes");
		ns = open_ns(store, false);
		ck_assert_int_eq(blt_ns_lookup(ns, "", 0, "no such", 7, &node),
				 -ENOENT);
		blt_ns_free(ns);
		blt_close(store);
		store = open_store(store_name, BLT_READ, "bytes");
		ns = open_ns(store, false);
		check_early(ns);
		nscrawl(store, ns, false);
		blt_ns_free(ns);
		blt_close(store);
	}
	remove_dir();
}
END_TEST

#define WALK_KEYS 400000
#define WALK_ROUNDS 5

static void fill_for_walk(void)
{
	struct blt *store = open_store(store_name, BLT_CREATE, "bytes");
	struct blt_batch *b;
	char key[32];

	ck_assert_int_eq(blt_batch_new(store, &b), 0);
	for (int i = 0; i < WALK_KEYS; i++) {
		if (i == WALK_KEYS / 8)
			ck_assert_int_eq(blt_batch_put(b, "one/two/x", 9, "", 0,
						       BLT_NOW),
					 0);
		sprintf(key, "d/%d", i);
		ck_assert_int_eq(
			blt_batch_put(b, key, strlen(key), "", 0, BLT_NOW), 0);
	}
	ck_assert_int_eq(blt_batch_commit(b), 0);
	ck_assert_int_eq(blt_close(store), 0);
}

/* A name that the walk meets early is not waited for until its end.  In most
 * rounds, as a busy machine may stop us meanwhile. */
START_TEST(test_as_soon_as_it_is_met)
{
	int early = 0;

	make_dir();
	fill_for_walk();
	for (int i = 0; i < WALK_ROUNDS; i++) {
		struct blt *store = open_store(store_name, BLT_READ, "bytes");
		struct blt_ns *ns = open_ns(store, false);
		struct blt_node node;
		bool complete;

		ck_assert_int_eq(
			blt_ns_lookup(ns, "one/two/", 8, "x", 1, &node), 0);
		blt_ns_progress(ns, &complete);
		early += !complete;
		free(node.key);
		blt_ns_free(ns);
		blt_close(store);
	}
	ck_assert_int_gt(early, WALK_ROUNDS / 2);
	remove_dir();
}
END_TEST

/* ---- creation, one case at a time ---- */

static const struct {
	const char *dir, *name;
	enum blt_kind kind;
	const char *key; /* NULL: err */
	int err;
} making[] = {
	{ "", "new", BLT_FILE, "new", 0 },
	{ "", "f", BLT_FILE, "f", 0 },
	{ "", "d", BLT_FILE, NULL, -EISDIR },
	{ "", "m", BLT_FILE, NULL, -EISDIR },
	{ "", "d%", BLT_FILE, "d%", 0 },
	{ "", "d%", BLT_DIR, "d%/", 0 },
	{ "", "c%", BLT_FILE, "c", 0 },
	{ "", "c%25", BLT_FILE, "c%", 0 },
	{ "", "c%2525", BLT_DIR, "c%25/", 0 },
	{ "", "c%25%", BLT_FILE, "c%%", 0 },
	{ "", "c%%", BLT_FILE, NULL, -EINVAL },
	{ "", "c%%", BLT_DIR, NULL, -EINVAL },
	{ "", "f%", BLT_FILE, "f%", 0 },
	{ "", "f%25", BLT_FILE, "f%25", 0 },
	{ "", "%41", BLT_FILE, "%41", 0 },
	{ "", "%2500", BLT_FILE, "%00", 0 },
	{ "", "%2E%2E", BLT_FILE, "..", 0 },
	{ "", "%2e", BLT_FILE, "%2e", 0 },
	{ "", ".", BLT_FILE, NULL, -EINVAL },
	{ "", ".bltfs", BLT_FILE, NULL, -EINVAL },
	{ "", ".bltfs", BLT_DIR, NULL, -EINVAL },
	{ "", "%2Ebltfs", BLT_FILE, ".bltfs", 0 },
	{ "", "%", BLT_FILE, "", 0 },
	{ "d/", "%", BLT_FILE, "d/", 0 },
	{ "t/", "%", BLT_FILE, "t/", 0 },
	{ "d/", ".bltfs", BLT_FILE, "d/.bltfs", 0 },
	{ "d/", "\xff", BLT_FILE, NULL, -EILSEQ },
	{ "d/", "\xff", BLT_DIR, NULL, -EILSEQ },
	{ "d/", "new", BLT_DIR, "d/new/", 0 },
	{ "d/", "%", BLT_DIR, "d//", 0 },
	{ "", "d", BLT_DIR, "d/", 0 },
	{ "", "c%", BLT_DIR, NULL, -EINVAL },
	{ "", "%~00112233445566778899aabbcc", BLT_FILE, NULL, -EINVAL },
	{ "", "%~00112233445566778899aabbcc", BLT_DIR, NULL, -EINVAL },
	{ "d", "x", BLT_FILE, NULL, -ENOENT },
};

START_TEST(test_making)
{
	static const char *const keys[] = { "f", "d/x", "c", "c/x", "t/" };
	struct blt_ns *ns;
	struct blt *store;
	char longest[257];
	uint8_t *key;
	size_t len;

	make_dir();
	store = open_store(store_name, BLT_TRUNCATE, "str");
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		blt_put(store, keys[i], strlen(keys[i]), "v", 1, BLT_NOW);
	blt_put(store, "m/", 2, "", 0, BLT_NOW);
	ns = open_ns(store, false);
	for (size_t i = 0; i < ARRAY_SIZE(making); i++) {
		int rc = blt_ns_key(ns, making[i].dir, strlen(making[i].dir),
				    making[i].name, strlen(making[i].name),
				    making[i].kind, &key, &len);

		ck_assert_msg(rc == making[i].err, "%s: %d", making[i].name,
			      rc);
		if (rc < 0)
			continue;
		ck_assert_uint_eq(len, strlen(making[i].key));
		ck_assert_mem_eq(key, making[i].key, len);
		free(key);
	}
	memset(longest, 'y', sizeof(longest));
	ck_assert_int_eq(
		blt_ns_key(ns, "", 0, longest, 255, BLT_FILE, &key, &len), 0);
	free(key);
	ck_assert_int_eq(
		blt_ns_key(ns, "", 0, longest, 256, BLT_FILE, &key, &len),
		-ENAMETOOLONG);
	blt_ns_free(ns);
	blt_close(store);
	remove_dir();
}
END_TEST

START_TEST(test_integer_keys)
{
	struct blt_node node;
	struct blt_ns *ns;
	struct blt *store;
	uint8_t *key;
	size_t len;

	make_dir();
	store = open_store(store_name, BLT_TRUNCATE, "int2");
	ns = open_ns(store, false);
	ck_assert_int_eq(blt_ns_key_of_path(ns, "-2", &key, &len), 0);
	ck_assert_uint_eq(len, 2);
	ck_assert_mem_eq(key, "\xfe\xff", 2);
	ck_assert_int_eq(blt_put(store, key, len, "v", 1, BLT_NOW), 0);
	free(key);
	ck_assert_int_eq(blt_ns_resolve(ns, "-2", &node), 0);
	free(node.key);
	ck_assert_int_eq(blt_ns_resolve(ns, "-02", &node), -ENOENT);
	ck_assert_int_eq(blt_ns_resolve(ns, "a/b", &node), -ENOENT);
	ck_assert_int_eq(blt_ns_key_of_path(ns, "40000", &key, &len), -EINVAL);
	ck_assert_int_eq(blt_ns_key_of_path(ns, "%x00", &key, &len), -EINVAL);
	ck_assert_int_eq(blt_ns_key_of_path(ns, "1/2", &key, &len), -EINVAL);
	ck_assert_int_eq(blt_ns_key(ns, "", 0, "1", 1, BLT_DIR, &key, &len),
			 -EPERM);
	nscrawl(store, ns, true);
	blt_ns_free(ns);
	blt_close(store);
	remove_dir();
}
END_TEST

static int no_key(void *arg, const uint8_t *key, size_t len, uint64_t value_len)
{
	(void)arg;
	(void)key;
	(void)len;
	(void)value_len;
	ck_abort_msg("there is no key below");
	return 0;
}

START_TEST(test_options)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "a%", "%2E" };
	static uint8_t too_long[BLT_KEY_MAX + 1];
	struct blt_ns_options how = { 0 };
	struct blt_ns *ns, *other;
	struct blt *store;
	struct blt_node node;

	make_dir();
	store = open_store(store_name, BLT_TRUNCATE, "str");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		how.control = bad[i];
		ck_assert_int_eq(blt_ns_new(store, &how, &ns), -EINVAL);
	}
	ck_assert_int_eq(blt_ns_new(store, NULL, &ns), 0);
	how = (struct blt_ns_options){ .flat = true };
	ck_assert_int_eq(blt_ns_new(store, &how, &other), -EINVAL);
	ck_assert_int_eq(blt_ns_resolve(ns, "//", &node), 0);
	ck_assert_int_eq(node.kind, BLT_DIR);
	ck_assert_uint_eq(node.key_len, 0);
	free(node.key);
	ck_assert_int_eq(blt_ns_hold(ns, "h/", 2, true), 0);
	ck_assert_int_eq(blt_ns_resolve(ns, "h", &node), 0);
	free(node.key);
	ck_assert_int_eq(blt_ns_hold(ns, "h/", 2, false), 0);
	ck_assert_int_eq(blt_ns_resolve(ns, "h", &node), -ENOENT);
	memset(too_long, '/', sizeof(too_long));
	ck_assert_int_eq(
		blt_ns_walk(ns, too_long, sizeof(too_long), no_key, NULL),
		-ENAMETOOLONG);
	blt_ns_free(ns);
	blt_ns_free(NULL);
	blt_close(store);
	remove_dir();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ns");
	TCase *tc = tcase_create("ns");

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, test_making);
	tcase_add_test(tc, test_integer_keys);
	tcase_add_test(tc, test_options);
	tcase_add_test(tc, test_awkward_names);
	tcase_add_loop_test(tc, test_vectors, 0, 2);
	tcase_add_test(tc, test_random_keys);
	tcase_add_test(tc, test_before_the_walk_ends);
	tcase_add_test(tc, test_as_soon_as_it_is_met);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
