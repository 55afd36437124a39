#!/usr/bin/env python3
"""Every vector, mounted read-only: each key is at exactly one path, with its
value, size and time.  Where a key's path is comes from a model of the rules
that shares nothing with the engine."""

import glob
import hashlib
import os
import stat
import subprocess
import sys
import tempfile

import daemonlib
import names_v2

BLTFS = os.environ["BLTFS"]
VECTORS = os.environ["VECTORS"]
INTEGERS = {
    6: (1, False), 7: (1, True), 8: (2, False), 9: (2, True),
    10: (4, False), 11: (4, True), 12: (5, False), 13: (5, True),
    14: (8, False), 15: (8, True),
}
CONTROL = b".bltfs"
# Something else is where modes and owners are kept.
OTHERS_SLOT = {"metadata.blt", "pruned-meta.blt"}


def escape(part, upto, conflict, both):
    """both: what is a key and a directory at once, in the same directory."""
    name = names_v2.shown(part, both)
    if upto == CONTROL:
        name = b"%%%02X" % part[0] + part[1:]
    suffix = b"%" if conflict else b""
    if len(name + suffix) > 255:
        name = b"%~" + hashlib.blake2s(
            upto, digest_size=13).hexdigest().encode()
    return name + suffix


def integer_name(key, width, signed):
    if len(key) != width:
        return b"%x" + key.hex().encode()
    return b"%d" % int.from_bytes(key, "little", signed=signed)


def both_below(prefix, items, dirs):
    return {k[len(prefix):] for k in items
            if k.startswith(prefix) and b"/" not in k[len(prefix):]
            and k + b"/" in dirs}


def paths(items, serializer):
    """path -> key, for all keys of a store; empty directories have None."""
    if serializer in INTEGERS:
        return {integer_name(k, *INTEGERS[serializer]): k for k in items}
    dirs = {k[:i + 1] for k in items for i, c in enumerate(k) if c == 0x2F}
    result = {}
    for key, (value, _) in items.items():
        parts, at, path = key.split(b"/"), 0, []
        for i, part in enumerate(parts):
            at += len(part)
            last = i + 1 == len(parts)
            marker = last and i and part == b"" and value == b""
            if not marker:
                conflict = last and key + b"/" in dirs
                path.append(escape(part, key[:at], conflict,
                                   both_below(key[:at - len(part)], items, dirs)))
            at += 1
        marker = len(parts) > 1 and parts[-1] == b"" and value == b""
        path = b"/".join(path)
        if not marker:
            result[path] = key
    return result


def unhex(text):
    return b"" if text == "-" else bytes.fromhex(text)


def expectation(path):
    fields, items = {}, {}
    with open(path) as f:
        for line in f:
            if line.startswith("# "):
                parts = line[2:].rstrip("\n").split(" ", 1)
                fields[parts[0]] = parts[1] if len(parts) > 1 else ""
            elif line.strip():
                key, value, when = line.split()
                items[unhex(key)] = (
                    unhex(value), None if when == "-" else int(when))
    return fields, items


def check_file(path, mode, value, when):
    st = os.lstat(path)
    assert stat.S_ISREG(st.st_mode), path
    assert stat.S_IMODE(st.st_mode) == mode, (path, oct(st.st_mode))
    assert st.st_nlink == 1, path
    assert st.st_size == len(value), (path, st.st_size, len(value))
    assert st.st_blocks == (len(value) + 511) // 512, path
    if when is not None:
        assert st.st_mtime_ns == when * 1000, (path, st.st_mtime_ns, when)
    with open(path, "rb") as f:
        assert f.read() == value, path


def check_mount(mnt, fields, items, mode):
    want = paths(items, int(fields["key_serializer"]))
    assert len(want) + sum(
        k.endswith(b"/") and not v for k, (v, _) in items.items()
        if int(fields["key_serializer"]) not in INTEGERS) == len(items)
    found = set()
    for where, _, files in os.walk(mnt):
        for name in files:
            found.add(os.path.relpath(os.path.join(where, name), mnt))
    assert found == set(want), (found ^ set(want))
    for path, key in want.items():
        check_file(os.path.join(mnt, path), mode, *items[key])
    for wrong in (b"no such", b"%2541", b"%", b"x%", b"%~00"):
        path = os.path.join(mnt, wrong)
        assert os.path.lexists(path) == (wrong in want or any(
            p.startswith(wrong + b"/") for p in want)), wrong
    # the mount's own, and in no listing: found would have it
    assert os.path.isdir(os.path.join(mnt, CONTROL))


def check_vector(store, mnt):
    fields, items = expectation(store[:-4] + ".expect")
    with subprocess.Popen([BLTFS, "-f", store, mnt, "-o", "ro"],
                          stderr=subprocess.PIPE) as daemon:
        try:
            daemonlib.mounted(daemon, mnt, daemon.stderr.read)
            kept = fields["fixed"] == "0" and \
                os.path.basename(store) not in OTHERS_SLOT
            check_mount(os.fsencode(mnt), fields, items,
                        0o644 if kept else 0o755)
        finally:
            if os.path.ismount(mnt):
                daemonlib.unmount(mnt)
            said = daemon.stderr.read().decode()
        if os.path.basename(store) in OTHERS_SLOT:
            assert said.count("\n") == 1, said
            assert "reserved slot 2, holds something else" in said, said
            said = ""
        assert daemon.wait() == 0 and said == "", said
    return len(items)


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        return 77
    stores = sorted(glob.glob(os.path.join(VECTORS, "*.blt")))
    assert stores, "no vectors"
    with tempfile.TemporaryDirectory() as mnt:
        for store in stores:
            print(os.path.basename(store), check_vector(store, mnt),
                  flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
