#!/usr/bin/env python3
"""blt trusts no daemon: a server that answers at random, and with the worst
that each field can hold (tests/lib/hostile.c), is a mount to each subcommand.
None may crash, fail a sanitizer's check or go on for ever, and a job that never
ends can be left.
"""

import contextlib
import os
import signal
import subprocess
import sys

import toollib as t

HOSTILE = os.environ.get("HOSTILE", os.path.join(
    os.path.dirname(t.BLT), "tests", "lib", "hostile"))
SEEDS = int(os.environ.get("HOSTILE_SEEDS", "2"))
MODES = ("zero", "ones", "text", "echo", "short", "random", "fields")

COMMANDS = (
    "info M", "info -j M", "info -c M", "stat M/f", "stat M f", "get M/f",
    "jobs M", "jobs -j M", "cancel M 1", "wait M", "wait M 1",
    "prune M", "prune -j M", "prune --older-than 1d M", "prune -d M",
    "trim M", "reindex M", "clear M", "sync M", "copy M new.blt",
    "map M -- cat", "map -j M -- cat", "top -n 1 M", "top -n 1 -j M",
    "txn list M", "txn list -j M", "txn begin M", "txn begin M a",
    "txn commit M a", "txn abort M a", "txn run M -- true",
    "seq len M/d", "seq get M/d 0", "seq iter M/d", "seq append M/d f",
    "seq insert M/d 0 f", "seq slice M/d 0:9", "seq update M/d 0 f=x", "seq delete M/d 0", "seq move M/d 0 1",
    "seq create M/d2", "longnames M", "check M", "umount -t 0.1 M",
)


@contextlib.contextmanager
def served(mode, seed):
    os.makedirs("mnt", exist_ok=True)
    server = subprocess.Popen([HOSTILE, mode, str(seed), "mnt"],
                              stdout=subprocess.PIPE)
    try:
        assert server.stdout.readline() == b"ready\n"
        yield server
    finally:
        subprocess.run(["fusermount3", "-u", "-q", "-z", "mnt"])
        server.kill()
        server.wait()


def run(command):
    """Its limit is that of toollib; a crash is an error there."""
    done = t.run(*command.replace("M", "mnt").split(), stdin=b"value\n")
    assert done.returncode >= 0, (command, done)
    return done


def check_answers(mode, seed):
    with served(mode, seed):
        for command in COMMANDS:
            try:
                run(command)
            except BaseException:
                print(f"{mode}, seed {seed}: blt {command}", file=sys.stderr)
                raise


def check_endless():
    """A listing or an answer without an end is an error, not a loop."""
    with served("ascend", 1):
        for command in ("jobs M", "txn list M", "seq get M/d 0"):
            done = run(command)
            assert done.returncode == t.DATAERR, (command, done.returncode)
            assert b"not one of bltfs" in done.stderr, (command, done.stderr)


def check_left():
    """The first signal asks the daemon to cancel; the second ends blt."""
    with served("busy", 1) as server:
        blt = subprocess.Popen([t.BLT, "prune", "mnt"])
        assert server.stdout.readline() == b"job\n"
        blt.send_signal(signal.SIGINT)
        while server.stdout.readline() != b"cancel\n":
            pass
        blt.send_signal(signal.SIGINT)
        assert blt.wait(t.LIMIT) == -signal.SIGINT


def main():
    if not os.access("/dev/fuse", os.W_OK) or not os.access(HOSTILE, os.X_OK):
        return 77
    os.chdir(t.directory())
    for mode in MODES:
        for seed in range(SEEDS if mode in ("random", "fields") else 1):
            check_answers(mode, seed)
    check_endless()
    check_left()
    return 0


sys.exit(main())
