#include "booklet/format/format.h"

#include "base/util.h"

static const uint8_t magic_variable[16] = {
	0x4f, 0x7e, 0x8a, 0x3f, 0xe7, 0x5c, 0x47, 0x50,
	0xad, 0x43, 0x0a, 0x72, 0x8f, 0xe3, 0x1c, 0xfe,
};

static const uint8_t magic_fixed[16] = {
	0x04, 0xd3, 0xb2, 0x94, 0xf2, 0x10, 0x41, 0x62,
	0x95, 0x8d, 0x04, 0x00, 0x73, 0x8c, 0x9e, 0x0a,
};

static uint64_t layout_field(const uint8_t *raw, size_t at, uint64_t unset)
{
	uint64_t v = get_le(raw + at, FORMAT_POS_LEN);

	return v == 0 || v == FORMAT_UNSET_LAYOUT ? unset : v;
}

static void decode_fields(struct format *f)
{
	const uint8_t *raw = f->raw;

	f->version = (unsigned)get_le(raw + FORMAT_AT_VERSION, 2);
	f->n_buckets = (uint32_t)get_le(raw + FORMAT_AT_N_BUCKETS, 4);
	f->n_keys = (uint32_t)get_le(raw + FORMAT_AT_N_KEYS, 4);
	f->value_serializer =
		(unsigned)get_le(raw + FORMAT_AT_VALUE_SERIALIZER, 2);
	f->key_serializer = (unsigned)get_le(raw + FORMAT_AT_KEY_SERIALIZER, 2);
	f->value_len = (uint32_t)get_le(raw + FORMAT_AT_VALUE_LEN, 4);
	f->timestamps =
		!f->fixed && f->version > 3 && raw[FORMAT_AT_TIMESTAMPS];
	f->created = (int64_t)get_le(raw + FORMAT_AT_CREATED, FORMAT_TIME_LEN);
	memcpy(f->uuid, raw + FORMAT_AT_UUID, sizeof(f->uuid));
	f->index_offset = layout_field(raw, FORMAT_AT_INDEX, FORMAT_HEADER_LEN);
	f->data_offset = layout_field(raw, FORMAT_AT_DATA,
				      FORMAT_HEADER_LEN +
					      format_index_len(f->n_buckets));
}

/* Data in front of the index, or the index at 200 and data somewhere behind
 * it; nothing outside the file. */
static bool layout_is_sound(const struct format *f, uint64_t file_size)
{
	uint64_t index_end = f->index_offset + format_index_len(f->n_buckets);

	if (f->index_offset < FORMAT_HEADER_LEN ||
	    f->data_offset < FORMAT_HEADER_LEN || index_end > file_size ||
	    f->data_offset > file_size)
		return false;
	if (f->index_offset == FORMAT_HEADER_LEN && f->data_offset >= index_end)
		return true;
	return f->data_offset <= f->index_offset;
}

int format_magic(const uint8_t raw[FORMAT_HEADER_LEN])
{
	if (memcmp(raw, magic_fixed, sizeof(magic_fixed)) == 0)
		return 1;
	return memcmp(raw, magic_variable, sizeof(magic_variable)) ? -1 : 0;
}

enum format_fault format_decode(const uint8_t raw[FORMAT_HEADER_LEN],
				uint64_t file_size, struct format *ret)
{
	struct format f = { 0 };

	memcpy(f.raw, raw, FORMAT_HEADER_LEN);
	if (format_magic(raw) < 0)
		return FORMAT_NOT_BOOKLET;
	f.fixed = format_magic(raw) == 1;
	decode_fields(&f);
	if (f.version < FORMAT_VERSION_OLDEST)
		return FORMAT_TOO_OLD;
	if (raw[FORMAT_AT_POS_WIDTH] != FORMAT_POS_LEN ||
	    raw[FORMAT_AT_KEY_WIDTH] != 2 ||
	    raw[FORMAT_AT_VALUE_WIDTH] != (f.fixed ? 0 : 4))
		return FORMAT_WIDTHS;
	if (f.fixed && f.value_len == 0)
		return FORMAT_VALUE_LEN;
	if (f.n_buckets == 0)
		return FORMAT_BUCKETS;
	if (!layout_is_sound(&f, file_size))
		return FORMAT_LAYOUT;
	*ret = f;
	return FORMAT_OK;
}

