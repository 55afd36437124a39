/* tool_complete.c - blt complete: what could come next on a command line.
 *
 * The shells' scripts (doc/completion) know nothing of blt: they hand over the
 * words so far and show what comes back.  What is offered comes from the rows
 * that are parsed and printed as help, so a new command or option needs
 * nothing here; a new kind of operand is a row of sources[].
 *
 *   first line    :files or :none: whether file names fit too
 *   each other    a word, a tab, a description
 */
#include "tool/tool.h"
#include "tool/tool_system.h"
#include "base/util.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define MAX_OPERANDS 8

struct completion {
	struct tool *t;
	const struct tool_command *cmd;
	const struct tool_option *pending; /* waits for its argument */
	const char *operand[MAX_OPERANDS];
	int n_operands;
	bool only_operands; /* "--" was there */
	bool no_paths;      /* keys are given as bytes or hex digits */
	const char *word;   /* the one to be completed */
	bool files;
	FILE *out; /* held back until it is known whether files fit */
};

static void offer(struct completion *c, const char *word, const char *what)
{
	if (!strncmp(word, c->word, strlen(c->word)))
		fprintf(c->out, "%s\t%s\n", word, what);
}

/* ---- what an operand can be ---- */

static void offer_files(struct completion *c)
{
	c->files = true;
}

static int take_command(void *arg, const struct tool_command *cmd)
{
	offer(arg, cmd->name, cmd->summary);
	return 0;
}

static void offer_commands(struct completion *c)
{
	tool_each(take_command, c);
}

static int take_mount(void *arg, const struct mountinfo *m)
{
	if (!strcmp(m->type, MOUNTINFO_BLTFS))
		offer(arg, m->point, m->source);
	return 0;
}

static void offer_mounts(struct completion *c)
{
	(void)mountinfo_each(take_mount, c);
}

static void offer_serializers(struct completion *c)
{
	unsigned code = 0;
	const char *name;

	while ((name = tool_next_serializer(&code)))
		offer(c, name, "serializer");
}

struct keys {
	struct completion *c;
	const char *dir; /* with its '/', or empty */
	size_t dir_len;
	const char *name; /* what its name begins with */
};

static int take_key(void *arg, const struct blt_ns_entry *e)
{
	struct keys *k = arg;

	/* the answer is in lines */
	if (strncmp(e->name, k->name, strlen(k->name)) != 0 ||
	    strpbrk(e->name, "\n\t"))
		return 0;
	fprintf(k->c->out, "%.*s%s%s\t%s\n", (int)k->dir_len, k->dir, e->name,
		e->kind == BLT_DIR ? "/" : "",
		e->kind == BLT_DIR ? "directory" : "key");
	return 0;
}

static int open_at_once(struct completion *c)
{
	const struct blt_open_options how = { .mode = BLT_READ,
					      .db = c->t->opt[OPT_DB] };
	const char *path = c->operand[0];
	char *url = NULL;
	int rc = 0;

	/* the last of a parameter counts */
	if (blt_is_url(path) && asprintf(&url, "%s%ctimeo=2", path,
					 strchr(path, '?') ? '&' : '?') < 0)
		return -ENOMEM;
	rc = blt_open(url ? url : path, &how, &c->t->store, NULL);
	free(url);
	return rc;
}

/* The names in the directory that the word is in.  A store that somebody
 * writes, or that is none, offers nothing, at once and in silence. */
static void offer_keys(struct completion *c)
{
	const char *slash = strrchr(c->word, '/');
	struct keys k = { .c = c, .dir = c->word, .name = c->word };
	struct blt_node dir = { .kind = BLT_DIR };
	char *path;

	if (c->no_paths || !c->n_operands || open_at_once(c) < 0)
		return;
	if (slash) {
		k.name = slash + 1;
		k.dir_len = (size_t)(k.name - c->word);
	}
	path = strndup(k.dir, k.dir_len);
	if (path && !tool_need_ns(c->t) && !blt_ns_wait(c->t->ns) &&
	    (!path[strspn(path, "/")] ||
	     !blt_ns_resolve(c->t->ns, path, &dir)) &&
	    dir.kind == BLT_DIR)
		(void)blt_ns_list(c->t->ns, dir.key, dir.key_len, 0, take_key,
				  &k);
	free(dir.key);
	free(path);
}

