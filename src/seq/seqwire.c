#include "seq/seqwire.h"

#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- out ---- */

/* Room for n bytes more, or NULL. */
static uint8_t *grow(struct seqwire_out *out, size_t n)
{
	uint8_t *ret;

	if (out->error)
		return NULL;
	if (n > out->max - out->len) {
		out->error = -E2BIG;
		return NULL;
	}
	out->error = ARRAY_ROOM(out->bytes, out->room, out->len + n);
	if (out->error)
		return NULL;
	ret = out->bytes + out->len;
	out->len += n;
	return ret;
}

void seqwire_text(struct seqwire_out *out, const void *bytes, size_t len)
{
	uint8_t *to = len <= SIZE_MAX - 4 ? grow(out, len + 4) : NULL;

	if (!to)
		return;
	put_le32(to, len);
	if (len)
		memcpy(to + 4, bytes, len);
}

void seqwire_kind(struct seqwire_out *out, bool record)
{
	uint8_t *to = grow(out, 1);

	if (to)
		*to = record;
}

void seqwire_begin(struct seqwire_out *out, bool record)
{
	out->head = out->len;
	out->n = record ? 0 : SEQWIRE_VALUE;
	(void)grow(out, 4);
}

void seqwire_field(struct seqwire_out *out, const struct blt_seq_field *field)
{
	if (out->n != SEQWIRE_VALUE)
		out->n++;
	seqwire_text(out, field->name, field->name ? field->name_len : 0);
	seqwire_text(out, field->value, field->value_len);
}

int seqwire_end(struct seqwire_out *out)
{
	if (!out->error)
		put_le32(out->bytes + out->head, out->n);
	return out->error;
}

int seqwire_put(struct seqwire_out *out, const struct blt_seq_item *item)
{
	seqwire_begin(out, item->n == 0 || item->fields[0].name);
	for (size_t i = 0; i < item->n; i++)
		seqwire_field(out, &item->fields[i]);
	return seqwire_end(out);
}

/* ---- in ---- */

static int take_number(struct seqwire_in *in, uint32_t *ret)
{
	if (in->len == 0)
		return 0;
	if (in->len < 4)
		return -EPROTO;
	*ret = (uint32_t)get_le32(in->at);
	in->at += 4;
	in->len -= 4;
	return 1;
}

int seqwire_take_text(struct seqwire_in *in, const void **ret, size_t *ret_len)
{
	uint32_t len;
	int rc = take_number(in, &len);

	if (rc <= 0)
		return rc;
	if (len > in->len)
		return -EPROTO;
	*ret = in->at;
	*ret_len = len;
	in->at += len;
	in->len -= len;
	return 1;
}

static int take_field(struct seqwire_in *in, bool record,
		      struct blt_seq_field *ret)
{
	const void *name = NULL;
	int rc = seqwire_take_text(in, &name, &ret->name_len);

	if (rc > 0)
		rc = seqwire_take_text(in, &ret->value, &ret->value_len);
	ret->name = record ? name : NULL;
	return rc > 0 ? 0 : -EPROTO;
}

int seqwire_item(struct seqwire_in *in, struct blt_seq_item *ret)
{
	uint32_t n = 0;
	int rc = take_number(in, &n);
	bool record = n != SEQWIRE_VALUE;

	if (rc <= 0)
		return rc;
	n = record ? n : 1;
	if (n > in->len / 8)
		return -EPROTO;
	if (n > in->room) {
		struct blt_seq_field *more =
			realloc(in->fields, n * sizeof(*more));

		if (!more)
			return -ENOMEM;
		in->fields = more;
		in->room = n;
	}
	for (uint32_t i = 0; i < n; i++) {
		rc = take_field(in, record, &in->fields[i]);
		if (rc < 0)
			return rc;
	}
	*ret = (struct blt_seq_item){ in->fields, n };
	return 1;
}

void seqwire_in_free(struct seqwire_in *in)
{
	free(in->fields);
	in->fields = NULL;
	in->room = 0;
}
