/* suggest.h - the name that was probably meant.
 *
 *   struct suggest s = suggest_for("gett");
 *
 *   for (...)
 *           suggest_offer(&s, name);
 *   if (s.best)
 *           ... did you mean s.best?
 *
 * A name is near where few letters are missing, added, wrong or swapped: one in
 * three, but at least one.  Names are borrowed.  Nothing fails; any thread.
 */
#ifndef BASE_SUGGEST_H
#define BASE_SUGGEST_H

#include <stddef.h>

struct suggest {
	const char *word;
	const char *best; /* NULL: nothing near so far */
	size_t len;       /* of the word */
	size_t distance;  /* of best; before there is one, the least that is far
			   */
};

struct suggest suggest_for(const char *word);
/* The same for the first len bytes of word. */
struct suggest suggest_for_part(const char *word, size_t len);
void suggest_offer(struct suggest *s, const char *name);

#endif
