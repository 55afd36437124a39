#!/usr/bin/env python3
"""Several processes move money between accounts, each time in a transaction,
until the daemon is killed under them, again and again.  Whoever adds up all
accounts in a transaction that can be committed finds the same sum; behind a
kill each transaction is there whole or not at all, and those whose commit had
returned are there.  BANK_ROUNDS sets how often, BANK_SEED with which numbers."""

import errno
import fcntl
import multiprocessing
import os
import random
import struct
import sys

import controllib
import toollib as t
from controllib import Mount, check
from daemonlib import until
from mountlib import new_store

ROUNDS = int(os.environ.get("BANK_ROUNDS", "3"))
ENGINE = os.environ.get("BLT_ENGINE", "booklet")
SEED = int(os.environ.get("BANK_SEED", "1"))
ACCOUNTS, WORKERS, START = 12, 3, 1000
ENOUGH = 15  # transfers of each worker, before the kill

TXN = "256sIIqQQQ"
COMMIT = 3 << 30 | struct.calcsize(TXN) << 16 | 0xb7 << 8 | 25

work = controllib.directory()
store = new_store(work)


class Conflict(Exception):
    pass


class Transaction:
    def __init__(self, mnt, name):
        self.mnt, self.name = mnt, name
        self.top = os.path.join(mnt, ".bltfs", "txn", name)

    def __enter__(self):
        os.mkdir(self.top)
        return self

    def read(self, name):
        with open(os.path.join(self.top, name), encoding="ascii") as f:
            return f.read()

    def write(self, name, text):
        with open(os.path.join(self.top, name), "w", encoding="ascii") as f:
            f.write(text)

    def __exit__(self, kind, *_):
        fd = os.open(self.mnt, os.O_RDONLY)
        try:
            if kind is None:
                fcntl.ioctl(fd, COMMIT, struct.pack(
                    TXN, self.name.encode(), 0, 0, 0, 0, 0, 0))
            else:
                os.rmdir(self.top)
        except OSError as e:
            if e.errno != errno.EAGAIN:
                raise
            os.rmdir(self.top)
            raise Conflict from None
        finally:
            os.close(fd)
        os.path.exists(self.top)


def amount(text):
    """A whole value: the number in it three times."""
    parts = text.split()
    assert len(parts) == 3 and len(set(parts)) == 1, repr(text)
    return int(parts[0])


def value(n):
    return f"{n:60} {n:60} {n:60}\n"


def transfer(mnt, me, rng, count):
    one, two = rng.sample(range(ACCOUNTS), 2)
    n = rng.randrange(1, 50)
    with Transaction(mnt, me) as x:
        x.write(f"acct/{one}", value(amount(x.read(f"acct/{one}")) - n))
        x.write(f"acct/{two}", value(amount(x.read(f"acct/{two}")) + n))
        x.write(f"done/{me}.{count}", f"{one} {two} {n}")


def works(mnt, me, seed, first, done, stop):
    """Until the daemon is gone; done.value transfers have been acknowledged."""
    rng = random.Random(seed)
    count = first
    while not stop.is_set():
        try:
            transfer(mnt, me, rng, count)
        except Conflict:
            continue
        except OSError:
            return
        count += 1
        done.value = count


def audits(mnt, sums, stop, wrong):
    while not stop.is_set():
        try:
            with Transaction(mnt, "audit") as x:
                found = sum(amount(x.read(f"acct/{i}"))
                            for i in range(ACCOUNTS))
        except Conflict:
            continue
        except OSError:
            return
        except AssertionError:
            wrong.value = 1
            return
        if found != ACCOUNTS * START:
            wrong.value = 1
            return
        sums.value += 1


def replay(mnt, acknowledged):
    """What the transactions that are there have made of the accounts."""
    now = [START] * ACCOUNTS
    found = {me: set() for me in acknowledged}
    for name in os.listdir(os.path.join(mnt, "done")):
        me, count = name.split(".")
        found[me].add(int(count))
        with open(os.path.join(mnt, "done", name), encoding="ascii") as f:
            one, two, n = map(int, f.read().split())
        now[one] -= n
        now[two] += n
    for i, n in enumerate(now):
        with open(os.path.join(mnt, f"acct/{i}"), encoding="ascii") as f:
            t.equal(amount(f.read()), n, f"account {i}")
    for me, count in acknowledged.items():
        assert found[me] >= set(range(count)), (me, count, found[me])
        assert found[me] <= set(range(count + 1)), (me, count, found[me])
    return {me: max(n, default=-1) + 1 for me, n in found.items()}


def one_round(n, first, last):
    ctx = multiprocessing.get_context("spawn")
    m = Mount(store)
    with m:
        stop, wrong = ctx.Event(), ctx.Value("i", 0)
        sums = ctx.Value("i", 0)
        counts = {me: ctx.Value("i", k) for me, k in first.items()}
        people = [ctx.Process(target=works, args=(
            m.path, me, SEED * 1000 + n * 10 + i, first[me], counts[me], stop))
            for i, me in enumerate(first)]
        people.append(ctx.Process(target=audits,
                                  args=(m.path, sums, stop, wrong)))
        for p in people:
            p.start()
        until("transfers and sums", lambda: wrong.value or (
            all(counts[me].value >= k + ENOUGH for me, k in first.items()) and
            sums.value > 0))
        if last:
            stop.set()
        else:
            m.kill()
        for p in people:
            p.join()
            t.equal(p.exitcode, 0, "a process")
        t.equal(wrong.value, 0, "a wrong sum")
    with Mount(store, expect="recover") as m:
        return replay(m.path, {me: c.value for me, c in counts.items()})


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        sys.exit(77)
    t.ok("create", "--engine", ENGINE, store)
    with Mount(store) as m:
        os.mkdir(os.path.join(m.path, "acct"))
        os.mkdir(os.path.join(m.path, "done"))
        for i in range(ACCOUNTS):
            with open(os.path.join(m.path, f"acct/{i}"), "w",
                      encoding="ascii") as f:
                f.write(value(START))
    done = {f"w{i}": 0 for i in range(WORKERS)}
    for n in range(ROUNDS):
        done = one_round(n, done, n == ROUNDS - 1)
    if ENGINE == "booklet":
        check(store)
    t.ok("check", "-q", store)
    print(f"seed {SEED}: {sum(done.values())} transfers, {ROUNDS - 1} kills")


if __name__ == "__main__":
    try:
        main()
    except Exception:
        print(f"BANK_SEED={SEED}", file=sys.stderr)
        raise
