#include "base/suggest.h"

#include "base/util.h"

#include <string.h>

#define WORD_MAX 40 /* longer ones are compared with nothing */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Damerau and Levenshtein's distance, with swaps of neighbours only. */
static size_t distance(const char *a, size_t la, const char *b, size_t lb)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *above = rows[1], *row = rows[2];

	for (size_t j = 0; j <= lb; j++)
		above[j] = before[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *oldest = before;

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			row[j] = least(above[j - 1] + (a[i - 1] != b[j - 1]),
				       1 + least(above[j], row[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				row[j] = least(row[j], before[j - 2] + 1);
		}
		before = above;
		above = row;
		row = oldest;
	}
	return above[lb];
}

struct suggest suggest_for_part(const char *word, size_t len)
{
	return (struct suggest){
		.word = word,
		.len = len,
		.distance = 1 + (len > 3 ? len / 3 : 1),
	};
}

struct suggest suggest_for(const char *word)
{
	return suggest_for_part(word, strlen(word));
}

void suggest_offer(struct suggest *s, const char *name)
{
	size_t len = strlen(name), d;

	/* one or two letters are near to everything */
	if (s->len < 3 || s->len > WORD_MAX || len > WORD_MAX)
		return;
	d = distance(s->word, s->len, name, len);
	if (d >= s->distance)
		return;
	s->distance = d;
	s->best = name;
}
