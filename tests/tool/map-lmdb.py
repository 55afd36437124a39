#!/usr/bin/env python3
"""A map over an LMDB environment: its workers have it open themselves; one that
is killed leaves nothing behind there; and each item is as it was at the start,
whoever changes it meanwhile."""

import os
import sys

import toollib as t
from lmdblib import lmdb

VALUE = b"v" * 9999  # longer than what is sent along with its key
FUNCTION = """#!/bin/sh
case $BLT_KEY in
*change) echo changed | {blt} put {store} {key} || exit 1 ;;
*die) [ -e {flag} ] || {{ : >{flag}; kill -KILL "$PPID"; }} ;;
*open) grep -q {store} "/proc/$PPID/maps" || exit 2 ;;
esac
tr v w
"""
KEYS = ["change", "changed", "die", "open"] + [f"k{i}" for i in range(40)]


def mapped(where, db):
    """All keys of an environment, or of one database in it, one at a time."""
    store, flag = os.path.join(where, db or "plain"), os.path.join(where, "flag")
    function = os.path.join(where, "function")
    with open(function, "w", encoding="ascii") as f:
        f.write(FUNCTION.format(blt=t.BLT, store=store, flag=flag, key=(
            db + "/" if db else "") + "changed"))
    os.chmod(function, 0o700)
    name = db.encode() if db else None
    # open all the time, or the table of readers would begin anew
    with lmdb.open(store, map_size=1 << 26, max_dbs=4, subdir=False) as env:
        opened = env.open_db(name)
        with env.begin(write=True, db=opened) as txn:
            for key in KEYS:
                txn.put(key.encode(), VALUE)
        counts, failed = t.mapped("-j", "1", store, "--", function)
        t.equal((counts, failed), ((len(KEYS), len(KEYS), 0, 0), {}), "the map")
        t.equal(os.path.exists(flag), True, "killed")
        os.unlink(flag)
        t.equal("no active readers" in env.readers(), True, env.readers())
        with env.begin(db=opened) as txn:
            for key in KEYS:
                t.equal(txn.get(key.encode()), VALUE.replace(b"v", b"w"), key)


def main():
    where = t.directory()
    mapped(where, None)
    mapped(where, "named")
    return 0


if __name__ == "__main__":
    sys.exit(main())
