#!/usr/bin/env python3
"""What is no store, a damaged one, or one that may not be opened, is refused
in words, with an exit code, and never by a crash or a hang."""

import fcntl
import os
import random
import shutil
import subprocess

import toollib as t
from daemonlib import until

FEW = (os.environ.get("SANITIZERS", "no") != "no" or
       "TEST_FEW" in os.environ)
READERS = (["info", "--count"], ["dump"], ["ls", "-l"], ["get"], ["stat"],
           ["slot"])
NOBODY = 65534


def command(words, path):
    after = {"get": ["key001"], "stat": ["key001"], "slot": ["get", "metadata"],
             "del": ["key001"], "put": ["key001"]}
    return [*words, path, *after.get(words[0], [])]


def check_refusals(dir_):
    """A row: what it is, how it is made, exit code, words."""
    def write(path, data):
        with open(path, "wb") as f:
            f.write(data)

    rows = (
        ("missing", lambda p: None, (t.NOINPUT,), "no such"),
        ("directory", os.mkdir, (t.NOINPUT, t.DATAERR), ""),
        ("empty", lambda p: write(p, b""), (t.DATAERR,), ""),
        ("short", lambda p: write(p, bytes(199)), (t.DATAERR,), ""),
        ("zeros", lambda p: write(p, bytes(100000)), (t.DATAERR,), ""),
        ("text", lambda p: write(p, b"hello\n" * 100), (t.DATAERR,), ""),
        ("fifo", os.mkfifo, (t.NOINPUT, t.DATAERR), ""),
        ("device", lambda p: os.symlink("/dev/null", p),
         (t.NOINPUT, t.DATAERR), ""),
        ("nowhere", lambda p: os.symlink("/nonexistent/x", p), (t.NOINPUT,),
         ""),
    )
    for name, make, codes, words in rows:
        path = os.path.join(dir_, name)
        make(path)
        for args in (*READERS, ["put"], ["del"], ["load"], ["reindex"]):
            done = t.run(*command(args, path))
            said = done.stderr.decode(errors="replace")
            if (done.returncode not in codes or path not in said or
                    words not in said.lower() or
                    not said.startswith(f"blt {args[0]}: ")):
                t.fail(f"{args} of {name}: exit {done.returncode}: {said}")


def check_closed(dir_):
    """What cannot be printed is not written into the store."""
    path = os.path.join(dir_, "standard.blt")
    shutil.copy(t.vector("small.blt"), path)
    os.chmod(path, 0o644)
    with open(path, "rb") as f:
        before = f.read()
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        for words in ("del $0 nosuch", "put $0 ../no", "load $0", "ls $0"):
            subprocess.run(["sh", "-c", f'"$BLT" {words} {closed}', path],
                           env={**os.environ, "BLT": t.BLT}, check=False,
                           capture_output=True, timeout=t.LIMIT,
                           input=b"no line\n")
            with open(path, "rb") as f:
                t.equal(f.read() == before, True, f"{words} {closed}")


def check_permission(dir_):
    path = os.path.join(dir_, "closed.blt")
    shutil.copy(t.vector("small.blt"), path)
    os.chmod(path, 0)
    options = {}
    if os.geteuid() == 0:
        os.chmod(dir_, 0o755)
        options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    try:
        subprocess.run([t.BLT, "--version"], check=True, capture_output=True,
                       **options)
    except (OSError, subprocess.SubprocessError) as why:
        print(f"permissions are not tested: {why}")
        return
    t.refused(t.NOPERM, path, args=["get", path, "key001"], **options)
    os.chmod(path, 0o444)
    t.ok("get", path, "key001", **options)
    t.refused(t.NOPERM, path, args=["put", path, "key001"], **options)
    closed = os.path.join(dir_, "closed")
    os.mkdir(closed, 0o555)
    t.refused(t.NOPERM, closed, args=["create", closed + "/new.blt"], **options)


def check_lock(dir_):
    path = os.path.join(dir_, "locked.blt")
    shutil.copy(t.vector("small.blt"), path)
    os.chmod(path, 0o644)
    with open(path, "r+b") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        for args in (["get"], ["put"], ["dump"], ["info"]):
            t.refused(t.TEMPFAIL, path, args=[
                args[0], "--lock-timeout", "0", *command(args, path)[1:]])
        said = t.refused(t.TEMPFAIL, path, args=[
            "get", "--lock-timeout=0.05", path, "key001"]).stderr.decode()
        t.equal(str(os.getpid()) in said, True, f"the holder in {said!r}")
        t.refused(t.TEMPFAIL, path, args=["create", "--force",
                                          "--lock-timeout", "0", path])
        with subprocess.Popen([t.BLT, "get", "--lock-timeout", "forever",
                               path, "key001"],
                              stdout=subprocess.PIPE) as waiting:
            until("the wait for the lock", lambda: is_waiting(
                f, waiting.pid) or waiting.poll() is not None)
            fcntl.flock(f, fcntl.LOCK_UN)
            t.equal(waiting.communicate(timeout=t.LIMIT)[0] != b"", True,
                    "get after the lock")
            t.equal(waiting.returncode, 0, "get after the lock")
        fcntl.flock(f, fcntl.LOCK_SH)
        t.ok("get", "--lock-timeout", "0", path, "key001")
        t.refused(t.TEMPFAIL, path, args=["put", "--lock-timeout", "0", path,
                                          "key001"])


def is_waiting(f, pid):
    """Has the file open, so that it will meet the lock next."""
    try:
        return any(os.path.samestat(os.stat(f"/proc/{pid}/fd/{n}"),
                                    os.fstat(f.fileno()))
                   for n in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False


def damage(data, path):
    with open(path, "wb") as f:
        f.write(data)
    for args in READERS:
        done = t.run(*command(args, path))
        said = done.stderr.decode(errors="replace")
        if done.returncode not in (0, t.NOT_FOUND, t.DATAERR):
            t.fail(f"{args}: exit {done.returncode}: {said}")
        if done.returncode == t.DATAERR and path not in said:
            t.fail(f"{args}: the file is not named: {said}")


def damage_and_write(data, path):
    """Writing into a damaged file fails in words, or works."""
    for args in (["put"], ["del"], ["reindex"]):
        with open(path, "wb") as f:
            f.write(data)
        done = t.run(*command(args, path), stdin=b"x")
        if done.returncode not in (0, t.NOT_FOUND, t.DATAERR, t.IOERR):
            t.fail(f"{args}: exit {done.returncode}: {done.stderr}")


def check_damage(dir_, name, dice):
    path = os.path.join(dir_, "damaged.blt")
    with open(t.vector(name + ".blt"), "rb") as f:
        whole = f.read()
    cuts = {0, 1, 16, 77, 199, 200, 201, 205, len(whole) // 2, len(whole) - 1}
    cuts |= {dice.randrange(len(whole)) for _ in range(4)}
    for at in sorted(cuts):
        damage(whole[:at], path)
    flips = 8 if FEW else 40
    places = [dice.randrange(77) for _ in range(flips)]
    places += [dice.randrange(len(whole)) for _ in range(flips)]
    for at in places:
        flipped = bytearray(whole)
        flipped[at] ^= 1 << dice.randrange(8)
        damage(flipped, path)
        damage_and_write(flipped, path)


def main():
    work = t.directory()
    check_refusals(work)
    check_closed(work)
    check_permission(work)
    check_lock(work)
    dice = random.Random(4)
    for name in ("chains", "fixed-pruned", "pruned-meta", "names",
                 "intkeys-uint4"):
        check_damage(work, name, dice)


main()
