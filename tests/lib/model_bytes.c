#include "lib/model_bytes.h"

#include "booklet/format/serial.h"
#include "lib/checked.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* As hex digits, between quotes. */
static size_t json(const uint8_t *raw, size_t n, uint8_t *to)
{
	static const char digits[] = "0123456789abcdef";
	size_t at = 0;

	to[at++] = '"';
	for (size_t i = 0; i < n; i++) {
		to[at++] = (uint8_t)digits[raw[i] >> 4];
		to[at++] = (uint8_t)digits[raw[i] & 15];
	}
	to[at++] = '"';
	return at;
}

static size_t text(const uint8_t *raw, size_t n, uint8_t *to)
{
	for (size_t i = 0; i < n; i++)
		to[i] = raw[i] & 0x80 ? 'a' + raw[i] % 26 : raw[i];
	return n;
}

static size_t numbers(const uint8_t *raw, size_t n, uint8_t *to)
{
	size_t len = n ? (n + 7) / 8 * 8 : 8;

	memset(to, 0, len);
	memcpy(to, raw, n);
	return len;
}

static size_t squeeze(uint8_t *bytes, size_t n)
{
	size_t room = ZSTD_compressBound(n), len;
	uint8_t *to = malloc(room);

	ck_assert_ptr_nonnull(to);
	len = ZSTD_compress(to, room, bytes, n, 1);
	ck_assert(!ZSTD_isError(len));
	memcpy(bytes, to, len);
	free(to);
	return len;
}

size_t forms_make(const struct forms *f, const uint8_t *raw, size_t n,
		  uint8_t *to)
{
	switch (f->form) {
	case FORM_NUMBERS:
		return numbers(raw, n, to);
	case FORM_TEXT:
		return text(raw, n, to);
	case FORM_JSON:
		return json(raw, n, to);
	case FORM_INT:
		numbers(raw, n < 8 ? n : 8, to);
		return f->width;
	case FORM_ZSTD_NUMBERS:
		return squeeze(to, numbers(raw, n, to));
	case FORM_ZSTD_JSON:
		return squeeze(to, json(raw, n, to));
	default:
		memcpy(to, raw, n);
		return n;
	}
}

/* No form but the right one loads for these. */
static bool loads(const struct forms *f)
{
	static const uint8_t sample[] = { 0xff, 0, 0xc1, '"', 7, 1, 2, 3, 4 };
	uint8_t bytes[FORMS_ROOM(sizeof(sample))];

	for (size_t n = 0; n <= sizeof(sample); n++) {
		size_t len = forms_make(f, sample, n, bytes);

		if (serial_valid(f->code, bytes, len) < 0)
			return false;
	}
	return true;
}

void forms_init(struct forms *f, unsigned code)
{
	bool is_signed;

	*f = (struct forms){ .code = code };
	f->width = serial_int_width(code, &is_signed);
	while (f->form < FORMS && !loads(f))
		f->form++;
	ck_assert_msg(f->form < FORMS, "no bytes load under serializer %u",
		      code);
}
