/* mflink.h - symbolic links kept as plain values (Minshall-French form).
 *
 * A value of exactly 1067 bytes: "XSym\n", the target's length in four
 * decimal digits, "\n", its MD5 in 32 hex digits, "\n", the target, and where
 * it is shorter than 1024 bytes "\n" and spaces up to the end.  What does not
 * parse in every point is a plain file.  Pure; any thread.
 */
#ifndef FS_MFLINK_H
#define FS_MFLINK_H

#include <stddef.h>
#include <stdint.h>

#define MFLINK_LEN 1067
#define MFLINK_TARGET_MAX 1024

/* -ENAMETOOLONG; -EINVAL for an empty target. */
int mflink_write(const char *target, uint8_t value[MFLINK_LEN]);

/* The target's length, target then ends in a NUL; or -EINVAL. */
int mflink_read(const uint8_t value[MFLINK_LEN],
		char target[MFLINK_TARGET_MAX + 1]);

#endif
