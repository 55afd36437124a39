/* mapframed.c - a framed command for "blt map": every value as it is. */
#include "base/util.h"
#include "map/wire.h"

#include <unistd.h>

static struct wire_out out;

static int say(enum wire_type type, const struct wire_frame *item)
{
	struct wire_frame f = { .type = type, .time = WIRE_NO_TIME };

	if (item) {
		f.id = item->id;
		f.value = type == WIRE_SAME ? item->value : NULL;
		f.value_len = type == WIRE_SAME ? item->value_len : 0;
	} else {
		f.id = WIRE_ANSWERS_LATE;
	}
	return wire_put(&out, &f);
}

int main(void)
{
	struct wire_frame f;
	struct wire_in in;
	int rc;

	wire_in_init(&in);
	wire_out_init(&out);
	rc = say(WIRE_HELLO, NULL);
	while (rc == 0) {
		rc = wire_flush(&out, STDOUT_FILENO);
		if (rc < 0 || wire_read(&in, STDIN_FILENO) <= 0)
			break;
		while (rc == 0 && wire_next(&in, &f) > 0) {
			rc = say(WIRE_SAME, &f);
			if (rc == 0)
				rc = say(WIRE_DONE, &f);
			if (rc == 0 && wire_pending(&out) > (16u << 10))
				rc = wire_flush(&out, STDOUT_FILENO);
		}
	}
	wire_in_free(&in);
	wire_out_free(&out);
	return rc < 0;
}
