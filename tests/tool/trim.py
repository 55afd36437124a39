#!/usr/bin/env python3
"""blt trim on a store file: the same size, less of the disk, and all there."""

import json
import os

import toollib as t

work = t.directory()
store = os.path.join(work, "store.blt")

t.ok("create", store)
for turn in range(2):
    for i in range(20):
        t.ok("put", store, f"key{i}", stdin=b"%d" % turn + b"v" * 20000)
before, size = t.ok("dump", store), os.path.getsize(store)
room = os.stat(store).st_blocks
said = json.loads(t.ok("trim", "--json", store))
t.equal(said["state"], "done", said)
t.equal(size <= os.path.getsize(store) < size + 65536, True, "the size")
t.equal(t.ok("dump", store), before, "what is there")
t.ok("check", "-q", store)
if not said["text"].startswith("the filesystem"):
    t.equal(said["freed_bytes"] > 300000, True, said)
    t.equal(os.stat(store).st_blocks < room, True, "room on the disk")
t.ok("trim", "-q", store)
t.ok("prune", "-q", store)
t.equal(t.ok("dump", store), before, "what is there, pruned")
t.refused(t.USAGE, "--detach", args=["trim", "--detach", store])
t.refused(t.NOINPUT, "nowhere", args=["trim", os.path.join(work, "nowhere")])
