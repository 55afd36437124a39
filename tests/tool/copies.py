#!/usr/bin/env python3
"""blt copy: every vector, conversions, and what it refuses."""

import os
import re
import stat
import struct

import checker
import toollib as t

work = t.directory()
new = os.path.join(work, "new.blt")


def header(path):
    with open(path, "rb") as f:
        head = f.read(200)
    return {
        "fixed": head[0] == 0x04,
        "version": struct.unpack_from("<H", head, 16)[0],
        "buckets": struct.unpack_from("<I", head, 21)[0],
        "serializers": head[29:33],
        "n_keys": struct.unpack_from("<I", head, 33)[0],
        "value_len": struct.unpack_from("<I", head, 37)[0],
        "timestamps": head[41],
        "identity": head[42:65],
    }


def copied(*args):
    """Copies; the header of a copy that the checker has nothing against."""
    if os.path.exists(new):
        os.unlink(new)
    t.ok("copy", "-q", *args, new)
    t.equal(checker.check(new), [], f"faults of a copy: {args}")
    t.equal(os.listdir(work).count("new.blt"), 1, "the copy")
    return header(new)


def lines(path):
    """The lines of a dump, with hidden entries."""
    return t.ok("dump", "--hidden", path).splitlines()


def without_times(path):
    return [line.rsplit(b" ", 1)[0] for line in lines(path)]


def check_vector(name):
    source = t.vector(name + ".blt")
    was, want = header(source), lines(source)
    keys = sum(not line.startswith(b"@") for line in want)
    fitting = next(size for size in (12007, 144013) if size > keys)
    for args, buckets in (((), fitting), (("-b", "7"), 7)):
        now = copied(source, *args)
        t.equal(lines(new), want, f"{name} {args}")
        t.equal((now["buckets"], now["n_keys"], now["version"]),
                (buckets, keys, 5), f"{name} {args}")
        for field in ("fixed", "serializers", "value_len", "identity"):
            t.equal(now[field], was[field], f"{field} of {name}")
    t.equal(os.path.getsize(new) <= 200 + 7 * 6 + os.path.getsize(source),
            True, f"{name} is compact")
    if was["fixed"]:
        check_from_fixed(source, was)
    elif was["timestamps"]:
        now = copied(source, "--no-timestamps")
        t.equal((now["timestamps"], without_times(new)),
                (0, without_times(source)), f"{name} without times")


def check_from_fixed(source, was):
    now = copied(source, "--value-len", "0")
    t.equal((now["fixed"], now["timestamps"], lines(new)),
            (False, 0, lines(source)), f"{source} of any length")
    now = copied(source, "--value-len", "0", "--timestamps")
    t.equal((now["timestamps"], without_times(new)),
            (1, without_times(source)), f"{source} with times")
    times = {line.rsplit(b" ", 1)[1] for line in lines(new)}
    t.equal(len(times) <= 1 and b"-" not in times, True, f"times {times}")
    loose = os.path.join(work, "loose.blt")
    os.rename(new, loose)
    now = copied(loose, "--value-len", str(was["value_len"]))
    t.equal((now["fixed"], lines(new)), (True, lines(source)),
            f"{source} there and back")
    t.refused(t.USAGE, "--timestamps", args=["copy", "--timestamps", source,
                                             new + "2"])


def check_refusals():
    source = os.path.join(work, "source.blt")
    before = sorted(os.listdir(work)) + ["source.blt"]
    t.ok("create", source)
    t.ok("put", source, "good", stdin=b"1234")
    t.ok("put", source, "bad/k\u00e9y", stdin=b"12345")
    if os.path.exists(new):
        os.unlink(new)
        before.remove("new.blt")
    t.refused(t.DATAERR, "bad/k\\xc3\\xa9y", "5 bytes", "have 4",
              args=["copy", "-l", "4", source, new])
    t.refused(t.USAGE, "one of the two",
              args=["copy", "-t", "-T", source, new])
    t.refused(t.USAGE, "--key-serializer: is for a booklet store that is made",
              args=["copy", "-k", "bytes", source, new])
    t.refused(t.NOINPUT, "none.blt", args=["copy", work + "/none.blt", new])
    t.refused(t.CANTCREAT, "no/such/dir",
              args=["copy", source, work + "/no/such/dir"])
    t.refused(t.CANTCREAT, "the store itself",
              args=["copy", "--force", source, source])
    t.refused(t.DATAERR, "booklet", args=["copy", __file__, new])
    t.equal(sorted(os.listdir(work)), sorted(before), "left behind")
    said = t.ok("copy", source, new).decode()
    t.equal(bool(re.match(r"2 keys, .* instead of ", said)), True, said)
    t.refused(t.CANTCREAT, "exists", "--force", args=["copy", source, new])
    t.ok("del", source, "good")
    t.ok("copy", "-qf", source, new)
    t.equal(lines(new), lines(source), "replaced")
    t.equal(stat.S_IMODE(os.stat(new).st_mode), 0o600, "mode")
    metadata = t.vector("metadata.blt")
    t.refused(t.DATAERR, "metadata", args=["copy", "-l", "4", metadata,
                                           new + "2"])


def check_cut_short():
    """A source that ends in the middle of a block."""
    source = os.path.join(work, "short.blt")
    with open(t.vector("small.blt"), "rb") as f:
        whole = f.read()
    with open(source, "wb") as f:
        f.write(whole[:-1])
    t.refused(t.DATAERR, source, args=["copy", source, new + "2"])
    t.equal(os.path.exists(new + "2"), False, "no half copy")


for vector in t.names():
    check_vector(vector)
check_refusals()
check_cut_short()
