/* syncer.h - makes what was written durable every few seconds, and the store a
 * plain booklet file once it rests.
 *
 *   syncer_new(store, seconds, &s);
 *   syncer_wrote(s, bytes);          after each change; any thread
 *   syncer_free(s);
 *
 * Syncs earlier once 32 MiB have come together.  Over FUSE sync(2) does not
 * reach the daemon, so this is what bounds the loss when the machine dies.
 */
#ifndef FS_SYNCER_H
#define FS_SYNCER_H

#include <stdint.h>

struct blt;
struct syncer;

int syncer_new(struct blt *store, unsigned seconds, struct syncer **ret);
void syncer_free(struct syncer *s); /* NULL is fine */
void syncer_wrote(struct syncer *s, uint64_t bytes);

#endif
