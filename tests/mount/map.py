#!/usr/bin/env python3
"""Maps over a mounted store: asked for by blt and by the control file, with
plain commands and built-ins; what they write is seen at once, also after the
daemon was killed in the middle."""

import errno
import json
import os
import subprocess

import controllib
import toollib as t
from controllib import Mount, check
from maplib import values
from mountlib import new_store

work = controllib.directory()
store = new_store(work)
N = int(os.environ.get("MAP_ITEMS", "60"))


def fill(m, n=N):
    for i in range(n):
        path = os.path.join(m.path, f"d{i % 3}", f"key {i}")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as f:
            f.write(f"value {i}")


def mapped(m, *args, errors=0):
    """Runs a map; its counts.  What failed is one line each on stderr."""
    done = t.run("map", "--json", m.path, *args)
    assert done.returncode == (70 if errors else 0), done
    assert len(done.stderr.splitlines()) == errors, done.stderr
    told = json.loads(done.stdout)
    assert (told["kind"], told["state"], told["errors"]) == (
        "map", "done", errors), told
    failed = [f"blt map: {e['key']}: {e['error']}" for e in told["failed"]]
    assert failed == done.stderr.decode().splitlines(), (failed, done.stderr)
    return told["text"]


def check_python(m):
    """A file of the caller's directory, by the daemon."""
    with open(os.path.join(work, "words.py"), "w", encoding="ascii") as f:
        f.write("def lower(key, value):\n    return value.lower()\n")
    before = values(m)
    done = t.run("map", "-q", m.path, "--python", "words.py:lower", cwd=work)
    assert (done.returncode, done.stderr) == (0, b""), done
    assert values(m) == {k: v.lower() for k, v in before.items()}, values(m)


def check_results(m):
    before = values(m)
    assert len(before) == N
    # all keys
    text = mapped(m, "--", "tr", "a-z", "A-Z")
    assert text.startswith(f"{N} processed, {N} written, 0 skipped"), text
    upper = {k: v.upper() for k, v in before.items()}
    assert values(m) == upper, "the kernel shows what was"
    # given keys, by pattern and by list
    text = mapped(m, "--keys", "d1/*", "--builtin", "identity")
    assert text.startswith(f"{len([k for k in before if k[:2] == 'd1'])} "), text
    keys = os.path.join(work, "keys")
    with open(keys, "w", encoding="ascii") as f:
        f.write("d0/key 0\nd1/key 1\n")
    assert mapped(m, "--keys-from", keys, "--builtin",
                  "wc").startswith("2 processed, 2 written")
    assert values(m)["d1/key 1"].split() == [b"0", b"2", b"7"]
    # other keys for the results; the directory is new to the kernel
    assert not os.path.exists(os.path.join(m.path, "sums"))
    mapped(m, "--key", "sums/{name}", "--builtin", "sha256sum")
    assert len(os.listdir(os.path.join(m.path, "sums"))) == N
    # skipped, and failed
    now = values(m)
    text = mapped(m, "--", "sh", "-c", "exit 100")
    assert f"0 written, {2 * N} skipped" in text, text
    mapped(m, "--prefix", "d0/", "--", "false",
           errors=len([k for k in now if k[:3] == "d0/"]))
    assert values(m) == now
    # into another store
    other = new_store(work, "other.blt")
    mapped(m, "--to", other, "--create", "--prefix", "d", "--", "tr", "V", "w")
    assert values(m) == now
    check(other)
    assert t.ok("get", other, "d0/key 3") == b"wALUE 3"
    done = t.run("map", "--to", store, m.path, "--builtin", "identity")
    assert done.returncode, "the store itself as another"
    nowhere = os.path.join(work, "nowhere", "other.blt")
    for code, text, *args in (
            (t.USAGE, "no-such", "--", "no-such"),
            (t.USAGE, "no-such: no such function; there are ", "-b", "no-such"),
            (t.USAGE, "no-such.so: cannot open shared object file: ", "-s",
             "no-such.so"),
            (t.NOINPUT, nowhere + ": there is no such store", "-t", nowhere,
             "cat"),
            (t.CANTCREAT, nowhere + ": cannot create: No such file", "-c", "-t",
             nowhere, "cat")):
        done = t.refused(code, text, args=["map", m.path, *args])
        assert not done.stdout, done


