#!/usr/bin/env python3
"""Modes, owners and extended attributes, through a mount that keeps them."""

import errno
import os
import shutil
import stat
import subprocess
import sys

import daemonlib
from mountlib import (BLT, ENGINE, EXCHANGE, Mount, fails, read,
                      renameat2, write)

ROOT = os.getuid() == 0
NOBODY = 65534
OTHER = 12345


def mode(path):
    return os.lstat(path).st_mode & 0o7777


def owner(path):
    st = os.lstat(path)
    return st.st_uid, st.st_gid


def make(path, bits):
    write(path, b"x")
    os.chmod(path, bits)


def run(*command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE,
                          text=True, **more).stdout


def as_user(uid, what, *args):
    """The errno with which that fails for this user; 0: it does not."""
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            what(*args)
            code = 0
        except OSError as e:
            code = e.errno
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def let_in(m):
    os.chmod(m.dir, 0o755)


# ---- what is shown, and kept ----

def test_defaults(m):
    os.umask(0o022)
    write("f", b"x")
    os.mkdir("d")
    os.symlink("f", "l")
    assert (mode("."), mode("d"), mode("f"), mode("l")) == \
        (0o755, 0o755, 0o644, 0o777)
    assert owner("f") == owner("d") == (os.getuid(), os.getgid())
    os.mkdir("d/e")
    os.chmod("d/e", 0o600)
    os.chmod("d/e", 0o755)
    os.chmod("f", 0o600)
    os.chmod("f", 0o644)
    os.chdir("/")
    m.stop()
    m.options = ["umask=077"]
    m.start()
    os.chdir(m.mnt)
    assert mode("f") == 0o600 and mode("d/e") == 0o700, "a record is left"


def test_made_with_a_mode(m):
    os.umask(0o027)
    write("f", b"x")
    os.mkdir("d")
    os.close(os.open("x", os.O_CREAT | os.O_WRONLY, 0o777))
    os.close(os.open("read only", os.O_CREAT | os.O_WRONLY, 0o444))
    os.mknod("n", 0o100660)
    os.umask(0)
    os.close(os.open("all", os.O_CREAT | os.O_WRONLY, 0o666))
    os.mkdir("sticky", 0o1777)
    os.umask(0o022)
    run("install", "-m", "600", "f", "secret")
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, 0o777))
    want = {"f": 0o640, "d": 0o750, "x": 0o750, "read only": 0o440,
            "n": 0o640, "all": 0o666, "sticky": 0o1777, "secret": 0o600}
    assert {n: mode(n) for n in os.listdir(".")} == want
    m.remount()
    assert {n: mode(n) for n in os.listdir(".")} == want
    assert {e.name: e.stat().st_mode & 0o7777
            for e in os.scandir(".")} == want


def test_changed(m):
    write("f", b"x")
    os.makedirs("d/e")
    for bits in (0o600, 0o755, 0o4755, 0o2755, 0o1644, 0, 0o644, 0o751):
        os.chmod("f", bits)
        assert mode("f") == bits
    os.chmod("d", 0o711)
    os.chmod("d/e", 0o700)
    os.chmod(".", 0o750)
    fd = os.open("f", os.O_RDONLY)
    os.fchmod(fd, 0o705)
    os.close(fd)
    os.truncate("f", 0)
    write("f", b"yy")
    os.utime("f", (1, 2))
    for _ in range(2):
        assert (mode("."), mode("d"), mode("d/e"), mode("f")) == \
            (0o750, 0o711, 0o700, 0o705)
        m.remount()
    fresh = os.open("new", os.O_CREAT | os.O_WRONLY, 0o644)
    os.chmod("new", 0o611)
    os.write(fresh, b"x")
    assert mode("new") == 0o611
    os.close(fresh)
    assert mode("new") == 0o611
    m.remount()
    assert mode("new") == 0o611