#define REBUILD "; \"blt recover --rebuild\" saves what is whole"

const char *format_fault_text(enum format_fault fault)
{
	switch (fault) {
	case FORMAT_NOT_BOOKLET:
		return "is not a booklet file (its first 16 bytes are none of "
		       "booklet's); give a file that booklet or \"blt create\" "
		       "made";
	case FORMAT_TOO_OLD:
		return "has a version before 3, which booklet does not read "
		       "either; convert it with the booklet that wrote it";
	case FORMAT_WIDTHS:
		return "is damaged: the field widths in bytes 18-20 of its "
		       "header are not 6, 2 and 4 (0 where values have a fixed "
		       "length)" REBUILD;
	case FORMAT_BUCKETS:
		return "is damaged: its header says that it has no buckets" REBUILD;
	case FORMAT_LAYOUT:
		return "is damaged or cut short: its header places the index "
		       "or the data outside the file" REBUILD;
	case FORMAT_VALUE_LEN:
		return "is damaged: a fixed-length file whose header gives "
		       "values 0 bytes" REBUILD;
	case FORMAT_OK:
		break;
	}
	return "is a sound booklet file";
}

void format_make(struct format *f)
{
	uint8_t *raw = f->raw;

	f->version = FORMAT_VERSION;
	memset(raw, 0, FORMAT_HEADER_LEN);
	memcpy(raw, f->fixed ? magic_fixed : magic_variable, 16);
	put_le(raw + FORMAT_AT_VERSION, f->version, 2);
	raw[FORMAT_AT_POS_WIDTH] = FORMAT_POS_LEN;
	raw[FORMAT_AT_KEY_WIDTH] = 2;
	raw[FORMAT_AT_VALUE_WIDTH] = f->fixed ? 0 : 4;
	put_le(raw + FORMAT_AT_VALUE_SERIALIZER, f->value_serializer, 2);
	put_le(raw + FORMAT_AT_KEY_SERIALIZER, f->key_serializer, 2);
	put_le(raw + FORMAT_AT_VALUE_LEN, f->value_len, 4);
	raw[FORMAT_AT_TIMESTAMPS] = f->timestamps;
	put_le(raw + FORMAT_AT_CREATED, (uint64_t)f->created, FORMAT_TIME_LEN);
	memcpy(raw + FORMAT_AT_UUID, f->uuid, sizeof(f->uuid));
	format_set_n_keys(f, 0);
	put_le(raw + FORMAT_AT_N_BUCKETS, f->n_buckets, 4);
	f->index_offset = FORMAT_HEADER_LEN;
	f->data_offset = FORMAT_HEADER_LEN + format_index_len(f->n_buckets);
}

void format_set_n_keys(struct format *f, uint32_t n_keys)
{
	f->n_keys = n_keys;
	put_le(f->raw + FORMAT_AT_N_KEYS, n_keys, 4);
}

void format_put_layout(struct format *f, uint32_t n_buckets,
		       uint64_t index_offset, uint64_t data_offset)
{
	/* Where booklet puts it in a new file, the fields are zeros. */
	if (index_offset == FORMAT_HEADER_LEN)
		index_offset = data_offset = 0;
	put_le(f->raw + FORMAT_AT_N_BUCKETS, n_buckets, 4);
	put_le(f->raw + FORMAT_AT_INDEX, index_offset, FORMAT_POS_LEN);
	put_le(f->raw + FORMAT_AT_DATA, data_offset, FORMAT_POS_LEN);
}

void format_set_layout(struct format *f, uint32_t n_buckets,
		       uint64_t index_offset, uint64_t data_offset)
{
	f->n_buckets = n_buckets;
	f->index_offset = index_offset;
	f->data_offset = data_offset;
	format_put_layout(f, n_buckets, index_offset, data_offset);
}

void format_head_encode(const struct format *f, const struct block_head *head,
			uint8_t *to)
{
	memcpy(to, head->hash.byte, KEYHASH_LEN);
	put_le(to + FORMAT_AT_NEXT, head->next, FORMAT_POS_LEN);
	put_le(to + 19, head->key_len, 2);
	if (!f->fixed)
		put_le(to + 21, head->value_len, 4);
	if (f->timestamps)
		put_le(to + FORMAT_AT_TIME, (uint64_t)head->timestamp,
		       FORMAT_TIME_LEN);
}

/* booklet's own dead blocks have a key of one byte or more. */
uint64_t format_dead_min(const struct format *f)
{
	return format_head_len(f) + 1 + (f->fixed ? f->value_len : 0);
}

uint64_t format_dead_max(const struct format *f)
{
	return (uint64_t)format_head_len(f) + FORMAT_KEY_MAX +
	       (f->fixed ? f->value_len : UINT32_MAX);
}

/* The lengths of key and value of a dead block of just len bytes. */
static void dead_shape(const struct format *f, uint64_t len,
		       struct block_head *head)
{
	uint64_t rest = len - format_head_len(f);

	head->value_len = f->value_len;
	if (f->fixed) {
		head->key_len = (uint32_t)(rest - f->value_len);
		return;
	}
	head->key_len = 1;
	head->value_len = (uint32_t)(rest - 1);
	if (rest - 1 > UINT32_MAX) {
		head->value_len = UINT32_MAX;
		head->key_len = (uint32_t)(rest - UINT32_MAX);
	}
}

bool format_never_lived(const struct keyhash *hash)
{
	static const struct keyhash zeros;

	return keyhash_equal(hash, &zeros);
}

void format_dead_head(const struct format *f, uint64_t len, uint8_t *to)
{
	struct block_head head = { .next = FORMAT_DEAD };

	dead_shape(f, len, &head);
	format_head_encode(f, &head, to);
}

/* The fewest that cover len bytes. */
static uint64_t dead_blocks(const struct format *f, uint64_t len)
{
	uint64_t max = format_dead_max(f);

	return len / max + (len % max != 0);
}

bool format_dead_fits(const struct format *f, uint64_t len)
{
	uint64_t min = format_dead_min(f), blocks = dead_blocks(f, len);

	return blocks * min <= len;
}

uint64_t format_dead_piece(const struct format *f, uint64_t len)
{
	uint64_t min = format_dead_min(f), max = format_dead_max(f);
	uint64_t blocks = dead_blocks(f, len);

	/* The last one must not be left with too little. */
	return blocks == 1 ? len : min_u64(max, len - (blocks - 1) * min);
}

const char *const format_slot_key[FORMAT_SLOTS] = {
	[FORMAT_METADATA] = "adb01ebc1ba3433eb043527",
	[FORMAT_RESERVED_1] = "7c40d2ea915b4f3a8e6d201",
	[FORMAT_RESERVED_2] = "f19a5c3d7e2b48069ab34c5",
};

/* Their hashes. */
static const struct keyhash slot_hash[FORMAT_SLOTS] = {
	[FORMAT_METADATA] = { { 0x42, 0x7e, 0xf5, 0x09, 0xe6, 0xef, 0x2c, 0xbf,
				0x16, 0x6e, 0x6e, 0x82, 0x01 } },
	[FORMAT_RESERVED_1] = { { 0x5a, 0x81, 0x57, 0xb7, 0x56, 0x28, 0xdf,
				  0x9d, 0x14, 0x4b, 0x7e, 0x43, 0xa1 } },
	[FORMAT_RESERVED_2] = { { 0x07, 0xf6, 0x6d, 0xd0, 0xa0, 0xbc, 0xa1,
				  0x8c, 0x18, 0x2e, 0xde, 0xe1, 0x18 } },
};

bool format_hidden(const struct format *f, const struct keyhash *hash)
{
	if (f->fixed)
		return false;
	for (size_t i = 0; i < FORMAT_SLOTS; i++)
		if (keyhash_equal(hash, &slot_hash[i]))
			return true;
	return false;
}

bool format_hidden_key(const struct format *f, const void *key, size_t len)
{
	if (f->fixed)
		return false;
	for (size_t i = 0; i < FORMAT_SLOTS; i++)
		if (len == strlen(format_slot_key[i]) &&
		    memcmp(key, format_slot_key[i], len) == 0)
			return true;
	return false;
}

uint32_t format_next_buckets(uint32_t n_buckets)
{
	static const uint32_t series[] = { FORMAT_DEFAULT_BUCKETS, 144013,
					   1728017, 20736017 };

	for (size_t i = 0; i < ARRAY_SIZE(series); i++)
		if (series[i] > n_buckets)
			return series[i];
	return 0;
}
