#!/usr/bin/env python3
"""blt load: bad lines, long lines, and an end at any moment."""

import os
import random
import signal
import subprocess

import toollib as t

work = t.directory()


def fresh(name, *args):
    path = os.path.join(work, name)
    t.ok("create", "--force", *args, path)
    return path


def timed(line):
    """As it is dumped: with its time, where times are kept."""
    return line if t.BOOKLET else line.rsplit(b" ", 1)[0] + b" -"


def check_bad_lines():
    good = b"# a comment\n\n61 62 1700000000000000\n6e - -\n"
    rows = (
        (b"6 62 -\n", "key is not hex"),
        (b"6g 62 -\n", "key is not hex"),
        (b"63 6 -\n", "value is not hex"),
        (b"63 6x -\n", "value is not hex"),
        (b"63 -- -\n", "value is not hex"),
        (b"63 -62 -\n", "value is not hex"),
        (b"63\n", "there is no value"),
        (b"63", "there is no value"),
        (b"63 62\n", "there is no timestamp"),
        (b"63 62", "there is no timestamp"),
        (b"63 62 170000", "the input ends within the line"),
        (b"63 62 - \n", "timestamp must end"),
        (b"63 62 - 5\n", "timestamp must end"),
        (b"63 62 -5\n", "timestamp is not"),
        (b"63 62 12x\n", "timestamp is not"),
        (b"63 62 99999999999999999999\n", "timestamp is not"),
        (b"63 62 %d\n" % (1 << 56), "timestamp is not"),
        (b"63 62 " + b"1" * 200000 + b"\n", "timestamp"),
        (b" 63 62 -\n", "begins with a blank"),
        (b"63  62 -\n", "there is no value"),
        (b"63\x0062 5 -\n", "hex"),
        (b"63 6\x00 5\n", "hex"),
        (b"61" * 65536 + b" 62 -\n", "longer than 65535"),
        (b"@nothing 62 -\n", "hidden entry"),
        (b"ff 62 -\n", "could not load") if t.BOOKLET else
        (b"- 62 -\n", "cannot be a key"),
        (b"@metadata 62 -\n", "metadata must be a JSON document"
         if t.BOOKLET else "nor has one of LMDB"),
    )
    for line, words in rows:
        more = ["; expected is: key and value as hex digits"]
        if words in ("could not load", "cannot be a key"):
            more = []  # the line is well
        path = fresh("bad.blt")
        done = t.refused(t.DATAERR, "line 5", words, "2 keys were loaded",
                         *more,
                         args=["load", path], stdin=good + line + b"64 65 -\n"
                         if line.endswith(b"\n") else good + line)
        lines = t.ok("dump", path).splitlines()
        t.equal((len(lines), lines[0]), (2, timed(b"61 62 1700000000000000")),
                f"loaded in front of {line[:20]}: {done.stderr}")
        t.equal(t.faults(path), [], f"faults after {line[:20]}")


def check_good_lines():
    path = fresh("good.blt")
    key, value = b"k" * (65535 if t.BOOKLET else 511), random.Random(2).randbytes(3 << 20)
    text = (b"#" * 300000 + b"\n" + b"# no blank\n#\n" +
            b"6B 6C 5\n" + f"{key.hex()} {value.hex()} 7\n".encode() +
            b"6d - 8\n" + b"6b 6c6c 9")
    t.refused(t.DATAERR, "line 7", args=["load", path], stdin=text)
    source = os.path.join(work, "lines")
    with open(source, "wb") as f:
        f.write(text + b"\n")
    t.ok("load", path, source)
    t.equal(t.ok("get", "--raw", path, key) == value, True, "a long line")
    t.equal(t.ok("get", path, "k"), b"ll", "the later line counts")
    t.equal(timed(b"6d - 8") + b"\n" in t.ok("dump", path), True, "empty value")
    t.ok("load", path, os.devnull)
    t.refused(t.NOINPUT, "none", args=["load", path, work + "/none"])
    t.refused(t.NOINPUT, work, args=["load", path, work])


def check_counts():
    path = fresh("counts.blt")
    lines = b"# two\n61 6262 -\n63 - -\n"
    if t.BOOKLET:
        lines += b"@metadata 7b7d -\n"
    t.equal(t.counted("load", path, stdin=lines), ("done", 2, 2, 0, 0),
            "counts")
    t.equal(t.counted("load", path, exit_code=t.DATAERR, stdin=lines + b"x"),
            ("stopped", 2, 2, 0, 0), "counts up to a bad line")


def check_last_time():
    """The last time that a block holds, which import gives to later files."""
    path = fresh("last.blt", "-k", "bytes")
    line = b"61 62 %d" % ((1 << 56) - 1)
    t.ok("load", path, stdin=line + b"\n")
    t.equal(t.ok("dump", path), timed(line) + b"\n", "the last time")


def check_interrupt():
    """All lines that were taken are there, in order, and no other."""
    lines = b"".join(f"{i:08x} {i * 7919:032x} {i}\n".encode()
                     for i in range(0x20000000, 0x20000000 + 30000))
    for sig in (signal.SIGINT, signal.SIGTERM):
        path = fresh("stopped.blt", "-b", "40009", "-k", "bytes")
        with subprocess.Popen([t.BLT, "load", path], stdin=subprocess.PIPE,
                              stderr=subprocess.PIPE) as load:
            # Returns when all but a pipe's and a buffer's content is taken.
            load.stdin.write(lines)
            load.stdin.flush()
            load.send_signal(sig)
            said = load.stderr.read()
            load.stdin.close()
            t.equal(load.wait(t.LIMIT), 128 + sig, f"exit after {sig}")
        t.equal(b"interrupted" in said, True, said)
        t.equal(t.faults(path), [], f"faults after {sig}")
        kept = t.ok("dump", path)
        want = b"".join(timed(line) + b"\n" for line in lines.splitlines())
        t.equal(len(kept) > 0 and want.startswith(kept), True,
                f"{len(kept)} bytes kept")
        count = str(kept.count(b"\n")).encode()
        t.equal(b" " + count + b" keys" in said, True, said)


check_bad_lines()
check_good_lines()
check_counts()
check_last_time()
check_interrupt()
