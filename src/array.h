/* array.h - the number of an array's elements; for both directories. */
#ifndef BLT_ARRAY_H
#define BLT_ARRAY_H

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
