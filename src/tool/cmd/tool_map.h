/* tool_map.h - blt map: what its files share.
 *
 * tool_map.c has the options, tool_map_job.c those of jobs and shards,
 * tool_map_keys.c the keys of --keys-from, tool_map_report.c what is said while
 * it runs and behind it.
 */
#ifndef BLT_TOOL_MAP_H
#define BLT_TOOL_MAP_H

#include "map/map.h"
#include "map/wire.h"
#include "tool/tool.h"

/* ---- tool_map_keys.c ---- */

/* The keys in a file ("-": standard input), one a line, or ended by NULs with
 * --null; of the open store, or of a mount (else -1).  0, or an exit code after
 * a message. */
int map_keys_read(struct tool *t, int mount, const char *path,
		  struct map_options *options);
void map_keys_free(struct map_options *options);

/* ---- tool_map_job.c ---- */

/* --shard, --job and what goes with them; inside srun and mpirun the shard is
 * the process's own.  0, or an exit code after a message. */
int map_job_parse(const struct tool *t, struct map_options *o);
/* --status: of one job, or all of them. */
int map_job_status(struct tool *t);

/* ---- tool_map_python.c: --python FILE:FUNC ---- */

#define MAP_PYTHON_WORDS 8

/* What runs it, as words of a framed command. */
struct map_python {
	char *worker;
	char batch[24];
	const char *words[MAP_PYTHON_WORDS + 1];
};
/* What needs no store.  0, or an exit code after a message. */
int map_python_parse(const struct tool *t, struct map_options *o,
		     struct map_python *p);
/* How its arguments are loaded and its results dumped, by the options' input
 * and output.  0, or an exit code after a message. */
int map_python_types(struct tool *t, const struct blt_info *in,
		     const struct map_options *o, struct map_python *p);
void map_python_free(struct map_python *p);

/* ---- tool_map_mount.c: for a daemon that does it ---- */

/* Programs and files by paths that mean the same to the daemon. */
struct map_paths {
	char *to;
	char *dir;
	char *function;
	char **argv;
};
int map_mount_paths(const struct tool *t, struct map_options *o,
		    struct map_paths *ret);
void map_mount_paths_free(struct map_paths *paths);

/* ---- tool_map_report.c ---- */

struct map_report {
	struct tool *t;
	struct progress progress;
	unsigned serializer; /* of the keys */
	bool json;
	bool stream; /* results go to standard output, as they come */
	bool opened; /* out has begun */
	struct jout out;
	struct wire_out frames; /* of a stream, as this */
	uint64_t n_frames;
};

/* --to -: results go to standard output, and to no store. */
bool map_to_stdout(const struct tool *t);

void map_report_start(struct map_report *r, struct tool *t);
/* Callbacks of struct map_hooks. */
int map_report_progress(void *arg, const struct map_progress *p);
void map_report_error(void *arg, const void *key, size_t len, const char *why);
/* --to -: a frame of the protocol, or a line of JSON. */
int map_report_value(void *arg, const void *key, size_t key_len,
		     const void *value, size_t value_len);
/* What came of it: 0, or an exit code after a message. */
int map_report_end(struct map_report *r, const struct map_result *result,
		   int err, const char *text);

#endif
