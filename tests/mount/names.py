#!/usr/bin/env python3
"""Awkward keys through a mount: a key beside keys below it, long components,
empty ones, dots, bytes that are no text, keys as long as a key can be.  All of
them can be read, written, renamed and removed under the name they have."""

import errno
import os
import shutil
import subprocess
import sys

import names_v2
from mountlib import (BLT, ENGINE, KEEPS_TIMES, Mount, eventually, fails, read,
                      write)


def load(m, keys):
    """Keys that no mount would make, with themselves as values."""
    lines = "".join(f"{k.hex() or '-'} {(k[:20] or b'x').hex()} -\n"
                    for k in keys)
    os.chdir("/")
    m.stop()
    subprocess.run([BLT, "load", m.store], input=lines, text=True, check=True)
    m.start()
    os.chdir(m.mnt)
    # waits for the walk's end: until then a key is a file, and the directory of
    # its name is met a moment later
    os.listdir(".")


def keys(m):
    """What the store holds, while it is not mounted."""
    os.chdir("/")
    m.stop()
    dump = subprocess.run([BLT, "dump", m.store], check=True, text=True,
                          capture_output=True).stdout
    m.start()
    os.chdir(m.mnt)
    os.listdir(".")
    return {b"" if line.split()[0] == "-" else bytes.fromhex(line.split()[0])
            for line in dump.splitlines() if not line.startswith("#")}


def test_beside(m):
    load(m, [b"a", b"a/b", b"a/b/c", b"a/d", b"z"])
    assert sorted(os.listdir(".")) == ["a", "a%", "z"]
    assert sorted(os.listdir("a")) == ["b", "b%", "d"]
    assert read("a%") == b"a" and read("a/b%") == b"a/b"
    write("a%", b"changed")
    write("a/b%", b"too")
    assert read("a%") == b"changed" and read("a/b%") == b"too"
    os.rename("a/b%", "a/moved")
    assert sorted(os.listdir("a")) == ["b", "d", "moved"]
    # the directory goes: the file has the name to itself
    os.rename("a", "elsewhere")
    assert sorted(os.listdir(".")) == ["a", "elsewhere", "z"]
    assert read("a") == b"changed"
    with fails(errno.ENOENT):
        os.stat("a%")
    with fails(errno.EEXIST):
        os.mkdir("a")
    os.rename("elsewhere/b/c", "elsewhere/c")
    os.rmdir("elsewhere/b")
    assert keys(m) == {b"a", b"elsewhere/c", b"elsewhere/d",
                       b"elsewhere/moved", b"z"}
    load(m, [b"a/x"])
    os.unlink("a%")
    assert os.listdir("a") == ["x"]
    os.unlink("a/x")
    os.rmdir("a")
    assert "a" not in os.listdir(".")


def test_emptied_beside(m):
    """The last key below goes; the directory stays, and so does the suffix."""
    load(m, [b"a", b"a/b"])
    os.unlink("a/b")
    assert sorted(os.listdir(".")) == ["a", "a%"] and os.listdir("a") == []
    assert read("a%") == b"a"
    os.rmdir("a")
    eventually(lambda: os.listdir(".") == ["a"])
    assert read("a") == b"a"


def test_odd_components(m):
    odd = {b"//x": "%/%/x", b"p/": "p/%", b".": "%2E", b"d/..": "d/%2E%2E",
           b"nul\0": "nul%00", b"100%": "100%", b"%41": "%41",
           b"%00": "%2500", b"%": "%25", b".bltfs/x": "%2Ebltfs/x",
           b"line\nfeed": "line\nfeed", b"": "%%"}
    load(m, odd)
    for key, path in odd.items():
        assert read(path) == key[:20] or key == b"", key
        write(path, b"new " + key)
        os.rename(path, "moved")
        assert read("moved") == b"new " + key
        os.rename("moved", path)
        assert read(path) == b"new " + key
    # a file of that name is beside the directory only while it is there
    assert keys(m) >= set(odd) - {b""} | {b"%%"}
    for path in odd.values():
        os.unlink(path)
    # its key would be the marker
    assert os.listdir("p") == []
    write("empty", b"")
    with fails(errno.EINVAL):
        os.rename("empty", "p/%")
    with fails(errno.EINVAL):
        write("p/%", b"")
    m.said("not stored: this name is for a file that is not empty")
    assert os.listdir("p") == []
    write("p/%", b"x")
    assert os.listdir("p") == ["%"]