def test_owner(m):
    make("f", 0o755)
    os.mkdir("d")
    os.symlink("f", "l")
    if not ROOT:
        os.chown("f", os.getuid(), os.getgid())
        with fails(errno.EPERM):
            os.chown("f", 0, -1)
        with fails(errno.EPERM):
            os.chown("f", -1, 0)
        return
    os.chown("f", 1, 2)
    os.chown("d", 3, -1)
    os.lchown("l", 5, 6)
    m.remount()
    assert owner("f") == (1, 2) and mode("f") == 0o755
    assert owner("d") == (3, 0) and owner("l") == (5, 6)
    assert mode("l") == 0o777 and os.readlink("l") == "f"
    os.chmod("f", 0o6755)
    os.chown("f", 0, 0)
    assert mode("f") == 0o755, "chown takes set-ID away"
    m.remount()
    assert owner("f") == (0, 0) and mode("f") == 0o755


# ---- names that come, go and move ----

def test_rename(m):
    make("a", 0o700)
    make("over", 0o600)
    make("plain", 0o644)
    os.rename("a", "b")
    assert mode("b") == 0o700
    os.rename("b", "over")
    assert mode("over") == 0o700
    os.rename("plain", "over")
    assert mode("over") == 0o644, "not of the one that was replaced"
    os.makedirs("d/sub/subsub")
    os.mkdir("d/empty")
    for path, bits in (("d", 0o711), ("d/sub", 0o700), ("d/empty", 0o750)):
        os.chmod(path, bits)
    make("d/sub/run", 0o755)
    make("d/sub/subsub/run", 0o711)
    os.mkdir("e")
    os.chmod("e", 0o777)
    os.rename("d", "e")
    for _ in range(2):
        assert (mode("e"), mode("e/sub"), mode("e/empty"), mode("e/sub/run"),
                mode("e/sub/subsub/run")) == \
            (0o711, 0o700, 0o750, 0o755, 0o711)
        m.remount()
    os.makedirs("d/sub/subsub")
    write("d/sub/run", b"")
    assert (mode("d"), mode("d/sub"), mode("d/sub/run")) == \
        (0o755, 0o755, 0o644)


def test_rename_fresh(m):
    one = os.open("one", os.O_CREAT | os.O_WRONLY, 0o700)
    os.mkdir("d")
    two = os.open("d/two", os.O_CREAT | os.O_WRONLY, 0o600)
    os.rename("one", "uno")
    os.rename("d", "e")
    make("old", 0o755)
    os.rename("old", "e/two")
    assert mode("uno") == 0o700 and mode("e/two") == 0o755
    assert os.fstat(two).st_mode & 0o777 == 0o600
    os.close(one)
    os.close(two)
    m.remount()
    assert mode("uno") == 0o700 and mode("e/two") == 0o755


def test_exchange(m):
    make("f", 0o700)
    make("g", 0o644)
    renameat2("f", "g", EXCHANGE)
    assert (mode("f"), mode("g")) == (0o644, 0o700)
    for top, bits in (("a", 0o700), ("b", 0o711)):
        os.makedirs(f"{top}/sub/{top}")
        make(f"{top}/sub/same", bits)
        make(f"{top}/{top}", bits)
        os.chmod(f"{top}/sub/{top}", bits)
        os.chmod(f"{top}/sub", bits)
        os.chmod(top, bits)
    renameat2("a", "b", EXCHANGE)
    for _ in range(2):
        for top, other, bits in (("a", "b", 0o711), ("b", "a", 0o700)):
            for path in (top, f"{top}/sub", f"{top}/sub/same",
                         f"{top}/{other}", f"{top}/sub/{other}"):
                assert mode(path) == bits, path
        m.remount()
    renameat2("a", "g", EXCHANGE)
    assert (mode("a"), mode("g"), mode("g/sub/same")) == (0o700, 0o711, 0o711)
    m.remount()
    assert (mode("a"), mode("g"), mode("g/sub/same")) == (0o700, 0o711, 0o711)


