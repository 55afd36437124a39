#!/usr/bin/env python3
"""blt on a mount point: the daemon does the work while the mount is used, and
a copy shows a state that existed."""

import errno
import json
import os
import re
import signal
import subprocess
import sys

import controllib
import toollib as t
from controllib import Mount, check, until

work = controllib.directory()
store = os.path.join(work, "kv.blt")
ROUNDS = int(os.environ.get("COPY_ROUNDS", "4"))

# One writer: two keys, one after the other, always in this order.
WRITER = """
import sys
path, n = sys.argv[1], 0
while True:
    n += 1
    for name in ("first", "second"):
        with open(f"{path}-{name}", "w", encoding="ascii") as f:
            f.write(f"{n} " + "x" * (n % 5000))
"""


def put(m, name, data):
    path = os.path.join(m.path, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(data)


def number(text):
    return int(text.split()[0])


def is_second_round(path):
    """A file is there before it is closed, and in the store behind that: the
    first pair is whole once the second has begun."""
    try:
        with open(path, encoding="ascii") as f:
            return number(f.read()) >= 2
    except (FileNotFoundError, IndexError):
        return False


def check_pairs(copy):
    """Of each writer, the second key is as new as the first, or one behind."""
    for who in "ab":
        first = number(t.ok("get", copy, f"pairs/{who}-first"))
        second = number(t.ok("get", copy, f"pairs/{who}-second"))
        assert first - second in (0, 1), (copy, who, first, second)


def check_copies(m):
    os.mkdir(os.path.join(m.path, "pairs"))
    for i in range(500):
        put(m, f"bulk/{i}", f"{i}\n" * 200)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER,
                                 os.path.join(m.path, "pairs", who)])
               for who in "ab"]
    try:
        for who in "ab":
            path = os.path.join(m.path, "pairs", f"{who}-first")
            until("the first pair", lambda p=path: is_second_round(p))
        for i in range(ROUNDS):
            copy = os.path.join(work, f"copy-{i}.blt")
            t.ok("copy", "-q", m.path, copy)
            check(copy)
            check_pairs(copy)
            if i == 1 and t.can("index"):
                t.ok("reindex", "-q", m.path)
        assert all(w.poll() is None for w in writers), "a writer ended"
    finally:
        for w in writers:
            w.kill()
            w.wait()


def check_options(m):
    new = os.path.join(work, "new.blt")
    how = ["-b", "77", "-T"] if t.can("index") else []
    said = json.loads(t.ok("copy", "--json", *how, m.path, new))
    assert (said["kind"], said["state"]) == ("copy", "done"), said
    info = json.loads(t.ok("info", "--json", new))
    if how:
        assert (info["buckets"], info["timestamps"]) == (77, False), info
    t.refused(t.CANTCREAT, "blt copy: new.blt: exists already; --force replaces it",
              args=["copy", os.path.basename(m.path), "new.blt"], cwd=work)
    t.ok("copy", "-q", "--force", m.path, new)
    t.refused(t.CANTCREAT, "in the mount itself",
              args=["copy", m.path, os.path.join(m.path, "copy")])
    if t.can("fixed"):
        t.refused(t.DATAERR, "bytes",
                  args=["copy", "-f", "-l", "4", m.path, new])
    # relative, and as a person gives it
    t.ok("copy", "-q", os.path.basename(m.path), "near.blt", cwd=work)
    check(os.path.join(work, "near.blt"))


