/* Built without liburing: there is the device alone. */
#include "main/uring.h"

#include <errno.h>

struct uring {
	char none;
};

static struct uring none;

int uring_new(struct fuse_session *se, const struct uring_config *config,
	      struct uring **ret)
{
	(void)se;
	(void)config;
	*ret = &none;
	return 0;
}

void uring_offer(struct uring *u, uint32_t flags2)
{
	(void)u;
	(void)flags2;
}

int uring_prepare(struct uring *u, size_t max_write)
{
	(void)u;
	(void)max_write;
	return -EOPNOTSUPP;
}

const char *uring_why(const struct uring *u)
{
	(void)u;
	return "this bltfs was built without liburing";
}

void uring_patch_init(const struct uring *u, struct fuse_init_out *out)
{
	(void)u;
	(void)out;
}

int uring_start(struct uring *u)
{
	(void)u;
	return 0;
}

ssize_t uring_reply(struct uring *u, const struct iovec *iov, int n)
{
	(void)u;
	(void)iov;
	(void)n;
	return -1;
}

void *uring_reply_space(size_t n)
{
	(void)n;
	return NULL;
}

bool uring_in_use(const struct uring *u)
{
	(void)u;
	return false;
}

void uring_drain(struct uring *u)
{
	(void)u;
}

int uring_stop(struct uring *u)
{
	(void)u;
	return 0;
}

void uring_free(struct uring *u)
{
	(void)u;
}
