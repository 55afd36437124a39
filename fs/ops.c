#include "ops.h"

#include <errno.h>

struct fuse_entry_param ops_entry(const struct dir_found *found)
{
	return (struct fuse_entry_param){
		.ino = node_number(found->node),
		.attr = found->st,
		.attr_timeout = found->sure ? OPS_FOREVER : 0,
		.entry_timeout = found->sure ? OPS_FOREVER : 0,
	};
}

void ops_reply_entry(fuse_req_t req, const struct dir_found *found)
{
	struct nodes *nodes = ops_fs(req)->nodes;
	struct fuse_entry_param e = ops_entry(found);

	if (fuse_reply_entry(req, &e) < 0) /* interrupted: not taken over */
		nodes_put(nodes, found->node, 1);
}