def check_jobs(m):
    before = json.loads(t.ok("jobs", "--json", m.path))
    kind = ["reindex"] if t.can("index") else ["map", "-b", "identity"]
    job = t.ok(kind[0], "--detach", *kind[1:], m.path).decode().strip()
    assert int(job) == before[-1]["job"] + 1, (job, before[-1])
    t.ok("wait", m.path, job)
    t.ok("wait", m.path)
    now = {j["job"]: j for j in json.loads(t.ok("jobs", "-j", m.path))}
    assert now[int(job)]["state"] == "done", now
    assert str(now[int(job)]["job"]) in os.listdir(m.control("jobs"))
    if t.BOOKLET:
        assert m.lines("jobs", job, "status")["text"].endswith(" buckets")
    lines = t.ok("jobs", m.path).decode().splitlines()
    assert lines[0].split()[:3] == ["JOB", "KIND", "STATE"], lines
    assert len(lines) == len(now) + 1
    t.ok("cancel", m.path, job)  # has ended: nothing happens
    assert m.lines("jobs", job, "status")["state"] == "done"
    for command in ("cancel", "wait"):
        t.refused(t.NOT_FOUND, f"12345: no such job in {m.path}",
                  args=[command, m.path, "12345"])
    t.refused(t.USAGE, "x: not a job's number", args=["cancel", m.path, "x"])
    with open(m.control("jobs", job, "cancel"), "w", encoding="ascii") as f:
        f.write("1\n")
    # one that failed
    job = t.ok("copy", "--detach", m.path,
               os.path.join(work, "new.blt")).decode().strip()
    t.refused(t.CANTCREAT, f"job {job} failed: ", "exists",
              args=["wait", m.path, job])
    # one that was cancelled, while its command waits
    job = t.ok("map", "--detach", "--timeout", "300", m.path, "--", "sleep",
               "300").decode().strip()
    t.ok("cancel", m.path, job)
    t.refused(t.TEMPFAIL, f"job {job} was cancelled",
              args=["wait", m.path, job])


def check_tenths(m):
    """In a pipe, how far it is comes as lines, once it has taken a second."""
    os.mkdir(os.path.join(m.path, "slow"))
    for i in range(12):
        put(m, f"slow/{i}", "x")
    done = t.run("map", "-j", "1", "--prefix", "slow/", m.path, "--", "sh",
                 "-c", "sleep 0.2; cat")
    said = done.stderr.decode().splitlines()
    assert done.returncode == 0 and said, done
    for line in said:
        assert re.fullmatch(r"blt map: \d0 %, \d+ keys", line), said


def check_info(m):
    """Of a mounted store, by its daemon: what the file says once it is free."""
    put(m, "here", "x")
    f = json.loads(t.ok("info", "--json", "--count", m.path))
    assert (f["store"], f["python"]) == (store, "no"), f
    assert f["live_bytes"] > 0 and f["keys"] == f["header_keys"], f
    assert "longest_chain" not in f, f
    text = t.ok("info", m.path).decode()
    assert f"uuid              {f['uuid']}" in text, text
    t.refused(t.USAGE, f"--chart: {m.path} is mounted for writing, so that its "
              "daemon alone may read the file; unmount it, or draw a copy",
              args=["info", "--chart", "-", m.path])
    return f


def check_refusals(m):
    for args in (["get", m.path, "x"], ["ls", m.path], ["dump", m.path],
                 ["check", m.path], ["put", m.path, "x"]):
        t.refused(t.USAGE, "mount point", args=args)
    t.refused(t.NOINPUT, "no mount", args=["reindex", work])
    t.refused(t.NOINPUT, "not a mount", args=["jobs", store])
    t.refused(t.NOINPUT, "none", args=["jobs", os.path.join(work, "none")])
    long = "x" * 5000 + "/new.blt"
    t.refused(t.CANTCREAT, "cannot create: File name too long",
              args=["copy", m.path, long])
    t.refused(t.CANTCREAT, "/no/such/new.blt: cannot create: No such file "
              "or directory; make the directory first",
              args=["copy", m.path, "/no/such/new.blt"])
    t.refused(t.USAGE, "no-such-program: cannot be run: No such file",
              args=["map", m.path, "--", "no-such-program"])
    t.refused(t.USAGE, "xyz: a key in hex has an even number of hex digits",
              args=["map", "-x", "-i", "-", m.path, "true"], stdin=b"xyz\n")
    t.refused(t.NOINPUT, ".: is the mount point itself, and no key",
              args=["map", "-i", "-", m.path, "true"], stdin=b".\n")
    if t.can("times"):  # - is the empty key, as it is of a store file
        t.ok("prune", "-q", "--hex", "--older-than", "@1", m.path, "-")
    t.refused(t.NOT_FOUND, "nosuch: no such key; it is given as the path that it "
              "has below the mount point",
              args=["map", "-i", "-", m.path, "true"], stdin=b"nosuch\n")
    t.refused(t.NOINPUT, f"{m.path}: is the mount point itself, and no key",
              args=["stat", m.path])
    plain = os.path.join(work, "near.blt")
    t.refused(t.USAGE, "--detach", args=["clear", "--detach", plain])
    done = t.run("clear", plain)
    assert (done.returncode, done.stdout[-14:]) == (0, b" keys deleted\n")
    assert t.ok("ls", plain) == b""
    t.ok("sync", plain)
    check(plain)


