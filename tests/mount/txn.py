#!/usr/bin/env python3
"""Transactions of a mount: a directory that shows the store and takes changes,
which are outside when it is committed, all at once, or never."""

import errno
import os
import shutil
import subprocess
import sys
import tarfile

import controllib
import toollib as t
from controllib import Mount, check
from mountlib import fails, new_store, read, renameat2, write

RENAME_EXCHANGE = 2

work = controllib.directory()
store = new_store(work)
ENGINE = os.environ.get("BLT_ENGINE", "booklet")
t.ok("create", "--engine", ENGINE, store)


def begin(m, name):
    path = m.control("txn", name)
    os.mkdir(path)
    return path


def tree(top):
    """{path: content, or None for a directory}"""
    found = {}
    for path, dirs, files in os.walk(top):
        at = os.path.relpath(path, top)
        for name in dirs:
            found[os.path.normpath(os.path.join(at, name))] = None
        for name in files:
            whole = os.path.join(path, name)
            found[os.path.normpath(os.path.join(at, name))] = (
                os.readlink(whole) if os.path.islink(whole) else read(whole))
    return found


def commit(m, name, *options):
    return t.run("txn", "commit", *options, m.path, name)


def work_in(top):
    """Some of everything; what is there then."""
    os.chdir(top)
    write("new", b"new")
    write("old", b"changed")
    with open("appended", "ab") as f:
        f.write(b" and more")
    os.truncate("cut", 2)
    os.utime("touched", (1000, 2000))
    os.unlink("removed")
    shutil.rmtree("tree")
    os.makedirs("made/in/it")
    write("made/in/it/file", b"x" * 100000)
    os.rename("from", "to")
    os.rename("made/in", "made/out")
    os.rename("full", "moved")
    os.rmdir("empty")
    os.symlink("to/where", "link")
    write("both", b"a file, where a directory is not any more")
    renameat2("one", "two", RENAME_EXCHANGE)
    os.chdir("/")
    return {
        "new": b"new", "old": b"changed", "appended": b"begun and more",
        "cut": b"12", "touched": b"t", "made": None, "made/out": None,
        "made/out/it": None, "made/out/it/file": b"x" * 100000, "to": b"f",
        "moved": None, "moved/a": b"a", "moved/sub": None,
        "moved/sub/b": b"b", "link": "to/where", "one": b"2", "two": b"1",
        "both": b"a file, where a directory is not any more", "kept": None,
        "kept/k": b"k",
    }


