/* options_complete.c - bltfs --complete: what could come next on a command
 * line, as "blt complete" prints it: ":files" or ":none", then a word, a tab
 * and a description a line.
 */
#include "main/options.h"

#include "blt.h"
#include "main/options_value.h"

#include <string.h>

#define SERIALIZERS 64 /* codes are below */

/* The word so far, of which the first fixed bytes stay. */
struct completion {
	FILE *to;
	const char *word;
	size_t fixed;
};

static void offer(const struct completion *c, const char *name,
		  const char *behind, const char *help)
{
	if (strncmp(name, c->word + c->fixed, strlen(c->word + c->fixed)) == 0)
		fprintf(c->to, "%.*s%s%s\t%s\n", (int)c->fixed, c->word, name,
			behind, help);
}

static void offer_value(const struct completion *c, const char *option,
			size_t len)
{
	const char *name;

	if (len > 10 && !memcmp(option + len - 10, "serializer", 10)) {
		for (unsigned i = 1; i < SERIALIZERS; i++) {
			name = blt_serializer_name(i);
			if (name && blt_serializer_code(name) == (int)i)
				offer(c, name, "", "serializer");
		}
	} else if (len == 6 && !memcmp(option, "engine", 6)) {
		for (unsigned i = 0; (name = blt_engine_name(i)); i++)
			offer(c, name, "", "engine");
	}
}

/* The last item of a list with commas between. */
static void offer_item(struct completion *c)
{
	const char *comma = strrchr(c->word + c->fixed, ',');
	const struct option_row *row;
	const char *item, *equals;

	if (comma)
		c->fixed = (size_t)(comma + 1 - c->word);
	item = c->word + c->fixed;
	equals = strchr(item, '=');
	if (equals) {
		c->fixed = (size_t)(equals + 1 - c->word);
		offer_value(c, item, (size_t)(equals - item));
		return;
	}
	for (size_t i = 0; (row = option_row_at(i)); i++)
		if (row->help)
			offer(c, row->name, option_takes(row) ? "=" : "",
			      row->help);
}

static void offer_switches(const struct completion *c)
{
	static const char *const switches[][2] = {
		{ "-f", "stay in the foreground" },
		{ "-d", "log every FUSE message" },
		{ "-s", "one thread" },
		{ "-o", "options" },
		{ "--help", "print all options" },
		{ "--version", "print the version and how it was built" },
	};

	for (size_t i = 0; i < sizeof(switches) / sizeof(*switches); i++)
		offer(c, switches[i][0], "", switches[i][1]);
}

void options_complete(FILE *to, char **words, int n)
{
	struct completion c = { .to = to, .word = n > 0 ? words[n - 1] : "" };
	bool is_list = n > 1 && strcmp(words[n - 2], "-o") == 0;

	if (!is_list && strncmp(c.word, "-o", 2) == 0 && c.word[2]) {
		is_list = true;
		c.fixed = 2;
	}
	fputs(is_list || c.word[0] == '-' ? ":none\n" : ":files\n", to);
	if (is_list)
		offer_item(&c);
	else if (c.word[0] == '-')
		offer_switches(&c);
}
