#!/usr/bin/env python3
"""blt create: a store has its name when it is whole, and what --force replaces
is there until then."""

import fcntl
import os
import resource
import signal
import subprocess
import time

import toollib as t

HUGE = "4294967295"  # 24 GiB of index
MOST = 64 << 20      # which get no further than this
work = t.directory()
os.chdir(work)


def limited():
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST, MOST))


def check_full():
    for args in ["new.blt"], ["-f", "old.blt"]:
        done = t.refused(t.IOERR, args[-1] + ": cannot make the store: No "
                         "space left on device",
                         args=["create", "-b", HUGE, *args],
                         preexec_fn=limited)
        t.equal(done.stdout, b"", "nothing on stdout")
        t.equal(os.listdir(), ["old.blt"], "what is left")


def stop(sig, *args):
    """Stops it as soon as something is there, if it has not failed by then."""
    with subprocess.Popen([t.BLT, "create", "-b", HUGE, *args],
                          preexec_fn=limited, stderr=subprocess.PIPE) as p:
        while p.poll() is None and os.listdir() == ["old.blt"]:
            time.sleep(0.002)
        p.send_signal(sig)
        said = p.stderr.read()
        t.equal(p.wait(t.LIMIT) in (128 + sig, t.IOERR), True, said)
    t.equal(os.listdir(), ["old.blt"], f"what is left: {said}")


def check_replace():
    os.chmod("old.blt", 0o640)
    os.symlink("old.blt", "link")
    t.refused(t.CANTCREAT, "link: exists already", args=["create", "link"])
    with open("old.blt", "rb") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        t.refused(t.TEMPFAIL, "link: is in use by ", "(--lock-timeout)",
                  args=["create", "-f", "--lock-timeout", "0", "link"])
    t.equal(t.ok("get", "link", "key"), b"value", "as it was")
    t.ok("create", "-f", "link")
    t.equal((os.readlink("link"), os.stat("old.blt").st_mode & 0o777),
            ("old.blt", 0o640), "link and modes stay")
    t.equal(t.ok("dump", "old.blt"), b"", "a new store")
    with open("garbage", "wb") as f:
        f.write(b"no store")
    t.ok("create", "-f", "garbage")
    t.equal(t.ok("dump", "garbage"), b"", "of any file")


t.ok("create", "old.blt")
t.ok("put", "old.blt", "key", stdin=b"value")
check_full()
for one in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
    stop(one, "new.blt")
    stop(one, "-f", "old.blt")
t.equal(t.ok("get", "old.blt", "key"), b"value", "what was to be replaced")
check_replace()
