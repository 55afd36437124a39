#!/usr/bin/env python3
"""The filesystem against a model of it: a plain directory.

The same random operations, with the same random arguments, on a mount and on a
directory beside it: results and errnos are the same, and now and then the whole
trees are: names, types, contents, sizes, link targets, times.  Files and
directories stay open while they are renamed, replaced and unlinked.

MODEL_OPS sets how many operations, MODEL_SEED where the numbers begin; a failure
says the seed and what was done last.
"""

import collections
import mmap
import os
import random
import shutil
import stat
import sys
import tempfile

from mountlib import ENGINE, EXCHANGE, NOREPLACE, Mount, renameat2

OPS = int(os.environ.get("MODEL_OPS", "4000"))
SEED = int(os.environ.get("MODEL_SEED", "1"))
# Times below this were set, times above it are when something was changed.
LONG_AGO = 10**9 * 10**9
NAMES = ("a", "b", "c", "d.txt", "e", "100%25", "ü ü", "n" * (200 if ENGINE == "booklet" else 60),  # a path is one key
         "%2E")
OPENED = 8


class Side:
    """One of the two: a directory and what is open in it, by number."""

    def __init__(self, root):
        self.root = root
        self.fds = {}
        self.at = 0

    def path(self, name):
        return os.path.join(self.root, name) if name else self.root

    def close(self):
        for fd in self.fds.values():
            os.close(fd)
        self.fds.clear()


# ---- operations: (side, arguments...) -> something to be compared ----

def op_write(s, name, data):
    with open(s.path(name), "wb", buffering=0) as f:
        return f.write(data)


def op_append(s, name, data):
    with open(s.path(name), "ab", buffering=0) as f:
        f.write(data)


def op_read(s, name):
    with open(s.path(name), "rb") as f:
        return f.read()


def op_truncate(s, name, size):
    os.truncate(s.path(name), size)


def op_unlink(s, name):
    os.unlink(s.path(name))


def op_mkdir(s, name):
    os.mkdir(s.path(name))


def op_rmdir(s, name):
    os.rmdir(s.path(name))


def op_rename(s, one, two):
    ino = os.lstat(s.path(one)).st_ino
    os.rename(s.path(one), s.path(two))
    return os.lstat(s.path(two)).st_ino == ino


def op_rename_new(s, one, two):
    renameat2(s.path(one), s.path(two), NOREPLACE)


def op_exchange(s, one, two):
    renameat2(s.path(one), s.path(two), EXCHANGE)


def op_symlink(s, target, name):
    os.symlink(target, s.path(name))


def op_readlink(s, name):
    return os.readlink(s.path(name))


def op_utime(s, name, when):
    os.utime(s.path(name), ns=(when, when))


def op_list(s, name):
    with os.scandir(s.path(name)) as it:
        return sorted((e.name, e.is_dir(follow_symlinks=False),
                       e.is_symlink()) for e in it)


def op_stat(s, name):
    return facts(s.path(name))


def op_open(s, name, flags):
    fd = os.open(s.path(name), flags, 0o644)
    if s.at in s.fds:
        os.close(s.fds[s.at])
    s.fds[s.at] = fd
    s.at = (s.at + 1) % OPENED


def op_fd_close(s, number):
    os.close(s.fds.pop(number))


def op_fd_read(s, number, offset, size):
    return os.pread(s.fds[number], size, offset)


def op_fd_write(s, number, offset, data):
    return os.pwrite(s.fds[number], data, offset)


def op_fd_truncate(s, number, size):
    os.ftruncate(s.fds[number], size)


def op_fd_stat(s, number):
    st = os.fstat(s.fds[number])
    return (stat.S_IFMT(st.st_mode),
            st.st_size if stat.S_ISREG(st.st_mode) else None)


def op_fd_sync(s, number):
    os.fsync(s.fds[number])


def op_fd_utime(s, number, when):
    os.utime(s.fds[number], ns=(when, when))


def op_fd_list(s, number):
    return sorted(os.listdir(s.fds[number]))


def op_fd_map(s, number, offset, data):
    """Through a shared mapping, within the file."""
    fd = s.fds[number]
    size = os.fstat(fd).st_size
    if not stat.S_ISREG(os.fstat(fd).st_mode) or size == 0:
        return None
    with mmap.mmap(fd, size) as mapped:
        offset %= size
        n = min(len(data), size - offset)
        mapped[offset:offset + n] = data[:n]
        mapped.flush()
        return mapped[:]


def op_fd_at(s, number, name):
    """A name in a directory that is open, wherever that is now."""
    fd = os.open(name, os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=s.fds[number])
    os.close(fd)


# ---- what is to be the same ----

def facts(path):
    st = os.lstat(path)
    kind = stat.S_IFMT(st.st_mode)
    if stat.S_ISDIR(st.st_mode):
        return kind, None, None
    if ENGINE != "booklet":
        return kind, st.st_size, None  # it keeps no times
    when = st.st_mtime_ns if st.st_mtime_ns < LONG_AGO else "now"
    if stat.S_ISLNK(st.st_mode):
        return kind, st.st_size, os.readlink(path)
    return kind, st.st_size, when


