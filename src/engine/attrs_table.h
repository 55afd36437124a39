/* attrs_table.h - the attributes of keys (blt.h) in memory, and as bytes.
 *
 * As bytes the table is a magic of 8 bytes, and for each record
 *
 *   2 bytes  length of its key
 *   1 byte   which of mode and owner count (enum blt_attrs_has)
 *   4 bytes  mode        4 bytes  user        4 bytes  group
 *   4 bytes  length of its extended attributes
 *   key, extended attributes
 *
 * and for each extended attribute
 *
 *   1 byte   length of its name
 *   4 bytes  length of its value
 *   name, value
 *
 * with numbers little-endian.  A table without the magic is another library's.
 *
 *   struct attrs_table t = { 0 };
 *   rc = attrs_table_unpack(&t, bytes, len);
 *   r = attrs_table_find(&t, key, len);
 *   ...
 *   attrs_table_release(&t);
 *
 * A record that a change has left without content is to be removed.  Records
 * are the table's.  Errors: -ENOMEM changes nothing.  One thread at a time.
 */
#ifndef BLT_ATTRS_TABLE_H
#define BLT_ATTRS_TABLE_H

#include "blt.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct attrs_record {
	struct attrs_record *next; /* of the same bucket */
	uint64_t hash;
	struct blt_attrs attrs;
	bool set_here;   /* by this process, not read from the store */
	uint8_t *xattrs; /* as packed, by bytes_append; NULL: none */
	size_t xattrs_len;
	size_t key_len;
	uint8_t key[];
};

struct attrs_table {
	struct attrs_record **bucket; /* n_buckets, a power of two, or 0 */
	size_t n_buckets;
	size_t n;
	size_t bytes; /* of all records, packed */
};

struct attrs_record *attrs_table_find(const struct attrs_table *t,
				      const void *key, size_t len);
/* The record, which is made where there is none. */
int attrs_table_need(struct attrs_table *t, const void *key, size_t len,
		     struct attrs_record **ret);
void attrs_table_remove(struct attrs_table *t, struct attrs_record *r);
bool attrs_record_is_empty(const struct attrs_record *r);

/* The record (NULL: none) gets another key; what had that goes. */
int attrs_table_rekey(struct attrs_table *t, struct attrs_record *r,
		      const void *to, size_t len);
/* Two keys exchange their records, of which either may be missing. */
int attrs_table_exchange(struct attrs_table *t, const void *one, size_t one_len,
			 const void *two, size_t two_len);

/* The records for which fn is not 0, or their number where ret is NULL.  The
 * list is malloc'd. */
typedef bool attrs_table_fn(void *arg, const struct attrs_record *r);
int attrs_table_select(const struct attrs_table *t, attrs_table_fn *fn,
		       void *arg, struct attrs_record ***ret, size_t *ret_n);

/* An extended attribute; the value is borrowed until the record changes. */
bool attrs_record_xattr(const struct attrs_record *r, const char *name,
			const uint8_t **ret, size_t *ret_len);
/* The next one of them, at *at (0 at first), or false. */
bool attrs_record_next(const struct attrs_record *r, size_t *at,
		       const char **ret_name, size_t *ret_len);
/* value NULL: it goes. */
int attrs_table_set_xattr(struct attrs_table *t, struct attrs_record *r,
			  const char *name, const void *value, size_t len);

/* -EEXIST: another library's; -EUCLEAN: damaged.  t is empty at first, and on
 * an error. */
int attrs_table_unpack(struct attrs_table *t, const uint8_t *bytes, size_t len);
/* malloc'd; NULL where there is no record. */
int attrs_table_pack(const struct attrs_table *t, uint8_t **ret,
		     size_t *ret_len);
void attrs_table_release(struct attrs_table *t);

#endif
