/* blt_map.h - functions for "blt map --shared", from C.
 *
 * A shared object exports blt_map_fn, which is called for each item:
 *
 *   #include <blt_map.h>
 *
 *   int blt_map_fn(const struct blt_map_item *item,
 *                  const struct blt_map_out *out)
 *   {
 *           return out->put(out, item->key, item->key_len,
 *                           item->value, item->value_len);
 *   }
 *
 * and built as
 *
 *   cc -shared -fPIC -o mine.so mine.c
 *
 * It may put any number of values under any keys; none skips the item.  What
 * was put counts when the function has returned 0.  Any other result is an
 * error of this item; out->fail says why.
 *
 * It runs in a process of its own, several of them at once, in each one call
 * at a time.  The item is borrowed for the call; what is put is copied.
 * Standard input is empty, standard output is standard error.
 */
#ifndef BLT_MAP_H
#define BLT_MAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct blt_map_item {
	const void *key;
	size_t key_len;
	const void *value;
	size_t value_len;
	int64_t timestamp; /* microseconds since the epoch, or -1: none */
};

struct blt_map_out {
	/* A value under a key.  0, or a negative errno, which the function may
	 * return. */
	int (*put)(const struct blt_map_out *out, const void *key,
		   size_t key_len, const void *value, size_t value_len);
	/* A value under the key that the map makes of the item's: its own, or
	 * that of --key. */
	int (*put_same)(const struct blt_map_out *out, const void *value,
			size_t value_len);
	/* Says why the item fails, as printf does; returns -1. */
	int (*fail)(const struct blt_map_out *out, const char *format, ...);
	void *hidden;
};

typedef int blt_map_function(const struct blt_map_item *item,
			     const struct blt_map_out *out);

/* What the shared object exports.  blt_map_init may be missing; it is called
 * once in each process, with the object's path and what followed it, and
 * returns 0 or something else to stop the map. */
int blt_map_fn(const struct blt_map_item *item, const struct blt_map_out *out);
int blt_map_init(int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif
