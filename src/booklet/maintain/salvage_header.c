/* What kind of file it is: from its own header, as far as that is readable;
 * from the copy that the first record of each log carries; or from another
 * store.
 *
 * Only what blocks depend on must be right: the kind, the length of values, the
 * timestamps.  What the format fixes, and where things are, is not asked. */
#include "booklet/maintain/salvage.h"

#include "booklet/log/recover.h"
#include "base/util.h"

#include <errno.h>
#include <string.h>

/* Decodes what can be told in any layout. */
static int decode(const uint8_t raw[FORMAT_HEADER_LEN], struct format *ret)
{
	struct format plain;
	struct log_checkpoint checkpoint;
	unsigned version = (unsigned)get_le(raw + FORMAT_AT_VERSION, 2);
	struct format f;

	memcpy(plain.raw, raw, sizeof(plain.raw));
	if (version == FORMAT_VERSION_HOT) {
		version = FORMAT_VERSION;
		if (log_checkpoint_newest(raw, &checkpoint) >= 0)
			version = checkpoint.version;
	}
	if (version < FORMAT_VERSION_OLDEST || version > FORMAT_VERSION)
		version = FORMAT_VERSION;
	put_le(plain.raw + FORMAT_AT_VERSION, version, 2);
	plain.raw[FORMAT_AT_POS_WIDTH] = FORMAT_POS_LEN;
	plain.raw[FORMAT_AT_KEY_WIDTH] = 2;
	plain.raw[FORMAT_AT_VALUE_WIDTH] = format_magic(raw) == 1 ? 0 : 4;
	format_put_layout(&plain, 1, 0, 0);
	if (format_decode(plain.raw, UINT64_MAX, &f) != FORMAT_OK)
		return -EUCLEAN;
	f.n_buckets = (uint32_t)get_le(raw + FORMAT_AT_N_BUCKETS, 4);
	f.index_offset = get_le(raw + FORMAT_AT_INDEX, FORMAT_POS_LEN);
	f.data_offset = get_le(raw + FORMAT_AT_DATA, FORMAT_POS_LEN);
	if (!f.index_offset || f.index_offset == FORMAT_UNSET_LAYOUT)
		f.index_offset = FORMAT_HEADER_LEN;
	if (!f.data_offset || f.data_offset == FORMAT_UNSET_LAYOUT)
		f.data_offset =
			FORMAT_HEADER_LEN + format_index_len(f.n_buckets);
	*ret = f;
	return 0;
}

/* ---- the copy in a log ---- */

struct search {
	const struct file *file;
	uint64_t size;
	uint8_t own[FORMAT_HEADER_LEN];
	uint8_t copy[FORMAT_HEADER_LEN];
	bool found;
	uint64_t seq;
};

static void look_at(struct search *s, const uint8_t *at, uint64_t left)
{
	struct log_record r;
	struct format f;

	if (left < LOG_PAYLOAD_MIN + FORMAT_HEADER_LEN ||
	    !log_record_decode(at, LOG_PAYLOAD_MIN, &r) || !r.has_header ||
	    (s->found && r.seq < s->seq) ||
	    decode(at + LOG_PAYLOAD_MIN, &f) < 0)
		return;
	memcpy(s->copy, at + LOG_PAYLOAD_MIN, FORMAT_HEADER_LEN);
	s->seq = r.seq;
	s->found = true;
}

static int search_log(void *arg)
{
	struct search *s = arg;
	const uint8_t *p = file_ptr(s->file, 0), *end = p + s->size;

	while ((p = memchr(p, LOG_MARK_FIRST, (size_t)(end - p)))) {
		look_at(s, p, (uint64_t)(end - p));
		p++;
	}
	return 0;
}

int salvage_header(struct file *file, const uint8_t *like,
		   struct salvage_header *ret)
{
	struct search s = { .file = file };
	struct salvage_header h = { .source = BLT_HEADER_OWN };
	int rc = file_size(file, &s.size);

	if (rc == 0 && s.size >= FORMAT_HEADER_LEN)
		rc = file_read(file, s.own, sizeof(s.own), 0);
	if (rc < 0)
		return rc;
	if (decode(s.own, &h.fmt) == 0) {
		struct format sound;

		h.unclean = get_le(s.own + FORMAT_AT_VERSION, 2) ==
				    FORMAT_VERSION_HOT &&
			    recover_header(s.own, s.size, &sound, &h.checkpoint,
					   &h.checkpoint_at) == 0;
		if (h.unclean)
			h.fmt = sound;
		*ret = h;
		return 0;
	}
	rc = file_try(search_log, &s);
	if (rc < 0)
		return rc;
	h.source = s.found ? BLT_HEADER_LOG : BLT_HEADER_LIKE;
	if (s.found || like)
		rc = decode(s.found ? s.copy : like, &h.fmt);
	else
		rc = -EUCLEAN;
	if (rc == 0)
		*ret = h;
	return rc;
}
