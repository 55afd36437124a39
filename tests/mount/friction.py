#!/usr/bin/env python3
"""What a newcomer stumbled over with mounts: a store in use says where, a mount
point that is missing, blt mount, messages as JSON, jobs on a narrow terminal."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios

import controllib
import toollib as t
from controllib import BLT, BLTFS, Mount, until

work = controllib.directory()
store = os.path.join(work, "kv.blt")
TEMPFAIL = t.TEMPFAIL


def bltfs(*args, **options):
    return subprocess.run([BLTFS, *args], capture_output=True, timeout=t.LIMIT,
                          check=False, **options)


def check_in_use(m):
    """Where, and by which process, at once; and that it waits."""
    words = (f"{store}: is mounted on {m.path}, by bltfs "
             f"(pid {m.daemon.pid})")
    t.refused(TEMPFAIL, f"{words}; waiting up to 0.3 s until it is free "
              "(--lock-timeout)", "(waited 0.3 s for its lock)",
              args=["ls", "--lock-timeout", "0.3", store])
    done = t.refused(TEMPFAIL, "is in use by bltfs",
                     args=["ls", "--lock-timeout", "0", store])
    t.equal(b"waiting" in done.stderr, False, "it does not wait")
    # the wait is over when the mount is
    with subprocess.Popen([BLT, "ls", "--lock-timeout", "forever", store],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        t.equal(p.stderr.readline().decode(), f"blt ls: {words}; waiting until "
                "it is free (--lock-timeout)\n", "for ever")
        subprocess.run([BLT, "umount", m.path], check=True)
        out, _ = p.communicate(timeout=t.LIMIT)
    t.equal((p.returncode, out), (0, b"f\n"), "listed in the end")


def check_other_users():
    """Those who have it open and will end soon are named on a terminal only."""
    with open(store, "rb") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        done = t.refused(TEMPFAIL, "is in use by",
                         args=["ls", "--lock-timeout", "0.1", store])
        t.equal(b"waiting" in done.stderr, False, "a pipe")
        screen = t.Screen()
        subprocess.run([BLT, "ls", "--lock-timeout", "0.1", store],
                       stderr=screen.theirs, check=False)
        t.equal(f"(pid {os.getpid()}); waiting up to 0.1 s" in screen.end(),
                True, "a terminal")


def check_mounted(m):
    """Mounting what is mounted, or on what is."""
    other = os.path.join(work, "other.blt")
    t.ok("create", other)
    done = bltfs(store, m.path)
    t.equal((done.returncode, done.stderr.decode()),
            (TEMPFAIL, f"bltfs: {store}: is mounted on {m.path}, by bltfs (pid "
             f"{m.daemon.pid}) already; \"blt umount {m.path}\" unmounts it\n"),
            "the same once more")
    done = bltfs(other, m.path)
    t.equal((done.returncode, f"another store, {store}, is mounted there; give "
             "another directory" in done.stderr.decode()), (TEMPFAIL, True),
            "another store")
    elsewhere = os.path.join(work, "elsewhere")
    os.mkdir(elsewhere)
    done = bltfs(store, elsewhere, "-o", "lock_timeout=1")
    t.equal((done.returncode, done.stderr.decode().splitlines()[0]),
            (TEMPFAIL, f"bltfs: {store}: is mounted on {m.path}, by bltfs (pid "
             f"{m.daemon.pid}); waiting up to 1 s until it is free (-o "
             "lock_timeout)"), "elsewhere")
    os.rmdir(elsewhere)


def check_mkdir():
    """-o mkdir makes it, and takes it away; only its last component."""
    point = os.path.join(work, "made")
    done = bltfs(store, point)
    t.equal(b"or mount with -o mkdir" in done.stderr, True, "missing")
    done = bltfs(store, os.path.join(work, "no", "made"), "-o", "mkdir")
    t.equal((done.returncode, b"cannot make the mount point: No such file"
             in done.stderr), (t.CANTCREAT, True), "its parent is missing")
    done = bltfs(os.path.join(work, "none.blt"), point, "-o", "mkdir")
    t.equal((done.returncode, os.path.exists(point)), (t.NOINPUT, False),
            "no store")
    done = bltfs(store, point, "-o", "mkdir")
    t.equal((done.returncode, os.path.ismount(point)), (0, True), "made")
    t.ok("umount", point)
    t.equal(os.path.exists(point), False, "taken away")
    os.mkdir(point)
    t.equal(bltfs(store, point, "-o", "mkdir").returncode, 0, "there")
    t.ok("umount", point)
    os.rmdir(point)  # which it has left


def check_blt_mount():
    point = os.path.join(work, "bm")
    t.ok("mount", "-o", "ro", "-o", "mkdir,log=text", store, point)
    t.equal(os.listdir(point), ["f"], "mounted")
    try:
        os.unlink(os.path.join(point, "f"))
        t.fail("not read-only")
    except OSError:
        pass
    t.ok("umount", point)
    t.refused(t.NOINPUT, "cannot open", args=["mount", "-o", "mkdir", "none.blt", point])
    t.refused(t.UNAVAILABLE, "bltfs is not in PATH: install it",
              args=["mount", store, point], env={"PATH": ""}) \
        if not os.path.exists(os.path.join(os.path.dirname(
            os.path.realpath(BLT)), "bltfs")) else None
    found = t.ok("complete", "--", "mount", "-o", "ro,cre").decode()
    t.equal(found.split("\n")[1].split("\t")[0], "ro,create", "completed")


def check_json_log():
    """Each message is an object, on stderr and in the log file."""
    with Mount(store, "log=json", expect="^{.*}$") as m:
        path = os.path.join(m.path, "\u00e4" + "x" * 200)
        os.mkdir(path)
        job = m.tell("prune").split()[-1]
        m.ended(job)
        with open(m.control("control"), "w", encoding="ascii") as f:
            f.write("sync")
        os.rmdir(path)
    done = bltfs(os.path.join(work, 'no "such"\nstore\udcff'), work, "-o",
                 "nonempty,log=json")
    said = json.loads(done.stderr)
    t.equal((said["level"], 'no "such"\nstore\ufffd' in said["message"],
             bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
                               said["time"])), isinstance(said["pid"], int)),
            ("error", True, True, True), f"an object: {said}")
    done = bltfs(store, work, "-o", "log=xml")
    t.equal((done.returncode, b"-o log=xml: not text or json" in done.stderr),
            (t.USAGE, True), "-o log=xml")


def jobs_on(point, columns):
    """What blt jobs prints on a terminal so wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ,
                struct.pack("HHHH", 24, columns, 0, 0))
    subprocess.run([BLT, "jobs", point], stdout=theirs, check=True)
    os.close(theirs)
    said = b""
    try:
        while True:
            said += os.read(ours, 65536)
    except OSError:
        pass
    os.close(ours)
    return said.decode().replace("\r", "").splitlines()


def check_jobs(m):
    for _ in range(2):
        m.ended(m.tell("prune").split()[-1])
    plain = t.ok("jobs", m.path).decode().splitlines()
    for columns in (72, 80, 100, 132):
        lines = jobs_on(m.path, columns)
        t.equal(len(lines), 3, lines)
        for line in lines:
            t.equal(len(line) <= columns, True, f"{columns}: {line}")
        t.equal("RATE" in lines[0], columns >= 100, f"{columns} columns")
    t.equal(jobs_on(m.path, 300), plain, "a wide one")


with Mount(store, "create") as mount:
    with open(os.path.join(mount.path, "f"), "wb") as file:
        file.write(b"x")
    check_mounted(mount)
    check_jobs(mount)
with Mount(store) as mount:
    check_in_use(mount)
check_other_users()
check_mkdir()
check_blt_mount()
check_json_log()
