/* Jobs that end with the process that asked for them: each is cancelled when
 * the directory on which it was asked for is closed. */
#include "control/control.h"

#include "base/array.h"
#include "control/control_inner.h"

/* lock is held. */
static bool is_attended(const struct control *c, uint64_t job)
{
	for (size_t i = 0; i < c->n_attended; i++)
		if (c->attended[i].job == job)
			return true;
	return false;
}

int control_attend(struct control *c, uint64_t handle, uint64_t job)
{
	struct job_info info;
	int rc = jobs_get(c->jobs, job, &info);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&c->lock);
	rc = ARRAY_ROOM(c->attended, c->attended_room, c->n_attended + 1);
	if (rc == 0 && !is_attended(c, job))
		c->attended[c->n_attended++] =
			(struct control_attended){ handle, job };
	pthread_mutex_unlock(&c->lock);
	return rc;
}

/* One of the handle's, taken out; 0: there is none. */
static uint64_t take_one(struct control *c, uint64_t handle)
{
	uint64_t job = 0;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->n_attended && !job; i++)
		if (c->attended[i].handle == handle) {
			job = c->attended[i].job;
			c->attended[i] = c->attended[--c->n_attended];
		}
	pthread_mutex_unlock(&c->lock);
	return job;
}

void control_left(struct control *c, uint64_t handle)
{
	uint64_t job;

	while ((job = take_one(c, handle)) != 0)
		(void)jobs_cancel(c->jobs, job);
}