def test_file_in_markers_place(m):
    """The key of such a file is the directory's, which keeps its record."""
    os.umask(0o022)
    os.mkdir("d")
    os.chmod("d", 0o700)
    make("f", 0o600)
    make("d/g", 0o600)
    make("x", 0o611)
    for name in ("f", "d/g"):
        os.rename(name, "d/%")
        assert (mode("d"), mode("d/%")) == (0o700, 0o644), name
        m.remount()
        assert (mode("d"), mode("d/%")) == (0o700, 0o644), name
        write(name, b"")
        assert mode(name) == 0o644
    os.rename("d/%", "x")
    assert (mode("d"), mode("x")) == (0o700, 0o644), "not its old mode"
    os.chmod("x", 0o611)
    renameat2("x", "d/g", EXCHANGE)
    write("d/%", b"y")
    renameat2("d/g", "d/%", EXCHANGE)
    assert (mode("d"), mode("d/g"), mode("d/%")) == (0o700, 0o644, 0o644)
    m.remount()
    assert (mode("d"), mode("d/g"), mode("d/%")) == (0o700, 0o644, 0o644)


def test_file_in_markers_place_fresh(m):
    """The same of one that cannot be stored yet."""
    os.mkdir("d")
    os.chmod("d", 0o700)
    fd = os.open("d/f", os.O_CREAT | os.O_WRONLY, 0o600)
    os.write(fd, b"{")
    os.rename("d/f", "d/%")
    m.said("not stored")
    assert mode("d") == 0o700
    os.write(fd, b"}")
    os.close(fd)
    assert (mode("d"), mode("d/%")) == (0o700, 0o644)
    m.remount()
    write("d/f", b"1")
    assert (mode("d"), mode("d/%"), mode("d/f")) == (0o700, 0o644, 0o644)


def test_exchange_is_one_change(m):
    """A crash at any time leaves no record under another name: the table is
    written beside the exchange as often as can be."""
    os.makedirs("a/sub")
    os.makedirs("b/sub")
    fresh = os.open("a/fresh", os.O_CREAT | os.O_WRONLY, 0o600)
    for top, bits in (("a", 0o700), ("b", 0o711)):
        for name in (top, f"{top}/sub"):
            os.chmod(name, bits)
        make(f"{top}/same", bits)
        make(f"{top}/{top}", bits)
    os.chdir("/")
    for n in range(9):
        renameat2(f"{m.mnt}/a", f"{m.mnt}/b", EXCHANGE)
        if n == 4:
            os.close(fresh)
    assert mode(f"{m.mnt}/b/fresh") == 0o600
    m.daemon.kill()
    m.daemon.wait()
    daemonlib.unmount(m.mnt)
    table = subprocess.run([BLT, "slot", "get", m.store, "2"],
                           check=True, stdout=subprocess.PIPE).stdout
    assert b"\xff/" not in table and b"b/fresh" in table, table
    m.start()
    os.chdir(m.mnt)
    for top, other, bits in (("a", "b", 0o711), ("b", "a", 0o700)):
        for path in (top, f"{top}/sub", f"{top}/same", f"{top}/{other}"):
            assert mode(path) == bits, path


def test_made_again(m):
    make("f", 0o600)
    os.unlink("f")
    write("f", b"")
    os.mkdir("d")
    os.chmod("d", 0o700)
    os.rmdir("d")
    os.mkdir("d")
    fd = os.open("fresh", os.O_CREAT | os.O_WRONLY, 0o700)
    os.unlink("fresh")
    write("fresh", b"")
    os.close(fd)
    make("l", 0o700)
    os.unlink("l")
    os.symlink("f", "l")
    assert (mode("f"), mode("d"), mode("fresh"), mode("l")) == \
        (0o644, 0o755, 0o644, 0o777)
    # what goes without the mount's doing
    make("g", 0o600)
    os.chdir("/")
    m.stop()
    run(BLT, "del", m.store, "g")
    m.start()
    os.chdir(m.mnt)
    write("g", b"")
    assert mode("g") == 0o644