static int take_verb(void *arg, const char *name, const char *args)
{
	offer(arg, name, args);
	return 0;
}

static void offer_verbs(struct completion *c)
{
	(void)tool_seq_each_verb(take_verb, c);
}

static const struct source {
	const char *name; /* as usage lines have it */
	void (*offer)(struct completion *c);
} sources[] = {
	{ "ARCHIVE", offer_files }, { "COMMAND", offer_commands },
	{ "DIR", offer_files },     { "FILE", offer_files },
	{ "KEY", offer_keys },      { "MOUNTPOINT", offer_mounts },
	{ "NEW", offer_files },     { "OTHER", offer_files },
	{ "PATH", offer_keys },     { "STORE", offer_files },
	{ "TARGET", offer_files },  { "VERB", offer_verbs },
};

/* One alternative of a usage line: a kind of operand, or the word itself. */
static void offer_kind(struct completion *c, const char *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		if (!strcmp(sources[i].name, kind)) {
			sources[i].offer(c);
			return;
		}
	}
	if (strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789.") ==
	    strlen(kind))
		offer(c, kind, "");
}

/* "[FILE]", "get|put|del", "KEY..." */
static void offer_kinds(struct completion *c, const char *text, size_t len)
{
	char *copy = strndup(text, len), *save = NULL, *kind;

	if (!copy)
		return;
	for (kind = strtok_r(copy, "|[]", &save); kind;
	     kind = strtok_r(NULL, "|[]", &save)) {
		char *dots = strstr(kind, "...");

		if (dots)
			*dots = '\0';
		offer_kind(c, kind);
	}
	free(copy);
}

/* ---- the command line so far ---- */

static void offer_operand(struct completion *c)
{
	const char *at = c->cmd->args;
	size_t len = strcspn(at, " ");

	for (int i = 0; i < c->n_operands; i++) {
		bool many = len >= 3 && strstr(at, "...") &&
			    strstr(at, "...") < at + len;

		if (many)
			break;
		at += len;
		at += strspn(at, " ");
		len = strcspn(at, " ");
	}
	offer_kinds(c, at, len);
}

static void offer_engines(struct completion *c)
{
	const char *name;

	for (unsigned i = 0; (name = blt_engine_name(i)); i++)
		offer(c, name, "engine");
}

/* It has the table; returns where it cannot be run. */
static void ask_daemon(const struct completion *c)
{
	char path[PATH_MAX], *word = strdup(c->word);
	char *argv[] = { path,
			 (char[]){ "--complete" },
			 (char[]){ "--" },
			 (char[]){ "-o" },
			 word,
			 NULL };

	if (word && tool_find_daemon(path))
		execv(path, argv);
	free(word);
}

static void offer_argument(struct completion *c)
{
	switch (c->pending->opt) {
	case OPT_KEY_SERIALIZER:
	case OPT_VALUE_SERIALIZER:
		offer_serializers(c);
		break;
	case OPT_FORMAT:
		offer_kinds(c, "tar|tar.gz|tar.bz2|tar.xz|tar.zst", 64);
		break;
	case OPT_ENGINE:
		offer_engines(c);
		break;
	case OPT_OPTIONS:
		ask_daemon(c);
		break;
	default:
		offer_kinds(c, c->pending->arg, strlen(c->pending->arg));
	}
}

