#include "booklet/store/store.h"

#include <errno.h>

int source_check_len(const struct store *store, uint64_t len)
{
	const struct format *f = &store->engine.wal.fmt;

	if (len > BLT_VALUE_MAX)
		return -EFBIG;
	return f->fixed && len != f->value_len ? -EINVAL : 0;
}

static int read_checked(void *arg, void *buf, size_t n, uint64_t offset)
{
	struct checked_source *c = arg;
	int rc = c->source->read(c->source->arg, buf, n, offset);

	if (rc == 0)
		rc = serial_check_feed(c->check, buf, n);
	if (rc == 0 && offset + n == c->source->len)
		rc = serial_check_end(c->check);
	return rc;
}

int source_begin(struct checked_source *c, const struct store *store,
		 const struct blt_source *source)
{
	const struct format *f = &store->engine.wal.fmt;
	int rc = source_check_len(store, source->len);

	*c = (struct checked_source){
		.source = source,
		.value = { .len = source->len,
			   .read = source->read,
			   .arg = source->arg },
	};
	if (rc < 0 || f->fixed || serial_takes_all(f->value_serializer))
		return rc;
	c->value.read = read_checked;
	c->value.arg = c;
	return serial_check_new(f->value_serializer, &c->check);
}

void source_end(struct checked_source *c)
{
	serial_check_free(c->check);
}
