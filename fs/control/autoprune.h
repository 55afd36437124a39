/* autoprune.h - the store's dead space is given back without being asked.
 *
 *   autoprune_start(control)     where the options want it
 *   autoprune_ended(control, info)   of each job
 *   autoprune_stop(control)      before the jobs end
 *
 * Looked at as changes come (syncer_watch): once more than the share of
 * -o autoprune and 64 MiB are dead (blt_prune_due), a prune is started as a job
 * in the background, if no other job is there.  Where the disk has hardly room
 * for what a prune writes, it is a trim, which needs none.  A prune that
 * failed, or was cancelled, is tried again when as much more is dead.
 */
#ifndef FS_AUTOPRUNE_H
#define FS_AUTOPRUNE_H

struct control;
struct job_info;

void autoprune_start(struct control *c);
void autoprune_ended(struct control *c, const struct job_info *info);
void autoprune_stop(struct control *c);

#endif
