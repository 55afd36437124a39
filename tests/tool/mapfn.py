#!/usr/bin/env python3
"""blt map with functions that stay up: the examples in doc/examples, a
framed Python worker and a shared object, and ones that go wrong."""

import json
import os
import resource
import shlex
import subprocess
import sys

import toollib as t
from daemonlib import until
from toollib import items

SOFTWARE = 70
EXAMPLES = os.path.join(t.TOP, "doc", "examples")
work = t.directory()
STORE = os.path.join(work, "store.blt")
OTHER = os.path.join(work, "other.blt")


def fresh(found, *options):
    if os.path.exists(OTHER):
        os.unlink(OTHER)
    t.fresh(STORE, found, *options)


def counts(*args, **options):
    return t.mapped(STORE, *args, **options)


def python(name, text):
    """A worker in a file of its own, beside the module it needs."""
    path = os.path.join(work, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"import sys\nsys.path.insert(0, {EXAMPLES!r})\n"
                f"import os, time\n"
                f"from blt_worker import serve, Skip\n{text}")
    return "--", sys.executable, "-B", path


def totals():
    found = {b"2024/%d.json" % i: json.dumps(
        {"customer": "ann" if i % 2 else "bob",
         "lines": [{"price": i, "number": 2}] * (i % 3)}).encode()
        for i in range(30)}
    found[b"2024/bad.json"] = b'{"lines": 1}'
    fresh(found, "-v", "json")
    before = items(STORE)
    got, failed = counts("--framed", "--to", OTHER, "--create", "--",
                         sys.executable, "-B",
                         os.path.join(EXAMPLES, "totals.py"),
                         exit_code=SOFTWARE)
    t.equal(got, (31, 20, 10, 1), "totals")
    t.equal("TypeError" in failed["2024/bad.json"], True, failed)
    t.equal(items(OTHER),
            {b"%s/2024/%d" % (b"ann" if i % 2 else b"bob", i):
             b'{"total": %d}' % (2 * i * (i % 3))
             for i in range(30) if i % 3}, "what was written")
    t.equal(items(STORE), before, "the input")


def results():
    fresh({b"one": b"1", b"none": b"2", b"many": b"3", b"same": b"4",
           b"bad": b"5"})
    worker = python("results.py", """
@serve
def work(key, value):
    print("on standard error")
    if key == b"one":
        return b"x/" + key, b"one"
    if key == b"many":
        return [(b"m/%d" % i, value) for i in range(100)]
    if key == b"same":
        return value * 2
    if key == b"bad":
        return [(b"fine", b"lost"), (b"not utf-8: \\xff", b"x")]
""")
    got, failed = counts("-f", "-K", "{key}.s", *worker, exit_code=SOFTWARE)
    t.equal(got, (5, 102, 1, 1), "one, none, many")
    t.equal(list(failed), ["bad"], failed)
    t.equal("would not load" in failed["bad"], True, failed)
    found = items(STORE)
    t.equal((found[b"x/one"], found[b"same.s"], found[b"m/99"]),
            (b"one", b"44", b"3"), "values")
    t.equal(b"fine" in found, False, "half of an item")


def hostile():
    fresh({b"k%d" % i: b"v" for i in range(50)} |
          {b"die": b"v", b"exit": b"v", b"raise": b"v"})
    worker = python("hostile.py", """
@serve
def work(key, value):
    if key == b"die":
        print("last words")
        os.kill(os.getpid(), 9)
    if key == b"exit":
        os._exit(7)
    if key == b"raise":
        raise ValueError("not this one")
    return value.upper()
""")
    got, failed = counts("-f", *worker, exit_code=SOFTWARE)
    t.equal(got, (53, 50, 0, 3), "dying workers")
    t.equal(failed, {
        "die": "its process died of signal 9 (Killed): last words",
        "exit": "its process ended with status 7",
        "raise": "ValueError: not this one"}, "why")
    done = t.run("map", STORE, "-f", "--", "echo", "no frame")
    t.equal((done.returncode, b"no frame of the protocol" in done.stderr),
            (t.UNAVAILABLE, True), done.stderr)


