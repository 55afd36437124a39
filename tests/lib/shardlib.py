"""What the tests of jobs share: values that show how often they were mapped,
and maps that are killed in the middle.

The function appends one "+" to a value, so a value that was mapped twice shows
it.  For each item it writes to a FIFO that holds few items: a map comes as far
as the test reads, and no farther than AHEAD items."""

import fcntl
import os
import random
import subprocess

import maplib
import toollib as t

# What --env takes, where nobody counts.
os.environ["PULSE"] = ""

N = 20000
PULSE = 16  # bytes that an item writes
AHEAD = 4096 // PULSE
KILLED = -9

FUNCTION = """
#include <blt_map.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fd = -1;

int blt_map_init(int argc, char **argv)
{
	const char *path = getenv("PULSE");

	(void)argc;
	(void)argv;
	fd = path && *path ? open(path, O_WRONLY) : -1;
	return 0;
}

int blt_map_fn(const struct blt_map_item *item, const struct blt_map_out *out)
{
	static const char pulse[%d];
	char *value = malloc(item->value_len + 1);
	int rc;

	if (!value)
		return out->fail(out, "out of memory");
	memcpy(value, item->value, item->value_len);
	value[item->value_len] = '+';
	if (fd >= 0 && write(fd, pulse, sizeof(pulse)) < 0)
		fd = -1;
	rc = out->put_same(out, value, item->value_len + 1);
	free(value);
	return rc;
}
""" % PULSE


def function(where):
    """The arguments that run it."""
    return ["--env", "PULSE", *maplib.shared_object(
        os.path.join(where, "plus.so"), FUNCTION)]


def fill(store, n=N):
    t.ok("load", "-q", store, stdin=b"".join(
        b"%s %s 1000\n" % ((b"d%d/k%d" % (i % 7, i)).hex().encode(),
                           (b"value %d" % i).hex().encode())
        for i in range(n)))


def wanted(n=N):
    """What a serial run makes of them."""
    return {b"d%d/k%d" % (i % 7, i): b"value %d+" % i for i in range(n)}


class Killed:
    """A blt map, and how far it is."""

    def __init__(self, where, *args):
        self.path = os.path.join(where, f"pulse{random.getrandbits(64):x}")
        os.mkfifo(self.path)
        self.fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, 4096)
        # pylint: disable=consider-using-with
        self.blt = subprocess.Popen([t.BLT, "map", *args],
                                    env={**os.environ, "PULSE": self.path},
                                    stdout=subprocess.DEVNULL,
                                    stderr=subprocess.PIPE)

    def read(self, n=None):
        """Lets n items by, or all; False where it ends before."""
        left = None if n is None else n * PULSE
        while left is None or left > 0:
            ended = self.blt.poll() is not None
            try:
                left_now = len(os.read(self.fd, min(left or 65536, 65536)))
                left = None if left is None else left - left_now
            except BlockingIOError:
                if ended:
                    return False
                self.wait_a_moment()
        return True

    def wait_a_moment(self):
        """For a pulse, or the end."""
        try:
            self.blt.wait(0.01)
        except subprocess.TimeoutExpired:
            pass

    def kill(self):
        self.blt.kill()
        return self.end()

    def end(self):
        """Its exit code; what it still had at work goes."""
        os.unlink(self.path)
        os.close(self.fd)
        self.blt.wait()
        self.said = self.blt.stderr.read()
        self.blt.stderr.close()
        return self.blt.returncode


def run_through(where, args, kills=20, most=2000):
    """Runs a map again and again, killed after some items, until it comes to
    its end; how often it was killed."""
    done = 0
    while True:
        run = Killed(where, *args)
        if done < kills and run.read(random.randrange(1, most)):
            t.equal(run.kill(), KILLED, "killed")
            done += 1
            continue
        run.read()
        t.equal((run.end(), run.said), (0, b""), "the last run")
        return done


def times(found):
    """How many values were mapped how often."""
    count = {}
    for value in found.values():
        n = len(value) - len(value.rstrip(b"+"))
        count[n] = count.get(n, 0) + 1
    return count
