/* model_bytes.h - keys and values that load under a serializer, for the model.
 *
 *   struct forms f;
 *   forms_init(&f, code)
 *   len = forms_make(&f, raw, n, to)
 *
 * to has room for FORMS_ROOM(n) bytes.  Threads: none.
 */
#ifndef TEST_MODEL_BYTES_H
#define TEST_MODEL_BYTES_H

#include <stddef.h>
#include <stdint.h>

#define FORMS_ROOM(n) (2 * (n) + 256)

/* How bytes are brought into form; found by trying what loads. */
enum form {
	FORM_ANY,
	FORM_NUMBERS, /* not none, and a multiple of 8 bytes */
	FORM_TEXT,
	FORM_JSON,
	FORM_INT,
	FORM_ZSTD_NUMBERS,
	FORM_ZSTD_JSON,
	FORMS,
};

struct forms {
	unsigned code;
	enum form form;
	unsigned width; /* FORM_INT */
};

void forms_init(struct forms *f, unsigned code);

/* Brings n bytes of raw into form; different ones stay different, as far as the
 * form has room for them. */
size_t forms_make(const struct forms *f, const uint8_t *raw, size_t n,
		  uint8_t *to);

#endif
