/* map_words.c - a shared object for "blt map --shared": every word of a value
 * becomes a key of its own, below that of the value.
 *
 *   cc -shared -fPIC -o map_words.so map_words.c
 *   blt map kv.blt --to words.blt --create --shared ./map_words.so -- 3
 *
 * Words shorter than the argument are left out.
 */
#include <blt_map.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static size_t shortest = 1;

int blt_map_init(int argc, char **argv)
{
	if (argc > 1)
		shortest = (size_t)atoi(argv[1]);
	return argc > 2;
}

static int put_word(const struct blt_map_item *item,
		    const struct blt_map_out *out, const char *word, size_t len)
{
	char *key = malloc(item->key_len + 1 + len);
	int rc;

	if (!key)
		return out->fail(out, "out of memory");
	memcpy(key, item->key, item->key_len);
	key[item->key_len] = '/';
	memcpy(key + item->key_len + 1, word, len);
	rc = out->put(out, key, item->key_len + 1 + len, word, len);
	free(key);
	return rc;
}

int blt_map_fn(const struct blt_map_item *item, const struct blt_map_out *out)
{
	const char *text = item->value;
	size_t len = item->value_len;
	int rc = 0;

	if (memchr(text, '\0', len))
		return out->fail(out, "a NUL at %td: this is no text",
				 (const char *)memchr(text, '\0', len) - text);
	for (size_t at = 0, end; at < len && rc == 0; at = end + 1) {
		for (end = at; end < len && !isspace((unsigned char)text[end]);)
			end++;
		if (end - at >= shortest)
			rc = put_word(item, out, text + at, end - at);
	}
	return rc;
}