def runs(pid):
    """Whether a sleep of ours is there; what init has not reaped is not."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return b"100000" in f.read()
    except (FileNotFoundError, ProcessLookupError):
        return False


def left_behind():
    """What a command leaves running is gone when the map is."""
    fresh({b"k%d" % i: b"v" for i in range(4)})
    script = ("sleep 100000 & setsid sleep 100000 & "
              f"printf '%s ' $! >> {work}/pids; cat")
    t.equal(counts("--", "sh", "-c", script)[0], (4, 4, 0, 0), "with children")
    with open(os.path.join(work, "pids"), encoding="ascii") as f:
        pids = f.read().split()
    t.equal(len(pids), 4, "children")
    for pid in pids:
        t.equal(runs(pid), False, "still running")


def interrupted():
    fresh({b"k%d" % i: b"v" for i in range(4)})
    fifo = os.path.join(work, "fifo")
    os.mkfifo(fifo)
    child = subprocess.Popen(
        [t.BLT, "map", STORE, "-j", "1", "--", "sh", "-c",
         f"echo $$ > {shlex.quote(fifo)}; exec sleep 100000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with open(fifo, encoding="ascii") as f:
        pid = int(f.readline())
    child.terminate()
    _, said = child.communicate(timeout=t.LIMIT)
    t.equal((child.returncode, b"interrupted" in said), (143, True), said)
    # killed it is at once, gone when its turn comes
    until("the end of the command", lambda: not runs(pid))
    t.equal(items(STORE), {b"k%d" % i: b"v" for i in range(4)}, "whole")


def full():
    """No room for the results: the map says so, and the store is whole."""
    found = {b"k%d" % i: b"v" for i in range(50)}
    fresh(found)
    room = os.path.getsize(STORE) + (2 << 20)
    # Python ignores SIGXFSZ, and so does what it starts here
    done = subprocess.run(
        [t.BLT, "map", STORE, "--", "head", "-c", "100000", "/dev/zero"],
        capture_output=True, timeout=t.LIMIT, restore_signals=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                              (room, room)))
    t.equal(done.returncode in (t.DATAERR, t.IOERR), True, done.returncode)
    t.equal(b"cannot be written" in done.stderr, True, done.stderr)
    t.ok("check", "-q", STORE)
    for key, value in items(STORE).items():
        t.equal(value in (b"v", bytes(100000)), True, key)
        found.pop(key)
    t.equal(found, {}, "keys that are lost")


def build(name, source):
    built = os.path.join(work, name)
    # built as the sanitizers have it, it would need their libraries
    subprocess.run([*shlex.split(os.environ.get("CC", "cc")), "-shared",
                    "-fPIC", "-Wall", "-Wextra", "-Werror",
                    "-I" + os.path.join(t.TOP, "src"), "-o", built,
                    source], check=True)
    return built


DEADLY = """
#include <blt_map.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

int blt_map_fn(const struct blt_map_item *item, const struct blt_map_out *out)
{
	const char *value = item->value;

	if (item->value_len && value[0] == 'k')
		kill(getpid(), SIGKILL);
	while (item->value_len && value[0] == 'h')
		pause();
	if (item->value_len && value[0] == 'f')
		return out->fail(out, "as asked");
	return out->put_same(out, "done", 4);
}
"""


def deadly():
    """A shared object's answers go out many at once; yet each crash is laid
    at the right door, and nothing is lost."""
    source = os.path.join(work, "deadly.c")
    with open(source, "w", encoding="ascii") as f:
        f.write(DEADLY)
    built = build("deadly.so", source)
    kinds = {7: b"kill", 90: b"kill", 91: b"kill", 150: b"fail", 200: b"hang",
             1999: b"kill"}
    want = {b"%d" % i: kinds.get(i, b"v") for i in range(2000)}
    fresh(want)
    got, failed = counts("--timeout", "3", "-s", built, exit_code=SOFTWARE)
    t.equal(got, (2000, 1994, 0, 6), "many answers at once")
    t.equal({k: why.split(":")[0] for k, why in failed.items()},
            {"7": "its process died of signal 9 (Killed)",
             "90": "its process died of signal 9 (Killed)",
             "91": "its process died of signal 9 (Killed)",
             "1999": "its process died of signal 9 (Killed)",
             "150": "as asked", "200": "it took longer than 3 seconds"}, "why")
    t.equal(items(STORE), {k: v if k.decode() in failed else b"done"
                           for k, v in want.items()}, "the others")


def shared():
    built = build("map_words.so", os.path.join(EXAMPLES, "map_words.c"))
    fresh({b"a": b"some words are short", b"b": b"", b"c": b"nul\0"})
    got, failed = counts("-t", OTHER, "-c", "-s", built, "--", "4",
                         exit_code=SOFTWARE)
    t.equal((got, failed), ((3, 3, 1, 1),
                            {"c": "a NUL at 3: this is no text"}), "shared")
    t.equal(items(OTHER), {b"a/some": b"some", b"a/words": b"words",
                           b"a/short": b"short"}, "words")
    done = t.run("map", STORE, "-s", built, "--", "4", "5")
    t.equal((done.returncode, b"blt_map_init" in done.stderr),
            (t.USAGE, True), done.stderr)


totals()
results()
hostile()
left_behind()
interrupted()
full()
shared()
deadly()