def check_clear(m):
    """What the kernel kept is gone when the job has ended."""
    for i in range(50):
        put(m, f"deep/er/{i}", "x")
    path = os.path.join(m.path, "deep", "er", "7")
    with open(path, encoding="utf-8") as f:
        assert f.read() == "x"
    assert len(os.listdir(os.path.dirname(path))) == 50
    t.ok("sync", m.path)
    t.ok("clear", "-q", m.path)
    assert not os.path.exists(path)
    assert os.listdir(m.path) == []
    put(m, "deep/er/7", "new")
    with open(path, encoding="utf-8") as f:
        assert f.read() == "new"


def check_prune(m):
    """The file becomes shorter while it is in use, by way of each road there
    is; a prune waits for what is running."""
    for how in ("blt", "text", "detached"):
        for _ in range(2):
            for i in range(100):
                put(m, f"much/{i}", f"{i} " * 2000)
        t.ok("sync", m.path)
        if how == "blt":
            said = json.loads(t.ok("prune", "--json", m.path))
            assert (said["kind"], said["state"], said["dropped"]) == (
                "prune", "done", 0), said
            assert said["size_after"] < said["size_before"], said
            job = said["job"]
        elif how == "text":
            job = m.tell("prune").split()[1]
        else:
            # it waits for the copy, and that for nobody
            copy = os.path.join(work, "before-prune.blt")
            t.ok("copy", "--detach", m.path, copy)
            job = t.ok("prune", "--detach", m.path).decode().strip()
            t.ok("wait", m.path, job)
            assert os.path.exists(copy), "prune has not waited"
            check(copy)
        status = m.ended(job)
        assert status["state"] == "done", status
        # LMDB has used most of it again
        freed = int(status["text"].split()[0])
        assert freed > (500000 if t.BOOKLET else 0), (how, status)
    for i in range(100):
        with open(os.path.join(m.path, "much", str(i)), encoding="utf-8") as f:
            assert f.read() == f"{i} " * 2000, i


def check_trim(m):
    """The file keeps its size and takes less of the disk."""
    for how in ("blt", "text"):
        for i in range(100):
            put(m, f"much/{i}", f"{i} " * 2000)
        t.ok("sync", m.path)
        if how == "blt":
            said = json.loads(t.ok("trim", "--json", m.path))
            assert (said["kind"], said["state"]) == ("trim", "done"), said
            job = said["job"]
        else:
            job = m.tell("trim").split()[1]
        status = m.ended(job)
        assert status["state"] == "done", status
        freed = status["text"].split()[0]
        assert freed == "the" or int(freed) > 100000, status
    for i in range(100):
        with open(os.path.join(m.path, "much", str(i)), encoding="utf-8") as f:
            assert f.read() == f"{i} " * 2000, i


def check_too_old(m):
    """Deleting needs the ioctl, and the kernel learns of it."""
    def there():
        return sorted(os.listdir(os.path.join(m.path, "aged")))

    for i in range(10):
        put(m, f"aged/{i}", "x")
        os.utime(os.path.join(m.path, "aged", str(i)), (1000 + i, 1000 + i))
    assert len(there()) == 10
    for line in ("prune older-than @1005", "prune older-than now",
                 "prune older-than now keep aged/1"):
        try:
            m.tell(line)
        except PermissionError:
            continue
        raise AssertionError(line)
    for line in ("prune now", "prune older-than", "prune older-than soon",
                 "prune older-than @1 but aged/1"):
        try:
            m.tell(line)
        except OSError as e:
            assert e.errno == errno.EINVAL, (line, e)
            continue
        raise AssertionError(line)
    t.refused(t.NOT_FOUND, "aged/77",
              args=["prune", "-o", "@1005", m.path, "aged/77"])
    assert len(there()) == 10
    said = json.loads(t.ok("prune", "-j", "-o", "@1005", m.path, "aged/1",
                           "/aged/2"))
    assert said["dropped"] == 3, said
    assert there() == ["1", "2", "5", "6", "7", "8", "9"]
    assert not os.path.exists(os.path.join(m.path, "aged", "0"))


