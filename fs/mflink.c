#include "mflink.h"

#include <errno.h>
#include <md5.h>
#include <stdio.h>
#include <string.h>

#define HEAD (5 + 5 + 33)

int mflink_write(const char *target, uint8_t value[MFLINK_LEN])
{
	size_t len = strlen(target);
	char md5[MD5_DIGEST_STRING_LENGTH];
	char head[HEAD + 1];

	if (len == 0)
		return -EINVAL;
	if (len > MFLINK_TARGET_MAX)
		return -ENAMETOOLONG;
	MD5Data((const uint8_t *)target, len, md5);
	snprintf(head, sizeof(head), "XSym\n%04u\n%s\n", (unsigned)len, md5);
	memset(value, ' ', MFLINK_LEN);
	memcpy(value, head, HEAD);
	memcpy(value + HEAD, target, len);
	if (len < MFLINK_TARGET_MAX)
		value[HEAD + len] = '\n';
	return 0;
}

/* Builds anew what was read and compares: so every byte counts. */
int mflink_read(const uint8_t value[MFLINK_LEN],
		char target[MFLINK_TARGET_MAX + 1])
{
	uint8_t again[MFLINK_LEN];
	char found[MFLINK_TARGET_MAX + 1];
	size_t len = 0;

	if (memcmp(value, "XSym\n", 5) != 0)
		return -EINVAL;
	for (size_t i = 5; i < 9; i++) {
		if (value[i] < '0' || value[i] > '9')
			return -EINVAL;
		len = len * 10 + (size_t)(value[i] - '0');
	}
	if (len == 0 || len > MFLINK_TARGET_MAX)
		return -EINVAL;
	memcpy(found, value + HEAD, len);
	found[len] = '\0';
	if (strlen(found) != len || mflink_write(found, again) < 0 ||
	    memcmp(again, value, MFLINK_LEN) != 0)
		return -EINVAL;
	memcpy(target, found, len + 1);
	return (int)len;
}
