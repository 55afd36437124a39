#include "booklet/format/marker.h"

#include <string.h>

#define MAGIC_LEN 10

const uint8_t marker_seq[MARKER_SEQ_LEN] = {
	'b', 'l', 't', 'f', 's', '-', 's', 'e', 'q', '\0', MARKER_SEQ_FORMAT,
};

int marker_seq_format(const void *value, size_t len)
{
	const uint8_t *bytes = value;

	if (len != MARKER_SEQ_LEN || memcmp(bytes, marker_seq, MAGIC_LEN) != 0)
		return -1;
	return bytes[MAGIC_LEN];
}

bool marker_is(const void *key, size_t key_len, const void *value,
	       size_t value_len)
{
	const uint8_t *bytes = key;

	if (key_len == 0 || bytes[key_len - 1] != '/')
		return false;
	return value_len == 0 || marker_seq_format(value, value_len) >= 0;
}
