#!/usr/bin/env python3
"""Keys by their path: each has one, ls shows it, get and put take it."""

import json
import os
import shutil

import toollib as t

work = t.directory()


def listed(store, path=""):
    """All files by walking the directories; ({path}, {directory})."""
    files, dirs = set(), set()
    for entry in json.loads(t.ok("ls", "--json", store, path)):
        full = f"{path}/{entry['name']}" if path else entry["name"]
        if entry["type"] == "file":
            files.add(full)
        else:
            dirs.add(full)
            below = listed(store, full)
            files |= below[0]
            dirs |= below[1]
    return files, dirs


def check_vector(name):
    store = t.vector(name + ".blt")
    paths = set()
    for line in t.expected(name):
        key, value, stamp = line.decode().split()
        fact = json.loads(t.ok("stat", "-jx", "--", store, key))[0]
        t.equal(fact["key_hex"], key.replace("-", ""), "key")
        t.equal(fact["size"], len(value.replace("-", "")) // 2, "size")
        t.equal(fact["timestamp"], None if stamp == "-" else int(stamp),
                "timestamp")
        path = fact["path"]
        t.equal(path in paths, False, f"{path} was met before")
        paths.add(path)
        t.equal(t.ok("get", "--", store, path).hex() or "-", value,
                f"value of {path}")
    files, dirs = listed(store)
    t.equal(files, paths, f"{name}: files of the tree")
    t.equal(files & dirs, set(), f"{name}: both file and directory")
    below = t.ok("ls", "-R0", store).decode().split("\0")[:-1]
    t.equal(len(below), len(set(below)), f"{name}: ls -R has a path twice")
    t.equal({p for p in below if not p.endswith("/")}, paths,
            f"{name}: ls -R")
    for path in {p for p in below if p.endswith("/")}:
        t.equal(path[:-1] in dirs, True, f"{path} of ls -R")


def check_plain(store):
    t.ok("create", store)
    for key in ("a", "a/b", "a/c/d", "x y", "ü", "b"):
        t.ok("put", "-t", "5", store, key, stdin=key.encode())
    t.equal(t.ok("ls", store).decode().split("\n"),
            ["a", "a%", "b", "x y", "ü", ""], "ls")
    t.equal(t.ok("ls", "-p0", store).decode().split("\0"),
            ["a/", "a%", "b", "x y", "ü", ""], "ls -p0")
    t.equal(sorted(t.ok("ls", "-U", store).decode().split("\n")),
            ["", "a", "a%", "b", "x y", "ü"], "ls -U")
    t.equal(t.ok("ls", store, "/a/"), b"b\nc\n", "ls of a directory")
    t.equal(t.ok("ls", store, "a/b"), b"a/b\n", "ls of a file")
    t.equal(sorted(t.ok("ls", "-R", store, "a").split()), [b"a/b", b"a/c/d"],
            "ls -R of a directory")
    long = t.ok("ls", "-l", store).decode().splitlines()
    t.equal(long[0].split(), ["d", "0", "-", "a"], "ls -l")
    when = "1970-01-01T00:00:00.000005Z" if t.BOOKLET else "-"
    t.equal(long[2].split(), ["-", "1", when, "b"], "ls -l")
    t.refused(t.NOT_FOUND, "nowhere: no such path", args=["ls", store,
                                                          "nowhere"])
    # a key beside a directory, by its own path and without the suffix
    t.equal(t.ok("get", store, "a", "a%"), b"aa", "a and a%")
    t.ok("put", store, "a%", stdin=b"new")
    t.equal(t.ok("get", store, "a"), b"new", "a")
    t.ok("put", store, "%2E", stdin=b"dot")
    t.equal(t.ok("get", "--raw", store, "."), b"dot", "a key .")
    t.ok("put", store, "%2Ebltfs", stdin=b"control")
    t.equal(t.ok("get", "--raw", store, ".bltfs"), b"control", "a key .bltfs")
    for path in ("a%%", "a%%25", "%~" + 26 * "0"):
        t.refused(t.DATAERR, "--raw", args=["put", store, path])
    for args in (["get"], ["put"]):
        t.refused(t.DATAERR, "255 bytes", "--raw",
                  args=[*args, store, "a/" + 256 * "k"])
    for path in ("%~" + 26 * "0",):
        t.refused(t.NOT_FOUND, "no such", args=["get", store, path])
    t.equal(t.ok("get", "--flat", store, "a%2Fb"), b"a/b", "flat")
    t.equal(b"a%2Fc%2Fd\n" in t.ok("ls", "-F", store), True, "ls --flat")
    t.ok("del", store, "a/c/d", "a%")
    t.equal(t.ok("ls", store).decode().split(), ["%2E", "%2Ebltfs", "a", "b",
                                                 "x", "y", "ü"], "ls")
    t.equal(t.faults(store), [], "faults")


def check_directories(store):
    """Directories that markers hold in being."""
    t.ok("create", store)
    for key, value in (("empty/", b""), ("full/", b""), ("full/k", b"v"),
                       ("odd/", b"o")):
        t.ok("put", "--raw", store, key, stdin=value)
    t.equal(t.ok("ls", store).split(), [b"empty", b"full", b"odd"], "ls")
    t.equal(t.ok("ls", store, "empty"), b"", "ls of an empty directory")
    t.equal(t.ok("ls", "-R", store).split(), [b"empty/", b"full/k", b"odd/%"],
            "ls -R")
    t.equal(t.ok("get", store, "odd/%"), b"o", "a directory's own value")
    t.refused(t.NOT_FOUND, "full", args=["get", store, "full"])
    t.refused(t.NOINPUT, "is a directory", args=["get", store, "full/"])


def check_integers(dir_):
    store = os.path.join(dir_, "int.blt")
    shutil.copy(t.vector("intkeys-int8.blt"), store)
    os.chmod(store, 0o644)
    t.ok("put", "--", store, "-17", stdin=b"minus")
    t.equal(t.ok("get", "--", store, "-17", "-9223372036854775808"),
            b"minus-9223372036854775808", "negative keys")
    t.refused(t.DATAERR, "007", args=["put", store, "007"])
    t.equal("-17\n" in t.ok("ls", store).decode(), True, "ls")
    t.equal(t.faults(store), [], "faults")


for vector in t.names() if t.BOOKLET else ():
    if len(t.expected(vector)) < 100:
        check_vector(vector)
check_plain(os.path.join(work, "plain.blt"))
check_directories(os.path.join(work, "directories.blt"))
if t.BOOKLET:
    check_integers(work)
