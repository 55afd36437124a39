#!/usr/bin/env python3
"""What is no store, or a damaged one, is refused in words with an exit code,
or mounted and used as far as it goes; never a crash, never a hang."""

import os
import random
import shutil
import subprocess
import sys
import tempfile

from daemonlib import LIMIT, until

BLTFS, VECTORS = os.environ["BLTFS"], os.environ["VECTORS"]
SLOW = os.environ.get("SANITIZERS", "no") != "no"
USAGE, DATAERR, NOINPUT, OSFAULT, IOERR, NOPERM = 64, 65, 66, 71, 74, 77
NOBODY = 65534
USE = """cd "$0" && find . -ls; find . -type f | head -20 |
tr '\\n' '\\0' | xargs -0 cat; echo x > new; mkdir dir; mv new dir/;
rm -r dir; ls | head -1 | tr '\\n' '\\0' | xargs -0 rm -r"""


def run(path, mnt, *options):
    """Mounts it and uses the mount, where there is one; exit code, words."""
    with tempfile.TemporaryFile() as log:
        daemon = subprocess.Popen([BLTFS, "-f", path, mnt, *options],
                                  stderr=log)
        until(f"{path}: a mount or none",
              lambda: daemon.poll() is not None or os.path.ismount(mnt))
        if daemon.poll() is None:
            try:
                subprocess.run(["sh", "-c", USE, mnt], timeout=LIMIT,
                               capture_output=True, check=False)
            finally:
                subprocess.run(["fusermount3", "-u", "-z", mnt], check=False)
        log.seek(0)
        code = daemon.wait(LIMIT)
        return code, log.read().decode(errors="replace")


def check_refusals(top, mnt):
    def write(data):
        def make(path):
            with open(path, "wb") as f:
                f.write(data)
        return make

    for name, make, code, words in (
            ("directory", os.mkdir, DATAERR, "is a directory"),
            ("empty", write(b""), DATAERR, "header"),
            ("short", write(bytes(199)), DATAERR, "199 bytes"),
            ("zeros", write(bytes(9999)), DATAERR, "not a booklet file"),
            ("fifo", os.mkfifo, None, "is a fifo"),
            ("device", lambda p: os.symlink("/dev/null", p), None,
             "is a device"),
            ("missing", lambda p: None, NOINPUT, "No such file")):
        path = os.path.join(top, name)
        make(path)
        got, said = run(path, mnt)
        assert got == code or (code is None and got in (USAGE, DATAERR)), \
            (name, got)
        assert words in said and said.startswith(f"bltfs: {path}: "), said


def damaged(data, dice):
    data = bytearray(data)
    if dice.randrange(3) == 0:
        return data[:dice.randrange(len(data))]
    for _ in range(dice.choice((1, 1, 5))):
        at = dice.choice((dice.randrange(77), dice.randrange(len(data))))
        data[at] ^= 1 << dice.randrange(8)
    return data


def check_damage(top, mnt):
    dice = random.Random(9)
    path = os.path.join(top, "damaged.blt")
    for i in range(20 if SLOW else 60):
        name = dice.choice(("chains", "fixed-pruned", "pruned-meta", "names",
                            "intkeys-uint4", "relocated"))
        with open(os.path.join(VECTORS, name + ".blt"), "rb") as f:
            data = damaged(f.read(), dice)
        with open(path, "wb") as f:
            f.write(data)
        code, said = run(path, mnt, *(["-o", "ro"] if i % 2 else []))
        assert code in (0, DATAERR, OSFAULT, IOERR), (i, name, code, said)
        assert code == 0 or path in said, (i, name, code, said)


def check_permission(top, mnt):
    """As a user who may not open the store.  Root may open anything, so it
    becomes another."""
    other = []
    os.chmod(top, 0o755)
    program = shutil.copy(BLTFS, os.path.join(top, "bltfs"))
    path = shutil.copy(os.path.join(VECTORS, "small.blt"), top)
    os.chmod(path, 0)
    if os.geteuid() == 0:
        os.chown(mnt, NOBODY, NOBODY)
        other = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
                 "--clear-groups"]
    for options, hint in (((), "with -o ro it is only read"),
                          (("-o", "ro"), "must be readable to you")):
        done = subprocess.run(
            [*other, program, *options, path, mnt],
            capture_output=True, text=True, timeout=60)
        assert done.returncode == NOPERM, (options, done)
        for text in (path, "Permission denied", hint):
            assert text in done.stderr, (options, text, done.stderr)
    if other:
        os.chown(mnt, 0, 0)


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        return 77
    with tempfile.TemporaryDirectory() as top:
        mnt = os.path.join(top, "mnt")
        os.mkdir(mnt)
        check_refusals(top, mnt)
        check_permission(top, mnt)
        check_damage(top, mnt)
    return 0


sys.exit(main())
