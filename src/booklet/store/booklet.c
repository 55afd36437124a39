/* The booklet engine's table. */
#include "booklet/store/booklet.h"

const struct backend booklet_backend = {
	.name = "booklet",

	.open = booklet_open,
	.check_file = booklet_check_file,
	.rebuild = booklet_rebuild,
	.hold_file = booklet_hold_file,
	.close = booklet_close,
	.path = booklet_path,
	.fd = booklet_fd,
	.get_info = booklet_get_info,
	.cautions = booklet_cautions,
	.count = booklet_count,
	.takes_empty = booklet_takes_empty,

	.get = booklet_get,
	.get_many = booklet_get_many,
	.view_release = booklet_view_release,
	.stat_key = booklet_stat_key,
	.locate = booklet_locate,
	.compactions = booklet_compactions,

	.key = booklet_key,
	.check_value = booklet_check_value,
	.time = booklet_time,
	.put = booklet_put,
	.put_from = booklet_put_from,
	.delete = booklet_delete,
	.touch = booklet_touch,
	.commit = booklet_commit,
	.commit_flush = booklet_commit_flush,
	.prepare_rename = booklet_prepare_rename,
	.watch = booklet_watch,
	.unwatch = booklet_unwatch,
	.flush = booklet_flush,
	.sync = booklet_sync,
	.settle = booklet_settle,

	.stream_open = booklet_stream_open,
	.stream_write = booklet_stream_write,
	.stream_read = booklet_stream_read,
	.stream_resize = booklet_stream_resize,
	.stream_len = booklet_stream_len,
	.stream_sync = booklet_stream_sync,
	.stream_commit = booklet_stream_commit,
	.stream_abort = booklet_stream_abort,

	.iter_open = booklet_iter_open,
	.iter_next = booklet_iter_next,
	.iter_free = booklet_iter_free,
	.iter_ordered = booklet_iter_ordered,

	.notes = booklet_notes,

	.slot_get = booklet_slot_get,
	.slot_put = booklet_slot_put,
	.slot_delete = booklet_slot_delete,

	.reindex = booklet_reindex,
	.prune = booklet_prune,
	.trim = booklet_trim,
	.copy = booklet_copy,
	.check = booklet_check,

	.dirs = &booklet_dirs,
};
