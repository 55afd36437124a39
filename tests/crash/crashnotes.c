/* Notes in random work: values and a note as one commit, as the ledger of a map
 * makes them. */
#include "crash/crashwork_inner.h"
#include "base/util.h"
#include "booklet/format/notes.h"
#include "engine/backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_MOST ((size_t)500)
#define SLOT_MOST ((size_t)10000) /* what random work puts there */

/* The slot's bytes; none where it is empty. */
static int read_slot(struct crashwork *w, uint8_t **ret, size_t *ret_len)
{
	struct blt_view v;
	int rc = blt_slot_get(w->store, BLT_RESERVED_1, &v);

	*ret = crash_need(malloc(SLOT_MOST));
	*ret_len = 0;
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (blt_view_copy(&v, *ret, v.len, 0) != (int64_t)v.len)
		rc = -EIO;
	*ret_len = v.len;
	blt_view_release(&v);
	return rc;
}

/* As the ledger of a map does it: values and a note, all or nothing. */
static int commit_noted(struct crashwork *w, const uint8_t *table, size_t len)
{
	struct note was = { .name = "n", .name_len = 1 }, to = was, n;
	struct crash_state s = *crash_newest(w);
	uint8_t value[NOTE_MOST], *made = NULL;
	struct blt_bytes before, after;
	struct blt_batch *b = NULL;
	size_t at = 0, made_len = 0;
	int rc;

	while (notes_next(table, len, &at, &n) > 0)
		was = n;
	to.len = crash_draw(w, NOTE_MOST);
	memset(value, (int)crash_draw(w, 256), to.len);
	to.bytes = crash_draw(w, 4) ? value : NULL;
	before = (struct blt_bytes){ was.bytes, was.len };
	after = (struct blt_bytes){ to.bytes, to.len };
	rc = notes_change(table, len, &was, &to, &made, &made_len);
	memset(&s.slot[0], 0, sizeof(s.slot[0]));
	if (rc == 0 && made)
		s.slot[0] = crash_entry_of(made, made_len, 0);
	free(made);
	if (rc == 0)
		rc = blt_batch_new(w->store, &b);
	for (uint64_t i = 1 + crash_draw(w, 3); i && rc == 0; i--)
		rc = crash_batch_one(w, b, &s);
	if (rc == 0)
		rc = backend_batch_note(b, "n", was.bytes ? &before : NULL,
					to.bytes ? &after : NULL);
	if (rc < 0) {
		blt_batch_abort(b);
		return crash_outcome(w, rc, "a batch with a note", false);
	}
	crash_note_commit(w, &s);
	return crash_outcome(w, blt_batch_commit(b), "a batch with a note",
			     true);
}

int crash_do_note(struct crashwork *w)
{
	uint8_t *table;
	size_t len, at = 0;
	struct note n;
	int rc;

	if (w->kind->create.value_len)
		return crashwork_put(w);
	rc = read_slot(w, &table, &len);
	if (rc < 0)
		rc = crash_outcome(w, rc, "reading a slot", false);
	else if (notes_next(table, len, &at, &n) < 0)
		rc = crash_do_slot(w); /* another's */
	else
		rc = commit_noted(w, table, len);
	free(table);
	return rc;
}
