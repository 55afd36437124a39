"""A reference for the bench: how a pure Python library reads and writes the
format (doc/format.md), in as few steps as the format allows.

booklet itself is not used: its package need not be there.  This one does what it
must do for a variable-length file with timestamps: the hash of each key, blocks
gathered in a buffer of 4 MiB, and, when that is full, the blocks written and
every chain's pointers followed and set; reads of one block by its chain; a walk
over all blocks; and map through concurrent.futures, an item at a time.  It has no
locks, no checks, no crash safety and no growth of the index, all of which cost
the real one time.
"""

import concurrent.futures
import hashlib
import mmap
import os
import struct
import time

HEADER = 200
BUFFER = 4 << 20
HEAD = struct.Struct("<13s6sHI7s")


def _digest(key):
    return hashlib.blake2s(key, digest_size=13).digest()


class Writer:
    def __init__(self, path, header, dumps):
        self.dumps = dumps
        self.file = open(path, "w+b", buffering=0)
        self.n_buckets = int.from_bytes(header[21:25], "little")
        self.file.write(header + b"\1\0\0\0\0\0" * self.n_buckets)
        self.header = header
        self.end = HEADER + 6 * self.n_buckets
        self.parts, self.pending, self.size = [], [], 0
        self.n_keys = 0

    def __setitem__(self, key, value):
        key, value = key.encode(), self.dumps(value)
        digest = _digest(key)
        stamp = (time.time_ns() // 1000).to_bytes(7, "little")
        block = HEAD.pack(digest, b"\1\0\0\0\0\0", len(key), len(value),
                          stamp) + key + value
        self.pending.append((digest, self.end + self.size))
        self.parts.append(block)
        self.size += len(block)
        if self.size > BUFFER:
            self.flush()

    def flush(self):
        fd = self.file.fileno()
        os.pwrite(fd, b"".join(self.parts), self.end)
        for digest, position in self.pending:
            self._link(fd, digest, position)
        self.end += self.size
        self.parts, self.pending, self.size = [], [], 0

    def _link(self, fd, digest, position):
        """Appends to the chain, or takes the place of the key's old block."""
        at = HEADER + 6 * (int.from_bytes(digest, "little") % self.n_buckets)
        new = position.to_bytes(6, "little")
        while (there := int.from_bytes(os.pread(fd, 6, at), "little")) > 1:
            head = os.pread(fd, 19, there)
            if head[:13] == digest:
                os.pwrite(fd, head[13:], position + 13)
                os.pwrite(fd, bytes(6), there + 13)
                os.pwrite(fd, new, at)
                return
            at = there + 13
        os.pwrite(fd, new, at)
        self.n_keys += 1

    def close(self):
        self.flush()
        os.pwrite(self.file.fileno(), self.n_keys.to_bytes(4, "little"), 33)
        os.fsync(self.file.fileno())
        self.file.close()


class Reader:
    def __init__(self, path, loads):
        self.loads = loads
        with open(path, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.n_buckets = int.from_bytes(self.map[21:25], "little")
        self.index = int.from_bytes(self.map[65:71], "little") or HEADER
        self.data = int.from_bytes(self.map[71:77], "little") or \
            HEADER + 6 * self.n_buckets

    def __getitem__(self, key):
        digest = _digest(key.encode())
        data = self.map
        at = self.index + 6 * (int.from_bytes(digest, "little")
                               % self.n_buckets)
        while (at := int.from_bytes(data[at:at + 6], "little")) > 1:
            hashed, _, key_len, value_len, _ = HEAD.unpack_from(data, at)
            if hashed == digest:
                start = at + HEAD.size + key_len
                return self.loads(data[start:start + value_len])
            at += 13
        raise KeyError(key)

    def _regions(self):
        if self.index == HEADER:
            return [(self.data, len(self.map))]
        return [(self.data, self.index),
                (self.index + 6 * self.n_buckets, len(self.map))]

    def items(self):
        data = self.map
        for at, end in self._regions():
            while at < end:
                _, after, key_len, value_len, _ = HEAD.unpack_from(data, at)
                at += HEAD.size
                if after != b"\0\0\0\0\0\0":
                    value = at + key_len
                    yield (data[at:value].decode(),
                           self.loads(data[value:value + value_len]))
                at += key_len + value_len

    def map_items(self, function, n_workers):
        with concurrent.futures.ProcessPoolExecutor(n_workers) as pool:
            items, waiting = self.items(), set()
            for key, value in items:
                waiting.add(pool.submit(function, key, value))
                if len(waiting) >= 4 * n_workers:
                    done, waiting = concurrent.futures.wait(
                        waiting,
                        return_when=concurrent.futures.FIRST_COMPLETED)
                    yield from (f.result() for f in done)
            for future in concurrent.futures.as_completed(waiting):
                yield future.result()
