#!/usr/bin/env python3
"""Several processes at once on the same few names of one mount: nothing hangs,
nothing fails but as it may, a content is always one that somebody wrote whole,
and the store is sound in the end."""

import errno
import multiprocessing
import os
import random
import sys

from mountlib import Mount

STEPS = int(os.environ.get("STEPS", "400"))
# what another process's rename, unlink or rmdir can make of a call
MAY = {errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR,
       errno.EISDIR, errno.EINVAL}


def content(rng):
    return bytes([rng.randrange(65, 91)]) * rng.choice((1, 10, 5000, 200000))


def a_name(rng):
    return "/".join(rng.choice("abc") for _ in range(rng.choice((1, 2, 2, 3))))


def step(rng):
    kind, one, two = rng.randrange(9), a_name(rng), a_name(rng)
    if kind == 0:
        os.mkdir(one)
    elif kind == 1:
        os.rmdir(one)
    elif kind == 2:
        os.unlink(one)
    elif kind == 3:
        os.rename(one, two)
    elif kind == 4:
        for entry in os.scandir(one):
            entry.stat(follow_symlinks=False)
    elif kind == 5:
        # a new value appears at once and whole
        new = f"new-{os.getpid()}"
        with open(new, "wb") as f:
            f.write(content(rng))
        os.rename(new, one)
    elif kind == 6:
        with open(one, "rb") as f:
            data = f.read()
        assert len(set(data)) <= 1, "a mixture"
    elif kind == 7:
        os.utime(one, (1, rng.randrange(1, 1000)))
    else:
        os.stat(one)


def work(seed):
    rng = random.Random(seed)
    for _ in range(STEPS):
        try:
            step(rng)
        except OSError as e:
            if e.errno not in MAY:
                raise


def there(mnt):
    return sorted(os.path.relpath(os.path.join(d, n), mnt)
                  for d, dirs, files in os.walk(mnt) for n in dirs + files)


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        return 77
    with Mount("create") as m:
        workers = [multiprocessing.Process(target=work, args=(seed,))
                   for seed in range(6)]
        for w in workers:
            w.start()
        for w in workers:
            w.join(300)
            assert w.exitcode == 0, f"a worker ended with {w.exitcode}"
        seen = there(m.mnt)
        m.remount()
        assert there(m.mnt) == seen, "another mount shows something else"
        print(len(seen), "names are left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