def component_of(name):
    return names_v2.component(os.fsencode(name))


def check_all(names):
    assert sorted(os.listdir(b".")) == names
    for name in names:
        assert read(name) == name


def test_all_names(m):
    """Every name of up to five symbols can be made and reads back as itself,
    in the root, in a directory and after a remount; the keys are those of
    names_v2.py."""
    names = names_v2.words(5 if ENGINE == "booklet" else 4)
    below = names_v2.words(3)
    if ENGINE != "booklet":
        names.remove(b"%")  # the empty key
    os.mkdir("%00")
    names.remove(b"%00")
    for name in names:
        write(name, name)
    os.chdir("%00")
    for name in below:
        write(name, name)
    check_all(below)
    os.chdir("..")
    m.remount()
    os.chdir("%00")
    check_all(below)
    for name in below:
        os.rename(name, name + b"x")
        os.rename(name + b"x", name)
        os.unlink(name)
    assert os.listdir(".") == []
    os.chdir("..")
    os.rmdir("%00")
    check_all(names)
    assert keys(m) == {component_of(name) for name in names}


def test_all_directories(m):
    names = names_v2.words(3 if ENGINE == "booklet" else 2)
    if ENGINE != "booklet":
        names.remove(b"%")
    for name in names:
        os.makedirs(name + b"/" + name)
        write(name + b"/" + name + b"/100%", name)
    assert sorted(os.listdir(b".")) == names
    m.remount()
    for name in names:
        assert os.listdir(name) == [name]
        assert read(name + b"/" + name + b"/100%") == name
    for name in names:
        os.rename(name, b"moved")
        os.unlink(b"moved/" + name + b"/100%")
        os.rmdir(b"moved/" + name)
        os.rmdir(b"moved")
    assert os.listdir(".") == []


def test_flat(m):
    names = names_v2.words(3) + [b"%2Fa", b"a%2F", b"%252F", b"%2f"]
    if ENGINE != "booklet":
        names.remove(b"%")
    for name in names:
        write(name, name)
    check_all(sorted(names))
    assert b"/a" in keys(m) and b"a/" in keys(m) and b"%2F" in keys(m)


def test_shifted(m):
    """What a name stands for can depend on a key beside a directory, which
    only other programs make."""
    load(m, [b"a", b"a/b", b"a%", b"a%25", b"a%%", b"a%/x"])
    assert sorted(os.listdir(".")) == sorted(
        ["a", "a%", "a%25", "a%25%", "a%2525", "a%25%25"])
    assert os.listdir("a%25") == ["x"] and read("a%25%") == b"a%"
    assert read("a%") == b"a" and read("a%25%25") == b"a%%"
    write("a%252525", b"new")
    with fails(errno.EINVAL):
        write("a%%", b"")
    with fails(errno.EEXIST):
        os.mkdir("a%")
    assert keys(m) == {b"a", b"a/b", b"a%", b"a%25", b"a%%", b"a%/x",
                       b"a%2525"}
    os.unlink("a%")
    eventually(lambda: sorted(os.listdir(".")) == sorted(
        ["a", "a%", "a%%", "a%%25", "a%25", "a%2525"]))
    assert read("a%%") == b"a%" and read("a%%25") == b"a%%"
    assert read("a%2525") == b"new"
    assert keys(m) == {b"a/b", b"a%", b"a%25", b"a%%", b"a%/x", b"a%2525"}


