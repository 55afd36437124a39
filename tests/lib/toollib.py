"""What the tests of blt share: a private directory, and running blt.

BLT_ENGINE says which kind of store a new one is: what a test asks of the other
kind alone it asks where BOOKLET is set."""

import atexit
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

import checker
from places import BLT, LIB, TOP, VECTORS

ENGINE = os.environ.get("BLT_ENGINE", "booklet")
BOOKLET = ENGINE == "booklet"
LIMIT = 120  # seconds; only a hang comes near it

# What the other engines do not do, and why not.
LACKS = {
    "lmdb": {
        "times": "an item has no time: what is shown is the environment's",
        "fixed": "values are of any length",
        "index": "there are no buckets: nothing grows, is reindexed or drawn",
        "header": "there is none; tool/lmdb-engine.py has what is said instead",
        "lock": "others may write to it while it is mounted",
        "trim": "LMDB uses the room of what is gone again",
    },
    "postgresql": {
        "fixed": "values are of any length",
        "index": "there are no buckets: nothing grows, is reindexed or drawn",
        "header": "there is none; tool/postgres.py has what is said instead",
        "lock": "others may write to it while it is mounted",
        "trim": "the server uses the room of what is gone again",
    },
}

USAGE, DATAERR, NOINPUT, UNAVAILABLE = 64, 65, 66, 69
CANTCREAT, IOERR, TEMPFAIL, NOPERM = 73, 74, 75, 77
NOT_FOUND = 1

# Whoever runs this may have told us to ignore it, as a shell does its background
# jobs; what we start is to be interrupted by it.
signal.signal(signal.SIGINT, signal.default_int_handler)

ALARMS = (b"Sanitizer", b"runtime error", b"Assertion", b"valgrind")


def can(what):
    """Whether the engine does; that it is left out is said."""
    why = LACKS.get(ENGINE, {}).get(what)
    if not why:
        return True
    print(f"left out: {what}: {why}", file=sys.stderr)
    return False


def directory():
    path = tempfile.mkdtemp(prefix="blt-test.")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    os.environ["TMPDIR"] = path
    return path


def new_store(where, name, engine=ENGINE):
    """A path in a directory of the test's, or a URL that nobody else has."""
    if engine != "postgresql":
        return os.path.join(where, name)
    url = os.environ["BLT_TEST_POSTGRES"]
    join = "&" if "?" in url else "?"
    return f"{url}{join}store={os.path.basename(where)}-{name}"


def without_booklet(args):
    """What blt create is told, but for options that are for booklet stores."""
    left = iter(args)
    for arg in left:
        if arg in ("-b", "--buckets", "-k", "--key-serializer"):
            next(left)
        else:
            yield arg


def run(*args, stdin=b"", **options):
    """Runs blt; stdin is bytes or a file.  Never lets a crash pass."""
    source = ({"input": stdin} if isinstance(stdin, bytes)
              else {"stdin": stdin})
    if args[:1] == ("create",) and not BOOKLET:
        args = ("create", "--engine", ENGINE, *without_booklet(args[1:]))
    done = subprocess.run([BLT, *args], capture_output=True, timeout=LIMIT,
                          **source, **options)
    for alarm in ALARMS:
        if alarm in done.stderr:
            fail(f"blt {args}: {done.stderr.decode(errors='replace')}")
    if done.returncode < 0:
        fail(f"blt {args}: died of signal {-done.returncode}")
    return done


# How far a job of more than a second is, where stderr is a pipe.
TENTH = re.compile(rb"blt \w+: \d0 %, \d+ keys\n")


def ok(*args, **options):
    """Runs blt, which must succeed and say nothing else than how far it is; its
    output."""
    done = run(*args, **options)
    if done.returncode or TENTH.sub(b"", done.stderr):
        fail(f"blt {args}: exit {done.returncode}, {done.stderr}")
    return done.stdout


def refused(code, *texts, args, **options):
    """Runs blt, which must exit with code and say each of texts in a line
    that begins as all messages do."""
    done = run(*args, **options)
    said = done.stderr.decode(errors="surrogateescape")
    if done.returncode != code:
        fail(f"blt {args}: exit {done.returncode}, not {code}: {said}")
    lines = said.splitlines()
    if not lines or not all(line.startswith("blt") for line in lines):
        fail(f"blt {args}: not our style: {said!r}")
    for text in texts:
        if text not in said:
            fail(f"blt {args}: {text!r} is missing in {said!r}")
    return done


def load(path, found):
    """Puts {key: value} into a store."""
    ok("load", "-q", path, stdin=b"".join(
        b"%s %s -\n" % (k.hex().encode() or b"-", v.hex().encode() or b"-")
        for k, v in found.items()))


def fresh(path, found, *options):
    """A new store of these items, whatever was there."""
    if os.path.exists(path):
        os.unlink(path)
    ok("create", path, *options)
    load(path, found)


def items(path):
    """{key: value} of a store."""
    found = {}
    for line in ok("dump", path).splitlines():
        key, value, _ = line.split()
        found[bytes.fromhex(key.decode().strip("-"))] = (
            bytes.fromhex(value.decode().strip("-")))
    return found


def faults(path):
    """What is wrong with a store: by the checker that knows nothing of the
    engine, or by LMDB."""
    if BOOKLET:
        return checker.check(path)
    return json.loads(ok("check", "--json", path))["found"]


def mapped(*args, exit_code=0, **options):
    """Runs a map with --json; (processed, written, skipped, errors) and what
    failed."""
    done = run("map", "--json", *args, **options)
    equal(done.returncode, exit_code, f"map {args}: {done.stderr}")
    said = json.loads(done.stdout)
    equal(said["seconds"] >= 0, True, "seconds")
    return (tuple(said[name] for name in ("processed", "written", "skipped",
                                          "errors")),
            {f["key"]: f["error"] for f in said["failed"]})


def counted(*args, exit_code=0, **options):
    """Runs import, export or load with --json; (state, items, bytes, kept,
    failed)."""
    done = run(args[0], "--json", *args[1:], **options)
    equal(done.returncode, exit_code, f"{args}: {done.stderr}")
    said = json.loads(done.stdout)
    equal(said.pop("kind"), args[0], "kind")
    return tuple(said.values())


class Screen:
    """A terminal for standard error, read by a thread of its own."""

    def __init__(self):
        self.ours, self.theirs = pty.openpty()
        self.seen = b""
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            while True:
                self.seen += os.read(self.ours, 65536)
        except OSError:
            pass  # nobody holds the other end

    def end(self):
        os.close(self.theirs)
        self.thread.join(LIMIT)
        os.close(self.ours)
        return self.seen.decode()


def vector(name):
    return os.path.join(VECTORS, name)


def expected(name):
    """The item lines that a vector must dump as."""
    with open(vector(name + ".expect"), "rb") as f:
        return [line for line in f.read().splitlines(True)
                if not line.startswith(b"# ")]


def names():
    found = sorted(name[:-4] for name in os.listdir(VECTORS)
                   if name.endswith(".blt"))
    equal(len(found) >= 28, True, "vectors found")
    return found


def equal(have, want, what):
    if have != want:
        fail(f"{what}: {str(have)[:2000]!r}, expected {str(want)[:2000]!r}")


def fail(text):
    print(text, file=sys.stderr)
    sys.exit(1)
