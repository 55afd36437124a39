"""A reader and checker of plain booklet files, written from the format alone:
it knows nothing of the engine."""

import hashlib


class Damaged(Exception):
    pass


def need(ok, what):
    if not ok:
        raise Damaged(what)


def n(b, at, k):
    return int.from_bytes(b[at:at + k], "little")


def read(b):
    """{key: (value, timestamp)} of a clean file, every rule checked."""
    b = bytes(b)
    need(len(b) >= 200, "shorter than a header")
    fixed = b[:4] == b"\x04\xd3\xb2\x94"
    need(n(b, 16, 2) in (4, 5), "version %d" % n(b, 16, 2))
    ts = 7 if b[41] and not fixed else 0
    vlen, buckets = n(b, 37, 4), n(b, 21, 4)
    unset = (0, 0x303030303030)
    io, first = n(b, 65, 6), n(b, 71, 6)
    io = 200 if io in unset else io
    first = 200 + 6 * buckets if first in unset else first
    if io == 200:
        need(first == 200 + 6 * buckets, "first data block")
        regions = [(first, len(b))]
    else:
        regions = [(first, io), (io + 6 * buckets, len(b))]
    need(io + 6 * buckets <= len(b), "index past the end")
    live, keys = {}, {}
    for at, end in regions:
        while at < end:
            size = 21 if fixed else 25 + ts
            need(at + size <= end, "block header at %d cut" % at)
            klen = n(b, at + 19, 2)
            val = vlen if fixed else n(b, at + 21, 4)
            data = at + (21 if fixed else 25 + ts)
            stop = data + klen + val
            need(stop <= end, "block at %d runs past its region" % at)
            if n(b, at + 13, 6):
                key = b[data:data + klen]
                h = hashlib.blake2s(key, digest_size=13).digest()
                need(b[at:at + 13] == h, "hash of block at %d" % at)
                need(key not in keys, "two live blocks of %r" % key)
                stamp = n(b, at + 25, 7) if ts else 0
                keys[key] = (b[data + klen:stop], stamp)
                live[at] = h
            at = stop
    met = set()
    for i in range(buckets):
        at = n(b, io + 6 * i, 6)
        while at > 1:
            need(at in live and at not in met, "chain of bucket %d" % i)
            need(int.from_bytes(live[at], "little") % buckets == i,
                 "block at %d in a foreign bucket" % at)
            met.add(at)
            at = n(b, at + 13, 6)
            need(at, "chain leads to a dead block")
    need(len(met) == len(live), "live block in no chain")
    need(n(b, 33, 4) == len(live), "n_keys")
    return keys