def test_url_encoded(m):
    """A tree of downloads, by rsync, twice."""
    if not shutil.which("rsync"):
        return
    source = os.path.join(m.dir, "source")
    for name in ("My%20Doc.pdf", "100%", "a%2Fb/c%3Ad", "%E4%BD%A0", "50%25",
                 "%", "x%", "x%25", "x%%", "d/%2e%2e", "d/%00", "d/%"):
        path = os.path.join(source, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(path, os.fsencode(name))
    if ENGINE != "booklet":
        os.unlink(source + "/%")
    subprocess.run(["rsync", "-a", source + "/", "copy/"], check=True)
    again = subprocess.run(["rsync", "-rlti", "--checksum", "--omit-dir-times",
                            source + "/", "copy/"], check=True,
                           capture_output=True).stdout
    if KEEPS_TIMES:
        assert again == b"", again
    subprocess.run(["diff", "-r", source, "copy"], check=True)
    for path, dirs, files in os.walk("copy", topdown=False):
        for name in files:
            os.unlink(os.path.join(path, name))
        for name in dirs:
            os.rmdir(os.path.join(path, name))


def test_not_text(m):
    for _ in range(2):
        with fails(errno.EILSEQ):
            write(b"caf\xe9", b"")
        with fails(errno.EILSEQ):
            os.mkdir(b"\xff\xfe")
    write("f", b"x")
    with fails(errno.EILSEQ):
        os.rename(b"f", b"\x80")
    m.said("caf\\xe9: cannot be a name here: the store's keys are text")
    assert os.listdir(".") == ["f"]


def test_long(m):
    long = b"l" * 300
    load(m, [long, long + b"/" + long, b"x" * 65535])
    names = os.listdir(".")
    assert len(names) == 3 and all(n.startswith("%~") for n in names)
    directory, = (n for n in names if os.path.isdir(n))
    below, = os.listdir(directory)
    assert read(f"{directory}/{below}") == long[:20]
    write(f"{directory}/{below}", b"new")
    os.rename(f"{directory}/{below}", "short")
    assert read("short") == b"new" and os.listdir(directory) == []
    os.rename(directory, "directory")
    assert long[:20] in [read(n) for n in os.listdir(".") if n[:2] == "%~"]
    # another cannot be made: what its key would be is in no hash
    with fails(errno.EINVAL):
        write("%~" + "0" * 26, b"")


def test_longest_key(m):
    """Directories below directories, until a key would be too long."""
    fd, length = os.open(".", os.O_RDONLY), 0
    while True:
        name = "d" * 250
        try:
            os.mkdir(name, dir_fd=fd)
        except OSError as e:
            assert e.errno == errno.ENAMETOOLONG, e
            break
        length += len(name) + 1
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    assert length <= 65535 < length + 251, length
    rest = 65535 - length
    os.close(os.open("f" * rest, os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    if rest < 250:
        with fails(errno.ENAMETOOLONG):
            os.open("f" * (rest + 1), os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    os.close(fd)
    assert 65535 in {len(k) for k in keys(m)}


def test_symlinked_store(m):
    """Which file it is, is settled when it is mounted."""
    os.chdir("/")
    m.stop()
    real, link = m.store, m.store + "-link"
    os.symlink(real, link)
    m.store = link
    m.start()
    os.unlink(link)
    write(os.path.join(m.mnt, "f"), b"x")
    m.store = real
    m.stop()
    m.start()
    os.chdir(m.mnt)
    assert read("f") == b"x"


def test_staged_in_private(m):
    """What does not fit in memory is in a file without a name."""
    with open("f", "wb") as f:
        f.write(os.urandom(1 << 20))
        f.flush()
        held = [os.stat(f"/proc/{m.daemon.pid}/fd/{n}")
                for n in os.listdir(f"/proc/{m.daemon.pid}/fd")]
        staged = [st for st in held if st.st_size == 1 << 20]
        assert len(staged) == 1 and staged[0].st_nlink == 0
        assert staged[0].st_mode & 0o777 == 0o600
        assert sorted(os.listdir(m.dir)) == ["kv.blt", "log", "mnt"]
    assert os.stat(m.store).st_mode & 0o777 == 0o600


ALL = {
    test_all_names: (), test_all_directories: (), test_flat: ("flat",),
    test_shifted: (), test_url_encoded: (),
}
BOOKLET = {
    test_not_text: (),
    test_beside: (), test_emptied_beside: (),
    test_odd_components: ("key_serializer=bytes",),
    test_long: ("key_serializer=bytes",), test_longest_key: (),
    test_symlinked_store: (), test_staged_in_private: ("max_staging=64K",),
}


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        return 77
    tests = ALL | BOOKLET if ENGINE == "booklet" else ALL
    for test, options in tests.items():
        print(test.__name__, flush=True)
        with Mount("create", *options) as m:
            test(m)
    return 0


if __name__ == "__main__":
    sys.exit(main())