def test_unlinked_while_open(_):
    make("f", 0o751)
    fd = os.open("f", os.O_RDWR)
    os.unlink("f")
    write("f", b"")
    assert os.fstat(fd).st_mode & 0o7777 == 0o751
    os.fchmod(fd, 0o700)
    assert os.fstat(fd).st_mode & 0o7777 == 0o700
    assert mode("f") == 0o644
    os.close(fd)
    make("g", 0o711)
    fd = os.open("g", os.O_RDWR)
    os.rename("f", "g")
    assert os.fstat(fd).st_mode & 0o7777 == 0o711 and mode("g") == 0o644
    os.close(fd)
    os.mkdir("d")
    os.chmod("d", 0o700)
    fd = os.open("d", os.O_RDONLY)
    os.rmdir("d")
    assert os.fstat(fd).st_mode & 0o7777 == 0o700
    os.close(fd)


def test_setgid_directory(m):
    os.mkdir("d")
    os.chmod("d", 0o2775)
    group = OTHER if ROOT else os.getgid()
    if ROOT:
        os.chown("d", -1, group)
        os.chmod("d", 0o2775)
    write("d/f", b"")
    os.symlink("f", "d/l")
    os.mkdir("d/e")
    os.mkdir("d/e/g")
    for _ in range(2):
        assert [owner(p)[1] for p in ("d/f", "d/l", "d/e", "d/e/g")] == \
            [group] * 4
        assert mode("d/f") == 0o644
        assert mode("d/e") == mode("d/e/g") == 0o2755
        m.remount()


def test_pruned(m):
    make("run", 0o755)
    os.makedirs("d/e")
    os.chmod("d/e", 0o700)
    make("old", 0o700)
    os.unlink("old")
    fresh = os.open("fresh", os.O_CREAT | os.O_WRONLY, 0o700)
    run(BLT, "prune", m.mnt)
    assert mode("fresh") == 0o700
    os.close(fresh)
    m.remount()
    run(BLT, "prune", m.mnt)
    m.remount()
    assert (mode("run"), mode("d/e"), mode("fresh")) == (0o755, 0o700, 0o700)


# ---- programs ----

def tree(top):
    os.umask(0o022)
    os.makedirs(f"{top}/d/private")
    os.chmod(f"{top}/d/private", 0o700)
    for name, bits in (("plain", 0o644), ("run", 0o755), ("d/secret", 0o600),
                       ("d/private/both", 0o4711)):
        make(f"{top}/{name}", bits)
    os.symlink("plain", f"{top}/link")
    os.setxattr(f"{top}/plain", "user.note", b"a\0b")
    # rsync takes times in one second for the same
    for path, dirs, files in os.walk(top, topdown=False):
        for name in files + dirs + ["."]:
            os.utime(os.path.join(path, name), ns=(10**18, 10**18 + 5000),
                     follow_symlinks=False)