def check_place(m):
    """A function runs where blt was called, and sees what --env names."""
    here = os.path.join(work, "a directory")
    os.mkdir(here)
    with open(os.path.join(here, "words"), "w", encoding="ascii") as f:
        f.write("of a file")
    before = values(m)
    env = dict(os.environ, MAP_WORD="told")
    for args, want in ((["cat", "words"], b"of a file"),
                       (["sh", "-c", "printf %s $MAP_WORD"], b"told")):
        done = t.run("map", "-q", "--env", "MAP_WORD", "--keys", "d1/key 1",
                     m.path, "--", *args, cwd=here, env=env)
        assert done.returncode == 0, done
        assert values(m)["d1/key 1"] == want, values(m)["d1/key 1"]
    with open(os.path.join(m.path, "d1", "key 1"), "wb") as f:
        f.write(before["d1/key 1"])


def check_open(m):
    """A file that is open, and was written and stored, shows what a map made of
    it; what is written next goes into that."""
    path = os.path.join(m.path, "open")
    with open(path, "wb", buffering=0) as f, open(path, "r+b",
                                                  buffering=0) as g:
        f.write(b"stored and open")
        os.fsync(f.fileno())
        mapped(m, "--keys", "open", "--", "echo", "made by the map")
        assert os.pread(g.fileno(), 99, 0) == b"made by the map\n"
        os.pwrite(g.fileno(), b"M", 0)
    with open(path, "rb") as f:
        assert f.read() == b"Made by the map\n"
    os.unlink(path)


def check_text(m):
    """By the control file: functions that the mounter named, and no others."""
    now = values(m)
    for line in ("map", "map sh", "map other", "map low keys",
                 "map low -- sh"):
        try:
            m.tell(line)
        except OSError as e:
            assert e.errno in (errno.EINVAL, errno.ENOENT), (line, e)
        else:
            raise AssertionError(line)
    assert values(m) == now
    job = m.tell("map low keys d2/*").split()[1]
    status = m.ended(job)
    assert status["state"] == "done", status
    assert values(m) == {k: v.lower() if k[:3] == "d2/" else v
                         for k, v in now.items()}


def check_read_only():
    with Mount(store, "ro", expect="job .* failed: ") as m:
        t.refused(t.NOPERM, "read", args=["map", "-q", m.path, "--builtin",
                                          "identity"])
        other = new_store(work, "from-ro.blt")
        mapped(m, "--to", other, "--create", "--builtin", "upper")
        check(other)


def check_fixed():
    fixed = os.path.join(work, "fixed.blt")
    with Mount(fixed, "create,value_len=4") as m:
        for i in range(10):
            with open(os.path.join(m.path, str(i)), "w",
                      encoding="ascii") as f:
                f.write("abcd")
        mapped(m, "--builtin", "upper")
        assert set(values(m).values()) == {b"ABCD"}
        # a value of another length is an error of its key
        mapped(m, "--", "echo", "too long", errors=10)
        assert set(values(m).values()) == {b"ABCD"}
        t.refused(t.USAGE, "--timestamps: a store whose values all have one",
                  args=["copy", "--timestamps", m.path, fixed + "2"])
    check(fixed)


def check_flat():
    """On a mount with flat a key that ends in a slash is a file."""
    flat = new_store(work, "flat.blt")
    with Mount(flat, "create,flat,map=same=cat") as m:
        with open(os.path.join(m.path, "x%2F"), "wb"):
            pass
        assert mapped(m, "--builtin", "identity").startswith("1 processed")
        job = m.tell("map same").split()[1]
        said = m.ended(job)
        assert "1 processed, 1 written" in said["text"], said
    check(flat)


def check_killed():
    """Each value is old or new, and a second map does the rest."""
    with Mount(store, "commit=1") as m:
        before = values(m)
        blt = subprocess.Popen([t.BLT, "map", m.path, "--", "tr", "a-z", "A-Z"],
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        jobs = m.control("jobs")
        controllib.until("the job", lambda: os.listdir(jobs))
        m.kill()
        # it may have been done by then
        assert blt.wait(controllib.LIMIT) >= 0, "blt died"
        os.rmdir(m.path)
        os.mkdir(m.path)
    with Mount(store) as m:
        for key, value in values(m).items():
            assert value in (before[key], before[key].upper()), (key, value)
        mapped(m, "--", "tr", "a-z", "A-Z")
        assert values(m) == {k: v.upper() for k, v in before.items()}
    check(store)


def main():
    with Mount(store, "create,map=low=tr A-Z a-z",
               expect="job .* failed: ") as m:
        fill(m)
        check_results(m)
        check_python(m)
        check_place(m)
        check_open(m)
        check_text(m)
        job = t.ok("map", "--detach", m.path, "--builtin", "identity")
        t.ok("wait", m.path, job.decode().strip())
        # what waits for a map, and the map, go with the mount
        t.ok("map", "--detach", m.path, "--", "sleep", "1000")
        t.ok("reindex", "--detach", m.path)
    check(store)
    check_read_only()
    if t.can("fixed"):
        check_fixed()
    check_flat()
    check_killed()


main()
