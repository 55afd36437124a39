/* The header's fields, each by itself: what the decoder refuses as a whole is
 * named here, and what it takes as it comes. */
#include "booklet/maintain/verify.h"

#include "booklet/format/serial.h"
#include "base/util.h"

#include <inttypes.h>
#include <string.h>

/* A field whose value the format fixes. */
static const struct fixed_field {
	unsigned at, len;
	const char *what;
	uint32_t variable, fixed; /* by the kind of file */
} fixed_fields[] = {
	{ FORMAT_AT_POS_WIDTH, 1, "bytes of a position", FORMAT_POS_LEN,
	  FORMAT_POS_LEN },
	{ FORMAT_AT_KEY_WIDTH, 1, "bytes of a key length", 2, 2 },
	{ FORMAT_AT_VALUE_WIDTH, 1, "bytes of a value length", 4, 0 },
	{ FORMAT_AT_DEPRECATED, 4, "the deprecated field", 0, 0 },
};

#define CODES 32 /* serializers have 1 to this */

struct fields {
	struct verify *c;
	const uint8_t *raw;
	uint64_t size;
	bool fixed;
	uint64_t n_buckets, index, index_end, data;
};

static int verify_fixed(struct fields *f)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(fixed_fields); i++) {
		const struct fixed_field *w = &fixed_fields[i];
		uint64_t have = get_le(f->raw + w->at, w->len);
		uint32_t want = f->fixed ? w->fixed : w->variable;

		if (have != want)
			rc = verify_fault(f->c, BLT_FAULT_HEADER, w->at,
					  "%s: %" PRIu64 " (should be %u)",
					  w->what, have, want);
	}
	return rc;
}

static int verify_version(struct fields *f)
{
	unsigned version = (unsigned)get_le(f->raw + FORMAT_AT_VERSION, 2);

	if (version >= FORMAT_VERSION_OLDEST)
		return 0;
	if (version == FORMAT_VERSION_HOT)
		return verify_fault(
			f->c, BLT_FAULT_HEADER, FORMAT_AT_VERSION,
			"version 0, which a store has while it is "
			"written, but no place of its log is given");
	return verify_fault(f->c, BLT_FAULT_HEADER, FORMAT_AT_VERSION,
			    "version %u (should be %d to %d)", version,
			    FORMAT_VERSION_OLDEST, FORMAT_VERSION);
}

static int verify_codes(struct fields *f)
{
	unsigned value =
		(unsigned)get_le(f->raw + FORMAT_AT_VALUE_SERIALIZER, 2);
	unsigned key = (unsigned)get_le(f->raw + FORMAT_AT_KEY_SERIALIZER, 2);
	int rc = 0;

	if (f->fixed && value)
		rc = verify_fault(f->c, BLT_FAULT_HEADER,
				  FORMAT_AT_VALUE_SERIALIZER,
				  "value serializer %u in a fixed-length file "
				  "(should be 0)",
				  value);
	else if (value > CODES)
		rc = verify_fault(f->c, BLT_FAULT_HEADER,
				  FORMAT_AT_VALUE_SERIALIZER,
				  "value serializer %u (should be 0 to %d)",
				  value, CODES);
	if (rc == 0 && key > CODES)
		rc = verify_fault(
			f->c, BLT_FAULT_HEADER, FORMAT_AT_KEY_SERIALIZER,
			"key serializer %u (should be 0 to %d)", key, CODES);
	return rc;
}

static int verify_values(struct fields *f)
{
	uint64_t value_len = get_le(f->raw + FORMAT_AT_VALUE_LEN, 4);
	unsigned stamps = f->raw[FORMAT_AT_TIMESTAMPS];
	int rc = 0;

	if (f->fixed != (value_len != 0))
		rc = verify_fault(f->c, BLT_FAULT_HEADER, FORMAT_AT_VALUE_LEN,
				  "values of %" PRIu64
				  " bytes (should be %s in this kind of file)",
				  value_len, f->fixed ? "more" : "0");
	if (rc == 0 && stamps > (f->fixed ? 0 : 1))
		rc = verify_fault(f->c, BLT_FAULT_HEADER, FORMAT_AT_TIMESTAMPS,
				  "timestamps: %u (should be %s)", stamps,
				  f->fixed ? "0" : "0 or 1");
	return rc;
}