static void offer_options(struct completion *c)
{
	char text[64];

	for (const struct tool_option *o = c->cmd->options; o->name; o++) {
		snprintf(text, sizeof(text), "--%s", o->name);
		offer(c, text, o->help);
		snprintf(text, sizeof(text), "-%c", o->letter);
		if (o->letter && !c->word[1])
			offer(c, text, o->help);
	}
}

static void take_option(struct completion *c, const struct tool_option *o,
			bool has_value)
{
	if (o->arg && !has_value)
		c->pending = o;
	if (o->opt == OPT_RAW || o->opt == OPT_HEX)
		c->no_paths = true;
	/* the namespace asks for this one */
	if (o->opt == OPT_FLAT)
		c->t->opt[OPT_FLAT] = "";
}

/* Opening the store asks for this one. */
static void take_value(struct completion *c, const struct tool_option *o,
		       const char *value)
{
	if (o->opt == OPT_DB)
		c->t->opt[OPT_DB] = value;
}

static void take_long(struct completion *c, const char *name)
{
	size_t len = strcspn(name, "=");

	for (const struct tool_option *o = c->cmd->options; o->name; o++)
		if (strlen(o->name) == len && !strncmp(o->name, name, len)) {
			take_option(c, o, name[len] != '\0');
			if (name[len])
				take_value(c, o, name + len + 1);
		}
}

static void take_letters(struct completion *c, const char *letters)
{
	for (; *letters && !c->pending; letters++) {
		const struct tool_option *o = c->cmd->options;

		while (o->name && o->letter != *letters)
			o++;
		if (!o->name)
			continue;
		take_option(c, o, letters[1] != '\0');
		if (o->arg)
			break; /* the rest is its argument */
	}
}

static void take_word(struct completion *c, const char *word)
{
	if (c->pending) {
		take_value(c, c->pending, word);
		c->pending = NULL;
	} else if (c->only_operands || word[0] != '-' || !word[1]) {
		c->operand[min_u64((uint64_t)c->n_operands++,
				   MAX_OPERANDS - 1)] = word;
	} else if (!strcmp(word, "--")) {
		c->only_operands = true;
	} else if (word[1] == '-') {
		take_long(c, word + 2);
	} else {
		take_letters(c, word + 1);
	}
}

static void offer_next(struct completion *c, char **words, int n)
{
	c->word = n ? words[n - 1] : "";
	if (n < 2) {
		offer_commands(c);
		offer(c, "--help", "print the list of commands");
		offer(c, "--version", "print the version and how it was built");
		return;
	}
	c->cmd = tool_find(words[0]);
	if (!c->cmd)
		return;
	for (int i = 1; i < n - 1; i++)
		take_word(c, words[i]);
	if (c->pending)
		offer_argument(c);
	else if (!c->only_operands && c->word[0] == '-')
		offer_options(c);
	else
		offer_operand(c);
}

static int run_complete(struct tool *t)
{
	struct completion c = { .t = t };
	char *text = NULL;
	size_t len = 0;

	c.out = open_memstream(&text, &len);
	if (!c.out)
		return tool_fail(t, EX_OSERR, "out of memory");
	offer_next(&c, t->arg, t->n_args);
	if (fclose(c.out) != 0) {
		free(text);
		return tool_fail(t, EX_OSERR, "out of memory");
	}
	puts(c.files ? ":files" : ":none");
	fwrite(text, 1, len, stdout);
	free(text);
	return EX_OK;
}

const struct tool_command tool_complete = {
	.name = "complete",
	.args = "-- [WORD]...",
	.summary = "tell a shell what could come next",
	.help = "For the shells' completion scripts: prints what the last WORD "
		"could become, WORDs being those behind \"blt\". The first "
		"line is \":files\" where names of files fit too, else "
		"\":none\"; each other has a word, a tab, and what it is. "
		"Keys come from the store, if nobody writes it.",
	.max_args = -1,
	.options = (const struct tool_option[]){ TOOL_OPT_END },
	.run = run_complete,
};
