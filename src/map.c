#include "map.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int map_cancel_init(struct map_cancel *c)
{
	atomic_init(&c->asked, 0);
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return c->wake < 0 ? -errno : 0;
}

void map_cancel_release(struct map_cancel *c)
{
	close(c->wake);
	c->wake = -1;
}

void map_cancel(struct map_cancel *c)
{
	const uint64_t one = 1;
	int before = errno;
	ssize_t n;

	atomic_store(&c->asked, 1);
	/* It cannot fail but where it has been written already. */
	n = write(c->wake, &one, sizeof(one));
	(void)n;
	errno = before;
}

int map_run(struct blt *store, const struct map_options *options,
	    const struct map_hooks *hooks, struct map_result *ret,
	    struct blt_error *err)
{
	(void)store;
	(void)options;
	(void)hooks;
	(void)err;
	*ret = (struct map_result){ 0 };
	return -ENOSYS;
}