static int verify_unused(struct fields *f)
{
	const uint8_t *unused = f->raw + FORMAT_AT_UNUSED;
	bool zeros = true, digits = true;

	for (size_t i = 0; i < FORMAT_HEADER_LEN - FORMAT_AT_UNUSED; i++) {
		zeros = zeros && unused[i] == 0;
		digits = digits && unused[i] == 0x30;
	}
	if (zeros || digits)
		return 0;
	return verify_fault(f->c, BLT_FAULT_HEADER, FORMAT_AT_UNUSED,
			    "bytes 77-199 are neither all 0 nor all 0x30");
}

static uint64_t place(const struct fields *f, unsigned at, uint64_t unset)
{
	uint64_t v = get_le(f->raw + at, FORMAT_POS_LEN);

	return v == 0 || v == FORMAT_UNSET_LAYOUT ? unset : v;
}

static int verify_index(struct fields *f)
{
	if (f->n_buckets == 0)
		return verify_fault(f->c, BLT_FAULT_HEADER, FORMAT_AT_N_BUCKETS,
				    "no buckets");
	if (f->index < FORMAT_HEADER_LEN)
		return verify_fault(f->c, BLT_FAULT_HEADER, FORMAT_AT_INDEX,
				    "the index begins at %" PRIu64
				    " (should be %d or more)",
				    f->index, FORMAT_HEADER_LEN);
	if (f->index_end > f->size)
		return verify_fault(f->c, BLT_FAULT_HEADER, FORMAT_AT_INDEX,
				    "the index ends at %" PRIu64
				    ", the file at %" PRIu64,
				    f->index_end, f->size);
	return 0;
}

static int verify_data(struct fields *f)
{
	if (f->index == FORMAT_HEADER_LEN) {
		if (f->data == f->index_end)
			return 0;
		return verify_fault(f->c, BLT_FAULT_HEADER, FORMAT_AT_DATA,
				    "data begins at %" PRIu64
				    " (should be %" PRIu64
				    ", where the index in front of it ends)",
				    f->data, f->index_end);
	}
	if (f->data >= FORMAT_HEADER_LEN && f->data <= f->index)
		return 0;
	return verify_fault(f->c, BLT_FAULT_HEADER, FORMAT_AT_DATA,
			    "data begins at %" PRIu64
			    " (should be from %d to %" PRIu64
			    ", where the index begins)",
			    f->data, FORMAT_HEADER_LEN, f->index);
}

static int verify_layout(struct fields *f)
{
	int rc;

	f->n_buckets = get_le(f->raw + FORMAT_AT_N_BUCKETS, 4);
	f->index = place(f, FORMAT_AT_INDEX, FORMAT_HEADER_LEN);
	f->index_end = f->index + f->n_buckets * FORMAT_POS_LEN;
	f->data = place(f, FORMAT_AT_DATA,
			FORMAT_HEADER_LEN + f->n_buckets * FORMAT_POS_LEN);
	rc = verify_index(f);
	return rc < 0 ? rc : verify_data(f);
}

int verify_header(struct verify *c, const uint8_t raw[FORMAT_HEADER_LEN],
		  uint64_t size)
{
	static int (*const steps[])(struct fields *) = {
		verify_version, verify_fixed,  verify_codes,
		verify_values,  verify_unused, verify_layout,
	};
	struct fields f = { .c = c, .raw = raw, .size = size };
	int kind = format_magic(raw), rc = 0;

	if (kind < 0)
		return verify_fault(c, BLT_FAULT_HEADER, 0,
				    "the first 16 bytes are none of booklet's");
	f.fixed = kind == 1;
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(steps); i++)
		rc = steps[i](&f);
	return rc;
}