def fill(top):
    for name, data in {"old": b"old", "appended": b"begun", "cut": b"1234",
                       "touched": b"t", "removed": b"r", "from": b"f",
                       "one": b"1", "two": b"2", "tree/a/b/c": b"c",
                       "tree/a/d": b"d", "tree/e": b"e", "full/a": b"a",
                       "full/sub/b": b"b", "both/x": b"x",
                       "kept/k": b"k"}.items():
        path = os.path.join(top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(path, data)
    shutil.rmtree(os.path.join(top, "both"))
    os.mkdir(os.path.join(top, "empty"))


def check_apart(m):
    fill(m.path)
    before = tree(m.path)
    top = begin(m, "one")
    t.equal(tree(top), before, "what it shows at first")
    then = work_in(top)
    t.equal(tree(top), then, "what it shows")
    t.equal(tree(m.path), before, "what is outside")
    if ENGINE == "booklet":  # others keep no times
        t.equal(os.stat(os.path.join(top, "touched")).st_mtime, 2000, "mtime")
    assert (os.stat(os.path.join(top, "kept")).st_ino !=
            os.stat(os.path.join(m.path, "kept")).st_ino), "one inode number"
    with fails(errno.EXDEV):
        os.rename(os.path.join(top, "new"), os.path.join(m.path, "new"))
    with fails(errno.EEXIST):
        begin(m, "one")
    done = t.run("txn", "begin", m.path, "one")
    t.equal(done.returncode, 75, "a name that is had")
    assert "one: there is such a transaction in" in done.stderr.decode(), done
    t.equal(os.listdir(m.control("txn")), ["one"], "names")
    assert read(m.control("transactions")).endswith(b" name one\n")
    # what is known outside is looked at again behind the commit
    with open(os.path.join(m.path, "old"), "rb") as f:
        t.equal(f.read(), b"old", "outside, before")
        done = commit(m, "one")
        t.equal((done.returncode, done.stderr), (0, b""), "commit")
        f.seek(0)
        t.equal(f.read(), b"changed", "outside, behind")
    t.equal(tree(m.path), then, "what is outside behind the commit")
    t.equal(os.listdir(m.control("txn")), [], "names at the end")
    t.equal(commit(m, "one").returncode, 1, "a second commit")


def check_abort(m):
    before = tree(m.path)
    top = begin(m, "dropped")
    write(os.path.join(top, "old"), b"not this")
    held = open(os.path.join(top, "held"), "wb")
    os.rmdir(top)
    assert not os.path.exists(top)
    with fails(errno.ESTALE):
        held.close()
    top = begin(m, "dropped")
    t.equal(read(os.path.join(top, "old")), b"changed", "a new one")
    t.ok("txn", "abort", m.path, "dropped")
    t.equal(tree(m.path), before, "outside")
    for name in "a" * 256, "..":
        done = t.run("txn", "begin", m.path, name)
        t.equal(done.returncode, 64, f"begin {name}")
        assert any(text in done.stderr.decode() for text in (
            "cannot be a transaction's name",
            "too long for a transaction's name")), done


def check_conflict(m):
    top = begin(m, "late")
    read(os.path.join(top, "old"))
    os.path.exists(os.path.join(top, "nothing"))
    write(os.path.join(top, "mine"), b"m")
    os.listdir(os.path.join(top, "made"))
    write(os.path.join(m.path, "made/out/it/file"), b"no conflict")
    write(os.path.join(m.path, "kept/more"), b"no conflict")
    os.listdir(os.path.join(top, "moved"))
    write(os.path.join(m.path, "moved/late"), b"conflict")
    write(os.path.join(m.path, "old"), b"theirs")
    write(os.path.join(m.path, "nothing"), b"now")
    done = commit(m, "late")
    t.equal(done.returncode, 75, "commit with a conflict")
    said = done.stderr.decode()
    assert "old: changed by others" in said, said
    assert "late: not committed: others have changed what it" in said, said
    assert "nothing: changed by others" in said, said
    # which name has come, a database does not tell
    came = "moved" if ENGINE == "postgresql" else "moved/late"
    assert f"{came}: changed by others" in said, said
    t.equal(len(said.splitlines()), 4, said)
    assert not os.path.exists(os.path.join(m.path, "mine"))
    t.equal(commit(m, "late", "--force").returncode, 0, "--force")
    t.equal(read(os.path.join(m.path, "mine")), b"m", "forced")
    t.equal(read(os.path.join(m.path, "old")), b"theirs", "not written")


def check_process(m):
    """Of what another process commits only that is known."""
    top = begin(m, "beside")
    t.equal(commit(m, "beside").returncode, 0, "nobody else")
    top = begin(m, "beside")
    write(os.path.join(top, "mine"), b"not this")
    t.ok("put", store, "theirs", stdin=b"t")
    done = commit(m, "beside")
    t.equal(done.returncode, 75, "commit behind another process's")
    assert "another process has changed the store; which" in \
        done.stderr.decode(), done
    t.ok("txn", "abort", m.path, "beside")
    t.equal(read(os.path.join(m.path, "mine")), b"m", "dropped")


def check_run(m):
    def run(*command):
        return t.run("txn", "run", m.path, "--", *command)

    done = run("sh", "-c", "pwd; echo $BLT_TXN; cat old; echo in >ran")
    where, said, old = done.stdout.decode().split("\n")
    t.equal(done.returncode, 0, "run")
    t.equal(said, where, "its directory")
    t.equal(old, "theirs", "what it sees")
    t.equal(read(os.path.join(m.path, "ran")), b"in\n", "run")
    for status in 1, 77:
        done = run("sh", "-c", f"echo no >ran; exit {status}")
        t.equal(done.returncode, status, "a status")
        t.equal(read(os.path.join(m.path, "ran")), b"in\n", "failed")
    t.equal(run("sh", "-c", "kill -TERM $$").returncode, 143, "a signal")
    t.equal(run("/no/such/thing").returncode, 127, "no such command")
    outside = os.path.join(m.path, "ran")
    done = run("sh", "-c", f"cat ran; echo out >{outside}")
    t.equal(done.returncode, 75, "a conflict")
    t.equal(os.listdir(m.control("txn")), [], "none is left")
    done = t.run("txn", "run", m.path, "cat", "-n", "ran")
    t.equal(done.returncode, 64, "an option that may be ours")
    assert "cat: an option stands behind it: write -- in" in \
        done.stderr.decode(), done
    for args, text in ((["run", m.path], "run: no command; expected is run"),
                       (["undo", m.path], "expected is begin MOUNTPOINT"),
                       (["commit", m.path], "expected is begin MOUNTPOINT")):
        done = t.run("txn", *args)
        t.equal(done.returncode, 64, f"txn {args}")
        assert text in done.stderr.decode(), done


def check_programs(m):
    """git and tar in one, and an editor's habits."""
    top = begin(m, "programs")
    there = os.path.join(work, "archive.tar")
    with tarfile.open(there, "w") as tar:
        tar.add(t.LIB, "unpacked", filter=lambda i: (
            None if "/build" in i.name or "__pycache__" in i.name or
            not (i.isdir() or i.name.endswith(".py")) else i))
    subprocess.run(["tar", "xf", there, "-C", top], check=True)
    env = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", HOME=work,
               GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@b",
               GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@b")
    if shutil.which("git"):
        for args in (["init", "-q", "."], ["add", "."],
                     ["commit", "-q", "-m", "x"], ["status", "--short"],
                     ["gc", "-q"], ["fsck", "--strict"]):
            done = subprocess.run(["git", *args], cwd=top, env=env,
                                  check=True, capture_output=True)
            if args[0] == "status":
                t.equal(done.stdout, b"", "git status")
    now = tree(top)
    assert not os.path.exists(os.path.join(m.path, "unpacked"))
    t.equal(commit(m, "programs").returncode, 0, "commit")
    t.equal(tree(m.path), now, "what git and tar made")
    shutil.rmtree(os.path.join(m.path, "unpacked"))
    shutil.rmtree(os.path.join(m.path, ".git"), ignore_errors=True)


def check_large(m):
    """More than stays in memory; and many keys."""
    top = begin(m, "large")
    data = os.urandom(1 << 20) * (20 if ENGINE == "booklet" else 3)
    write(os.path.join(top, "large"), data)
    os.mkdir(os.path.join(top, "many"))
    for i in range(1500):
        write(os.path.join(top, f"many/{i}"), b"%d" % i)
    t.equal(len(os.listdir(os.path.join(top, "many"))), 1500, "names")
    os.rename(os.path.join(top, "many"), os.path.join(top, "more"))
    t.equal(commit(m, "large").returncode, 0, "commit")
    assert read(os.path.join(m.path, "large")) == data
    t.equal(len(os.listdir(os.path.join(m.path, "more"))), 1500, "outside")
    t.ok("txn", "run", m.path, "--", "rm", "-r", "more", "large")
    assert not os.path.exists(os.path.join(m.path, "more"))


def check_unmount(m):
    """What is not committed when a mount ends is dropped."""
    top = begin(m, "open")
    write(os.path.join(top, "never"), b"n")
    shutil.rmtree(os.path.join(top, "kept"))


def check_killed(m):
    """The same of a daemon that is killed, with long values on their way."""
    top = begin(m, "killed")
    write(os.path.join(top, "never"), b"n" * (5 << 20))
    shutil.rmtree(os.path.join(top, "kept"))
    held = open(os.path.join(top, "held"), "wb", buffering=0)
    held.write(b"h" * (3 << 20))
    m.kill()
    with fails(errno.ENOTCONN):
        held.write(b"more")
    with fails(errno.ENOTCONN):
        held.close()


def left_files():
    return [n for n in os.listdir(work) if ".bltfs-" in n]


if not os.path.exists("/dev/fuse"):
    print("no /dev/fuse")
    sys.exit(77)

with Mount(store, "max_staging=2M") as m:
    check_apart(m)
    check_abort(m)
    check_conflict(m)
    if ENGINE == "lmdb":
        check_process(m)
    check_run(m)
    check_programs(m)
    check_large(m)
    left = tree(m.path)
    check_unmount(m)
if ENGINE == "booklet":
    check(store)
t.ok("check", "-q", store)
with Mount(store) as m:
    t.equal(tree(m.path), left, "the next mount")
    t.equal(os.listdir(m.control("txn")), [], "transactions")
    t.equal(left_files(), [], "files left")
    check_killed(m)
with Mount(store, expect="recover") as m:
    t.equal(tree(m.path), left, "the mount behind a kill")
    t.equal(os.listdir(m.control("txn")), [], "transactions")
    t.equal(left_files(), [], "files left")
with Mount(store, "ro") as m:
    t.equal(t.run("txn", "begin", m.path).returncode, 77, "read-only")
    t.equal(t.run("txn", "list", m.path).returncode, 0, "list, read-only")
print("transactions of a mount are seen outside whole, or not at all")
