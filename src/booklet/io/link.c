/* Symbolic links as values, in the form of Minshall and French that other file
 * systems use, too: "XSym\n", the target's length in four decimal digits, "\n",
 * its MD5 in 32 hex digits, "\n", the target, and where that is shorter than
 * 1024 bytes "\n" and spaces up to the end. */
#include "blt.h"

#include <errno.h>
#include <md5.h>
#include <stdio.h>
#include <string.h>

#define HEAD (5 + 5 + 33)

int blt_link_write(const char *target, uint8_t value[BLT_LINK_LEN])
{
	size_t len = strlen(target);
	char md5[MD5_DIGEST_STRING_LENGTH];
	char head[HEAD + 1];

	if (len == 0)
		return -EINVAL;
	if (len > BLT_LINK_MAX)
		return -ENAMETOOLONG;
	MD5Data((const uint8_t *)target, len, md5);
	snprintf(head, sizeof(head), "XSym\n%04u\n%s\n", (unsigned)len, md5);
	memset(value, ' ', BLT_LINK_LEN);
	memcpy(value, head, HEAD);
	memcpy(value + HEAD, target, len);
	if (len < BLT_LINK_MAX)
		value[HEAD + len] = '\n';
	return 0;
}

/* Builds anew what was read and compares: so every byte counts. */
int blt_link_read(const uint8_t value[BLT_LINK_LEN],
		  char target[BLT_LINK_MAX + 1])
{
	uint8_t again[BLT_LINK_LEN];
	char found[BLT_LINK_MAX + 1];
	size_t len = 0;

	if (memcmp(value, "XSym\n", 5) != 0)
		return -EINVAL;
	for (size_t i = 5; i < 9; i++) {
		if (value[i] < '0' || value[i] > '9')
			return -EINVAL;
		len = len * 10 + (size_t)(value[i] - '0');
	}
	if (len == 0 || len > BLT_LINK_MAX)
		return -EINVAL;
	memcpy(found, value + HEAD, len);
	found[len] = '\0';
	if (strlen(found) != len || blt_link_write(found, again) < 0 ||
	    memcmp(again, value, BLT_LINK_LEN) != 0)
		return -EINVAL;
	memcpy(target, found, len + 1);
	return (int)len;
}