def shape(top):
    found = {}
    for path, dirs, files in os.walk(top):
        for name in ["."] + dirs + files:
            at = os.path.join(path, name)
            st = os.lstat(at)
            found[os.path.relpath(at, top)] = (
                st.st_mode, st.st_uid, st.st_gid, st.st_mtime_ns // 1000)
    return found


def test_copies(m):
    source = os.path.join(m.dir, "source")
    os.mkdir(source)
    tree(source)
    if ROOT:
        os.chown(f"{source}/run", 1, 2)
        os.lchown(f"{source}/link", 3, 4)
    want = shape(source)
    run("cp", "-a", source, "copied")
    run("tar", "--xattrs", "-cpf", "../x.tar", "-C", source, ".")
    os.mkdir("unpacked")
    run("tar", "--xattrs", "-xpf", "../x.tar", "-C", "unpacked")
    tops = ["copied", "unpacked"]
    if shutil.which("rsync"):
        sync = ("rsync", "-aX", f"{source}/", "synced/")
        run(*sync)
        tops.append("synced")
    m.remount()
    for top in tops:
        got = shape(top)
        assert got == want, (top, got, want)
        assert os.listxattr(f"{top}/plain") == ["user.note"]
        assert os.getxattr(f"{top}/plain", "user.note") == b"a\0b"
    if "synced" in tops:
        again = run(*sync, "-i")
        assert again == "", again
        os.removexattr(f"{source}/plain", "user.note")
        again = run(*sync, "-i")
        assert again == ".f........x plain\n", again
        assert os.listxattr("synced/plain") == []


def test_git(m):
    env = dict(os.environ, HOME=m.dir, GIT_CONFIG_NOSYSTEM="1")

    def git(*args):
        return run("git", "-c", "user.name=n", "-c", "user.email=e@x",
                   "-c", "init.defaultBranch=main", *args, env=env)

    source = os.path.join(m.dir, "repo")
    git("init", "-q", source)
    make(f"{source}/run.sh", 0o755)
    make(f"{source}/plain", 0o644)
    git("-C", source, "add", ".")
    git("-C", source, "commit", "-qm", "x")
    git("clone", "-q", source, "clone")
    assert git("-C", "clone", "config", "core.fileMode").strip() == "true"
    m.remount()
    git("-C", "clone", "update-index", "--refresh")
    assert git("-C", "clone", "status", "--porcelain") == ""
    assert mode("clone/run.sh") == 0o755
    os.chmod("clone/plain", 0o755)
    assert git("-C", "clone", "diff", "--summary") == \
        " mode change 100644 => 100755 plain\n"


# ---- extended attributes ----

def test_xattrs(m):
    write("f", b"x")
    os.mkdir("d")
    assert os.listxattr("f") == os.listxattr("d") == []
    assert os.getxattr("f", "user.blt.key") == b"f", "though not listed"
    os.setxattr("f", "user.one", b"1")
    os.setxattr("f", "user.empty", b"")
    os.setxattr("f", "user.long", b"l" * 65536)
    os.setxattr("d", "user.overlay.opaque", b"y")
    os.setxattr(".", "user.root", b"r")
    with fails(errno.EEXIST):
        os.setxattr("f", "user.one", b"2", os.XATTR_CREATE)
    with fails(errno.ENODATA):
        os.setxattr("f", "user.two", b"2", os.XATTR_REPLACE)
    with fails(errno.EPERM):
        os.setxattr("f", "user.blt.key", b"2")
    with fails(errno.EPERM):
        os.removexattr("f", "user.blt.mine")
    if ROOT:
        for name in ("trusted.x", "security.x"):
            with fails(errno.EOPNOTSUPP):
                os.setxattr("f", name, b"x")
            with fails(errno.EOPNOTSUPP):
                os.getxattr("f", name)
    m.remount()
    assert sorted(os.listxattr("f")) == ["user.empty", "user.long", "user.one"]
    assert os.listxattr("d") == ["user.overlay.opaque"]
    assert os.getxattr("f", "user.one") == b"1"
    assert os.getxattr("f", "user.empty") == b""
    assert os.getxattr("f", "user.long") == b"l" * 65536
    assert os.getxattr(".", "user.root") == b"r"
    os.chmod("f", 0o600)
    os.rename("f", "g")
    os.chmod("g", 0o644)
    assert os.getxattr("g", "user.one") == b"1"
    os.removexattr("g", "user.long")
    with fails(errno.ENODATA):
        os.getxattr("g", "user.long")
    with fails(errno.ENODATA):
        os.removexattr("g", "user.long")
    os.unlink("g")
    write("g", b"")
    assert os.listxattr("g") == []
    # not of ours, and not of keys
    for path in (".bltfs", ".bltfs/stats"):
        with fails(errno.EOPNOTSUPP):
            os.setxattr(path, "user.x", b"x")


# ---- who may ----

def test_others(m):
    if not ROOT:
        print("skipped: needs root")
        return
    let_in(m)
    os.mkdir("d")
    os.chmod("d", 0o1777)
    make("mine", 0o600)
    os.symlink("mine", "d/l")
    assert as_user(NOBODY, read, "mine") == errno.EACCES
    assert as_user(NOBODY, os.chmod, "mine", 0o666) == errno.EPERM
    assert as_user(NOBODY, os.chown, "mine", NOBODY, -1) == errno.EPERM
    assert as_user(NOBODY, write, "d/theirs", b"x") == 0
    assert owner("d/theirs") == (NOBODY, NOBODY)
    assert as_user(NOBODY, os.chmod, "d/theirs", 0o600) == 0
    assert as_user(NOBODY, os.chown, "d/theirs", 0, -1) == errno.EPERM
    assert as_user(NOBODY, os.chown, "d/theirs", -1, 0) == errno.EPERM
    assert as_user(NOBODY, os.unlink, "d/l") == errno.EPERM
    m.remount()
    assert owner("d/theirs") == (NOBODY, NOBODY)
    assert as_user(NOBODY, read, "d/theirs") == 0
    assert as_user(OTHER, read, "d/theirs") == errno.EACCES
    make("suid", 0o6777)
    assert as_user(OTHER, write, "suid", b"changed") == 0
    assert mode("suid") == 0o777, "a write by others takes set-ID away"
    os.chmod("suid", 0o6777)
    with open("suid", "r+b", buffering=0) as f:
        assert as_user(OTHER, os.write, f.fileno(), b"x" * 100) == 0
    assert mode("suid") == 0o777
    for change in ((os.truncate, "suid", 7), (os.truncate, "suid", 70)):
        os.chmod("suid", 0o6777)
        assert as_user(OTHER, *change) == 0
        assert mode("suid") == 0o777, change
    for change in ((write, "suid", b"mine"), (os.truncate, "suid", 2)):
        os.chmod("suid", 0o6777)
        change[0](*change[1:])
        assert mode("suid") == 0o6777, "root's do not"
    os.chmod("suid", 0o2767)
    os.chown("suid", OTHER, -1)
    assert mode("suid") == 0o2767, "a lock, not a set-group-ID"
    assert as_user(OTHER, os.truncate, "suid", 1) == 0
    m.remount()
    assert mode("suid") == 0o2767 and owner("suid")[0] == OTHER
    os.chmod("suid", 0o4711)
    with open("suid", "r+b", buffering=0) as f:
        os.posix_fallocate(f.fileno(), 0, 5000)
        assert mode("suid") == 0o4711
        assert as_user(OTHER, os.posix_fallocate, f.fileno(), 0, 9000) == 0
        assert mode("suid") == 0o711


def test_daemon_checks(m):
    """Where the kernel does not: the mount's user alone, who need not own
    what is in it."""
    write("f", b"x")
    os.chown("f", os.getuid(), os.getgid())
    if not ROOT or os.stat("/dev/fuse").st_mode & 0o006 != 0o006:
        print("skipped: needs root, and that others may mount")
        return
    os.chown("f", OTHER, OTHER)
    os.chdir("/")
    m.stop()
    for path in (m.dir, m.store, m.mnt):
        os.chown(path, NOBODY, NOBODY)
    daemon = shutil.copy(os.environ["BLTFS"], m.dir)  # where nobody can go
    daemon = subprocess.Popen([daemon, "-f", m.store, m.mnt], user=NOBODY,
                              group=NOBODY, extra_groups=[], cwd="/")
    # root may not look into it
    daemonlib.until("the mount is there",
                    lambda: f" {m.mnt} " in read("/proc/self/mounts").decode())
    assert as_user(NOBODY, check_as_nobody, m.mnt) == 0
    daemonlib.unmount(m.mnt)
    assert daemon.wait() == 0
    m.start()
    assert mode(f"{m.mnt}/g") == 0o600


def check_as_nobody(mnt):
    os.chdir(mnt)
    with fails(errno.EPERM):
        os.chmod("f", 0o600)
    with fails(errno.EPERM):
        os.chown("f", NOBODY, -1)
    with fails(errno.EPERM):
        os.chown("f", -1, NOBODY)
    write("g", b"x")
    os.chmod("g", 0o600)
    os.chown("g", NOBODY, NOBODY)
    with fails(errno.EPERM):
        os.chown("g", -1, OTHER)
    os.chmod("g", 0o2600)
    assert mode("g") == 0o2600
    os.chmod("g", 0o600)


# ---- options ----

def test_masks(m):
    os.umask(0o022)
    os.close(os.open("x", os.O_CREAT | os.O_WRONLY, 0o777))
    write("f", b"")
    os.mkdir("d")
    assert (mode("."), mode("d"), mode("f"), mode("x")) == \
        (0o700, 0o700, 0o600, 0o700)
    os.chmod("f", 0o644)
    assert mode("f") == 0o644, "who says so gets it"
    os.chdir("/")
    m.stop()
    for options, want in (
            ([], (0o755, 0o755, 0o644, 0o700)),
            (["umask=027"], (0o750, 0o750, 0o644, 0o700)),
            (["fmask=0", "dmask=077", "ro"], (0o700, 0o700, 0o644, 0o700))):
        m.options = options
        m.start()
        os.chdir(m.mnt)
        assert (mode("."), mode("d"), mode("f"), mode("x")) == want
        if "ro" in options:
            with fails(errno.EROFS):
                os.chmod("f", 0o600)
        os.chdir("/")
        m.stop()
    m.start()


def check_dropped(m):
    make("f", 0o600)
    os.mkdir("d", 0o700)
    os.chown("f", 1, 1)
    assert (mode("f"), mode("d")) == (0o755, 0o755), "programs run"
    assert owner("f") == (os.getuid(), os.getgid())
    with fails(errno.EOPNOTSUPP):
        os.setxattr("f", "user.x", b"y")
    m.remount()
    assert (mode("f"), mode("d")) == (0o755, 0o755)


def test_dropped(m):
    check_dropped(m)
    os.chdir("/")
    m.stop()
    m.options = ["strict_attrs"]
    m.start()
    os.chmod(f"{m.mnt}/f", 0o755)
    m.stop()
    m.options = ["attrs=dropped", "strict_attrs"]
    m.start()
    os.chdir(m.mnt)
    assert mode("f") == 0o755
    with fails(errno.EPERM):
        os.chmod("f", 0o600)


def test_transaction(m):
    make("f", 0o755)
    os.mkdir(".bltfs/txn/t")
    os.chmod(".bltfs/txn/t/f", 0o600)
    make(".bltfs/txn/t/g", 0o755)
    write(".bltfs/txn/t/f", b"changed")
    run(BLT, "txn", "commit", m.mnt, "t")
    assert (mode("f"), mode("g")) == (0o755, 0o644)
    assert read("f") == b"changed"


def test_no_place(m):
    """In a store of values of one length."""
    m.said("keeps no modes and owners")
    make("f", 0o600)
    assert mode("f") == 0o755


def test_lmdb_asked(m):
    m.said("keeps no modes and owners")
    check_dropped(m)
    m.said("keeps no modes and owners")


def test_lmdb_silent(m):
    check_dropped(m)


BOOKLET = {
    test_defaults: (),
    test_made_with_a_mode: (),
    test_changed: (),
    test_owner: (),
    test_rename: (),
    test_rename_fresh: (),
    test_exchange: (),
    test_file_in_markers_place: (),
    test_file_in_markers_place_fresh: ("value_serializer=json",),
    test_exchange_is_one_change: (),
    test_made_again: (),
    test_unlinked_while_open: (),
    test_setgid_directory: (),
    test_pruned: (),
    test_copies: (),
    test_git: (),
    test_xattrs: (),
    test_others: ("allow_other",),
    test_daemon_checks: (),
    test_masks: ("umask=077",),
    test_dropped: ("attrs=dropped", "xattr"),
    test_transaction: (),
    test_no_place: ("attrs=stored", "value_len=1"),
}
LMDB = {
    test_lmdb_asked: ("attrs=stored", "xattr"),
    test_lmdb_silent: (),
}


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        return 77
    os.umask(0o022)
    for test, options in (LMDB if ENGINE == "lmdb" else BOOKLET).items():
        if sys.argv[1:] and test.__name__ not in sys.argv[1:]:
            continue
        if "allow_other" in options and not ROOT:
            print(f"{test.__name__}: skipped: needs root")
            continue
        print(test.__name__, flush=True)
        with Mount("create", *options) as m:
            test(m)
        os.umask(0o022)
    return 0


if __name__ == "__main__":
    sys.exit(main())
