"""For crash/disk.py: programs, and the stores that it cuts the power under, a
class for each engine:

    layouts     how such a store may lie in a directory
    jobs        on a mounted one: for "blt", in turn; what each promises
    one_back    whether a cut takes back the last commit at the most
    create()    it is there, at path
    rest()      waits for what the mount does when nothing is done
    look(rng)   why what was left by a cut is wrong, or None, and what is in
                it: {key: hash_of(value)}
"""

import hashlib
import os
import subprocess
import sys

import checker
from daemonlib import until

BLT = os.environ["BLT"]


# ---- programs ----

def skip(reason):
    print(reason)
    sys.exit(77)


def fail(text):
    print(text, file=sys.stderr)
    sys.exit(1)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    if done.returncode:
        fail(f"{' '.join(command)}: exit {done.returncode}: {done.stdout}"
             f"{done.stderr}")
    return done.stdout


def complaint(*args):
    """Of blt, None if it has none."""
    done = subprocess.run([BLT, *args], capture_output=True, text=True,
                          errors="replace", stdin=subprocess.DEVNULL)
    if done.returncode:
        return (f"blt {' '.join(args)}: exit {done.returncode}: {done.stdout}"
                f"{done.stderr}")
    return None


# ---- what is in a store ----

def hash_of(data):
    return hashlib.blake2b(data, digest_size=16).digest()


def digest(items):
    h = hashlib.blake2b(digest_size=16)
    for key in sorted(items):
        h.update(b"%d %s" % (len(key), key) + items[key])
    return h.digest()


# ---- the engines ----

class Booklet:
    layouts = "file",
    jobs = [(["prune"], False)] + [(["reindex", f"--buckets={n}"], False)
                                   for n in (5, 23, 211)]
    one_back = False

    def __init__(self, where, _):
        self.path = os.path.join(where, "kv.blt")

    def create(self):
        # few buckets, so that the index grows
        run(BLT, "create", "-b", "31", self.path)

    def version(self):
        with open(self.path, "rb") as f:
            f.seek(16)
            return int.from_bytes(f.read(2), "little")

    def rest(self):
        until("the store at rest", lambda: self.version() != 0)

    def look(self, _):
        for command in "check", "recover":
            why = complaint(command, self.path)
            if why:
                return why, None
        with open(self.path, "rb") as f:
            found = checker.Store(f.read())
        if found.faults:
            return f"the checker: {found.faults[:5]}", None
        return None, {b.key: hash_of(b.value) for b in found.items().values()}


class Lmdb:
    """Each operation is a transaction.  A commit waits for the pages, and for
    what the commit before it left to the kernel: that one survives."""

    layouts = "file", "directory"
    jobs = [(["prune"], True)]
    one_back = True
    PROBE = b"put in after the cut"

    def __init__(self, where, layout):
        self.is_dir = layout == "directory"
        self.path = os.path.join(where, "kv" if self.is_dir else "kv.mdb")
        self.lock = os.path.join(self.path, "lock.mdb") if self.is_dir else (
            self.path + "-lock")

    def create(self):
        if self.is_dir:
            os.mkdir(self.path)
        run(BLT, "create", "--engine", "lmdb", self.path)

    def rest(self):
        pass

    def spoil_lock(self, rng):
        """Nobody ever made LMDB's lock file durable: it is what it is, or
        lost, or cut short, or has other bytes in it."""
        how = rng.choice(("as it is", "lost", "short", "other"))
        if how == "as it is":
            return
        with open(self.lock, "ab") as f:
            size = f.tell() or 8192
        at = rng.choice((0, rng.randrange(size)))
        with open(self.lock, "r+b") as f:
            f.seek(at)
            if how == "other":
                f.write(rng.randbytes(rng.randint(1, size - at)))
            else:
                f.truncate()
        if how == "lost":
            os.unlink(self.lock)

    def content(self):
        """As python3-lmdb reads it, beside LMDB's locks."""
        with lmdb.open(self.path, subdir=self.is_dir, readonly=True,
                       lock=False) as env, env.begin() as txn:
            return {key: hash_of(value) for key, value in txn.cursor()}

    def dumped(self):
        lines = (line.split() for line in run(BLT, "dump",
                                              self.path).splitlines())
        return {bytes.fromhex(key): hash_of(bytes.fromhex(value.strip("-")))
                for key, value, _ in lines}

    def differs(self, items):
        if self.content() != items:
            return "python3-lmdb reads something else"
        if self.dumped() != items:
            return "blt dump reads something else"
        return complaint("check", self.path)

    def go_on(self, items):
        """It takes a change, in pages that count nowhere, and a prune."""
        with open(__file__, "rb") as f:
            more = items | {self.PROBE: hash_of(f.read())}
        probe = self.PROBE.decode()
        for args, want in ((["put", self.path, probe, __file__], more),
                           (["prune", self.path], more),
                           (["del", self.path, probe], items)):
            why = complaint(*args) or self.differs(want)
            if why:
                return f"after blt {args[0]}: {why}"
        return None

    def look(self, rng):
        self.spoil_lock(rng)
        why = complaint("check", self.path)
        if why:
            return why, None
        items = self.content()
        return self.differs(items) or self.go_on(items), items


ENGINE = {"booklet": Booklet,
          "lmdb": Lmdb}[os.environ.get("BLT_ENGINE", "booklet")]

if ENGINE is Lmdb:
    from lmdblib import lmdb