def picture(root):
    """Every name below root with its facts and content."""
    found = {}
    for top, dirs, files in os.walk(root):
        for name in dirs + files:
            path = os.path.join(top, name)
            fact = facts(path)
            content = None
            if stat.S_ISREG(fact[0]):
                with open(path, "rb") as f:
                    content = f.read()
            found[os.path.relpath(path, root)] = fact + (content,)
    return found


# ---- arguments ----

def a_name(rng):
    depth = rng.choice((1, 1, 2, 2, 2, 3))
    return "/".join(rng.choice(NAMES) for _ in range(depth))


def some_bytes(rng):
    size = rng.choice((0, 1, 10, 100, 1067, 4096, 5000, 70000))
    return rng.randbytes(rng.randrange(size + 1))


def a_size(rng):
    return rng.randrange(rng.choice((1, 100, 5000, 100000)))


def a_time(rng):
    return rng.randrange(LONG_AGO // 1000) * 1000


def a_flag(rng):
    flags = rng.choice((os.O_RDONLY, os.O_RDWR, os.O_RDWR, os.O_WRONLY))
    for more in (os.O_CREAT, os.O_CREAT, os.O_EXCL, os.O_TRUNC, os.O_APPEND,
                 os.O_DIRECTORY):
        if rng.randrange(4) == 0:
            flags |= more
    if flags & os.O_DIRECTORY:  # with O_CREAT kernels differ
        flags &= ~os.O_CREAT
    return flags


def an_fd(rng):
    return rng.randrange(OPENED)


def a_target(rng):
    return rng.choice(("a", "./b", "nowhere", "x" * 300, "c/d.txt"))


def a_plain_name(rng):
    return rng.choice(NAMES)


OPERATIONS = (
    # how often, what, how its arguments are made
    (12, op_write, (a_name, some_bytes)),
    (4, op_append, (a_name, some_bytes)),
    (8, op_read, (a_name,)),
    (3, op_truncate, (a_name, a_size)),
    (6, op_unlink, (a_name,)),
    (8, op_mkdir, (a_name,)),
    (3, op_rmdir, (a_name,)),
    (10, op_rename, (a_name, a_name)),
    (2, op_rename_new, (a_name, a_name)),
    (2, op_exchange, (a_name, a_name)),
    (2, op_symlink, (a_target, a_name)),
    (2, op_readlink, (a_name,)),
    (3, op_utime, (a_name, a_time)),
    (4, op_list, (a_name,)),
    (6, op_stat, (a_name,)),
    (8, op_open, (a_name, a_flag)),
    (3, op_fd_close, (an_fd,)),
    (6, op_fd_read, (an_fd, a_size, a_size)),
    (8, op_fd_write, (an_fd, a_size, some_bytes)),
    (3, op_fd_truncate, (an_fd, a_size)),
    (4, op_fd_stat, (an_fd,)),
    (1, op_fd_sync, (an_fd,)),
    (2, op_fd_utime, (an_fd, a_time)),
    (1, op_fd_list, (an_fd,)),
    (2, op_fd_map, (an_fd, a_size, some_bytes)),
    (1, op_fd_at, (an_fd, a_plain_name)),
)


def outcome(op, side, args):
    try:
        return "ok", op(side, *args)
    except KeyError:
        return "not open", None
    except OSError as e:
        return "error", os.strerror(e.errno)


def short(value):
    text = repr(value)
    return text if len(text) < 160 else f"{text[:160]}... ({len(text)})"


class Run:
    def __init__(self, mount, plain, seed):
        self.mount = mount
        self.seed = seed
        self.rng = random.Random(seed)
        self.sides = Side(mount.mnt), Side(plain)
        self.last = collections.deque(maxlen=25)
        self.weights = [w for w, _, _ in OPERATIONS]
        self.errors = 0

    def die(self, what, got, wanted):
        for line in self.last:
            print("   ", line, file=sys.stderr)
        sys.exit(f"seed {self.seed}: {what}:\n    mount {short(got)}\n"
                 f"    plain {short(wanted)}")

    def step(self, number):
        _, op, makers = self.rng.choices(OPERATIONS, self.weights)[0]
        args = [make(self.rng) for make in makers]
        got, wanted = (outcome(op, s, args) for s in self.sides)
        self.last.append(f"{number}: {op.__name__[3:]}"
                         f"{short(args)} -> {short(wanted)}")
        self.errors += wanted[0] == "error"
        if got != wanted:
            self.die("different", got, wanted)

    def compare(self):
        got, wanted = (picture(s.root) for s in self.sides)
        for name in sorted(set(got) | set(wanted)):
            if got.get(name) != wanted.get(name):
                self.die(name, got.get(name), wanted.get(name))

    def remount(self):
        """What was open is closed; the store is checked."""
        for s in self.sides:
            s.close()
        self.mount.remount()

    def run(self, ops):
        for number in range(ops):
            self.step(number)
            if number % 500 == 499:
                self.compare()
            if number % 2500 == 2499:
                self.remount()
                self.compare()
        self.remount()
        self.compare()
        print(f"{ops} operations, {self.errors} of them refused, seed "
              f"{self.seed}: as a plain directory", flush=True)


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        return 77
    plans = ("create",), ("create", "max_staging=64K")
    for number, options in enumerate(plans):
        plain = tempfile.mkdtemp()
        with Mount(*options) as mount:
            Run(mount, plain, SEED + number).run(OPS // len(plans))
        shutil.rmtree(plain)
    return 0


if __name__ == "__main__":
    sys.exit(main())
