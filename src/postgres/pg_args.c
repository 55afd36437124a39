/* Parameters and results, in the protocol's binary form: integers in network
 * order; an array as PostgreSQL's array_recv has it: dimensions (1), whether
 * there are NULLs, the element's type, length, lower bound (1), then each
 * element with its length (-1: NULL). */
#include "postgres/pg_conn.h"

#include "base/array.h"

#include <endian.h>
#include <limits.h>

#define HEAD 20u

static void put_be32(uint8_t *to, uint32_t v)
{
	uint32_t be = htobe32(v);

	memcpy(to, &be, sizeof(be));
}

static void put_be64(uint8_t *to, uint64_t v)
{
	uint64_t be = htobe64(v);

	memcpy(to, &be, sizeof(be));
}

void pg_array_begin(struct pg_array *a, enum pg_element type)
{
	uint8_t head[HEAD] = { 0 };

	*a = (struct pg_array){ .rc = 0 };
	put_be32(head, 1);
	put_be32(head + 4, 1);
	put_be32(head + 8, type);
	put_be32(head + 16, 1);
	a->rc = bytes_append(&a->bytes, &a->len, head, HEAD);
}

static void add(struct pg_array *a, const void *bytes, size_t len,
		uint32_t said)
{
	uint8_t head[4];

	put_be32(head, said);
	if (a->rc == 0 && (len > INT_MAX || a->len > INT_MAX - 4 - len))
		a->rc = -E2BIG;
	if (a->rc == 0)
		a->rc = bytes_append(&a->bytes, &a->len, head, 4);
	if (a->rc == 0)
		a->rc = bytes_append(&a->bytes, &a->len, bytes, len);
	a->n++;
}

void pg_array_bytes(struct pg_array *a, const void *bytes, size_t len)
{
	add(a, bytes, len, (uint32_t)len);
}

void pg_array_int8(struct pg_array *a, int64_t value)
{
	uint8_t be[8];

	put_be64(be, (uint64_t)value);
	add(a, be, sizeof(be), sizeof(be));
}

void pg_array_int4(struct pg_array *a, int32_t value)
{
	uint8_t be[4];

	put_be32(be, (uint32_t)value);
	add(a, be, sizeof(be), sizeof(be));
}

void pg_array_null(struct pg_array *a)
{
	add(a, NULL, 0, UINT32_MAX);
}

void pg_array_free(struct pg_array *a)
{
	free(a->bytes);
	*a = (struct pg_array){ .rc = 0 };
}

static void set(struct pg_args *a, const void *value, size_t len)
{
	if (len > INT_MAX)
		a->rc = -E2BIG;
	if (a->rc < 0)
		return;
	a->value[a->n] = value;
	a->len[a->n] = (int)len;
	a->binary[a->n++] = 1;
}

void pg_args_int8(struct pg_args *a, int64_t value)
{
	put_be64(a->number[a->n], (uint64_t)value);
	set(a, a->number[a->n], 8);
}

void pg_args_int4(struct pg_args *a, int32_t value)
{
	put_be32(a->number[a->n], (uint32_t)value);
	set(a, a->number[a->n], 4);
}

void pg_args_bytes(struct pg_args *a, const void *bytes, size_t len)
{
	/* NULL would be SQL's. */
	set(a, len ? bytes : "", len);
}

void pg_args_array(struct pg_args *a, struct pg_array *array)
{
	if (array->rc < 0) {
		a->rc = array->rc;
		return;
	}
	put_be32(array->bytes + 12, array->n);
	set(a, array->bytes, array->len);
}

/* ---- results ---- */

int64_t pg_int8(const PGresult *res, int row, int column)
{
	uint64_t be;

	if (PQgetisnull(res, row, column) ||
	    PQgetlength(res, row, column) != (int)sizeof(be))
		return 0;
	memcpy(&be, PQgetvalue(res, row, column), sizeof(be));
	return (int64_t)be64toh(be);
}

int32_t pg_int4(const PGresult *res, int row, int column)
{
	uint32_t be;

	if (PQgetisnull(res, row, column) ||
	    PQgetlength(res, row, column) != (int)sizeof(be))
		return 0;
	memcpy(&be, PQgetvalue(res, row, column), sizeof(be));
	return (int32_t)be32toh(be);
}

const uint8_t *pg_bytes(const PGresult *res, int row, int column, size_t *ret)
{
	*ret = (size_t)PQgetlength(res, row, column);
	return (const uint8_t *)PQgetvalue(res, row, column);
}