def check_text_prune():
    """Where the mounter has allowed it, text may do it too."""
    with Mount(store, "control_exec") as m:
        for name in ("one", "two"):
            put(m, f"aged/{name}", "x")
            os.utime(os.path.join(m.path, "aged", name), (1000, 1000))
        put(m, "aged/new", "x")
        job = m.tell("prune older-than @2000 keep aged/two").split()[1]
        status = m.ended(job)
        assert status["state"] == "done", status
        assert status["text"].startswith("1 key dropped"), status
        assert sorted(os.listdir(os.path.join(m.path, "aged"))) == [
            "new", "two"]


def check_taken_away():
    """What a job deletes while somebody writes it is back with the close, and
    the kernel, which has been told that nothing is there, learns of it."""
    with Mount(store, "control_exec") as m:
        put(m, "there", "old")
        put(m, "d/e/other", "x")
        names = [os.path.join(m.path, name) for name in ("there", "d/e/new")]
        with open(names[0], "r+b", buffering=0) as f, open(
                names[1], "xb", buffering=0) as g:
            f.write(b"new")
            g.write(b"new")
            job = m.tell("clear").split()[1]
            assert m.ended(job)["state"] == "done"
            assert os.listdir(m.path) == []
            assert not any(os.path.exists(name) for name in names)
        until("what was closed", lambda: all(
            os.path.exists(name) for name in names))
        until("its names", lambda: sorted(
            os.listdir(m.path)) == ["d", "there"])
        for name in names:
            with open(name, "rb") as f:
                assert f.read() == b"new"


def check_interrupted(m):
    """Ctrl-C: the job is cancelled, or was faster."""
    for i in range(300):
        put(m, f"many/{i}", "x" * 1000)
    for how in ("clear", "copy"):
        args = [m.path] if how == "clear" else [m.path, "interrupted.blt"]
        blt = subprocess.Popen([t.BLT, how, *args], cwd=work,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        blt.send_signal(signal.SIGINT)
        blt.communicate()
        # before it looked for signals at all, while it waited, or too late
        assert blt.returncode in (-signal.SIGINT, 130, 0), blt.returncode
    t.run("wait", m.path)


def check_gone():
    """The daemon died and left its mount behind."""
    other = os.path.join(work, "other.blt")
    with Mount(other, "create") as m:
        m.daemon.kill()
        m.daemon.wait()
        t.refused(t.UNAVAILABLE, f"{m.path}: its daemon has gone",
                  args=["jobs", m.path])
        subprocess.run(["umount", "-l", m.path], check=True)


def check_chart():
    """A mount that only reads leaves its file to other readers."""
    with Mount(store, "ro") as m:
        chart = t.ok("info", "--chart", "-", m.path)
        assert chart.startswith(b"<svg ") and chart.endswith(b"</svg>\n"), chart
        told = json.loads(t.ok("info", "--json", "-o", "/dev/null", m.path))
        assert "longest_chain" in json.dumps(told), told


def main():
    with Mount(store, "create", expect="job .* failed: ") as m:
        check_copies(m)
        check_options(m)
        check_jobs(m)
        check_tenths(m)
        check_refusals(m)
        check_clear(m)
        check_prune(m)
        if t.can("trim"):
            check_trim(m)
        if t.can("times"):
            check_too_old(m)
        check_interrupted(m)
        before = check_info(m) if t.can("header") else {}
        job = t.ok("clear", "--detach", m.path)
        assert int(job) > 0
        # the mount may go at once: what runs is cancelled
    check(store)
    after = json.loads(t.ok("info", "--json", store))
    for field in ("uuid", "created", "version", "buckets", "layout",
                  "key_serializer", "data_offset", "index_offset"):
        assert not before or after[field] == before[field], field
    if t.can("times"):
        check_text_prune()
    check_taken_away()
    check(store)
    if t.can("index"):
        check_chart()
    check_gone()


main()
