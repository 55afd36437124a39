#!/usr/bin/env python3
"""Every vector, mounted writable and written to: what was there stays, and all
keys and values load under the store's serializers afterwards."""

import glob
import os
import shutil
import subprocess
import sys
import tempfile

from places import BLT, BLTFS, CHECKER, VECTORS

if not os.path.exists("/dev/fuse"):
    sys.exit(77)


def files_below(mount):
    found = {}
    for top, _, names in os.walk(os.fsencode(mount)):
        for name in names:
            path = os.path.join(top, name)
            with open(path, "rb") as f:
                found[path] = f.read()
    return found


def new_name(found, mount):
    """One that the store's keys allow: another number, or a word."""
    names = [os.path.basename(path) for path in found]
    if names and all(n.lstrip(b"-").isdigit() for n in names):
        return next(b"%d" % i for i in range(100) if b"%d" % i not in names)
    return b"new-file"


def write(mount, found):
    """A new key with a value that the store holds already, and that value
    again under its own key."""
    if not found:
        return {}
    path, value = next(iter(sorted(found.items(), key=lambda i: -len(i[1]))))
    new = os.path.join(os.fsencode(mount), new_name(found, mount))
    for target in (new, path):
        with open(target, "wb") as f:
            f.write(value)
    return {new: value}


def main():
    top = tempfile.mkdtemp(prefix="mount-loads.")
    mount = os.path.join(top, "m")
    os.mkdir(mount)
    for vector in sorted(glob.glob(os.path.join(VECTORS, "*.blt"))):
        store = shutil.copy(vector, top)
        os.chmod(store, 0o600)
        subprocess.run([BLTFS, store, mount], check=True)
        found = files_below(mount)
        found.update(write(mount, found))
        subprocess.run([BLT, "umount", mount], check=True)
        subprocess.run([sys.executable, CHECKER, "--loads", store], check=True)
        subprocess.run([BLTFS, "-o", "ro", store, mount], check=True)
        again = files_below(mount)
        subprocess.run([BLT, "umount", mount], check=True)
        if again != found:
            sys.exit(f"{vector}: another content after the next mount")
    shutil.rmtree(top)


main()
