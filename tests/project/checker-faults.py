#!/usr/bin/env python3
"""The checker finds the faults that are planted here, and says where."""

import os
import sys
import unittest

import checker
from places import VECTORS


def vector(name):
    return checker.read(os.path.join(VECTORS, name + ".blt"))


def faults(data):
    return checker.Store(bytes(data)).faults


def with_bytes(data, pos, new):
    return data[:pos] + new + data[pos + len(new):]


class Planted(unittest.TestCase):
    def assert_fault(self, data, pos, text):
        found = faults(data)
        self.assertTrue(any(p == pos and text in t for p, t in found),
                        f"no '{text}' at {pos} among {found}")

    def setUp(self):
        self.data = vector("chains")
        self.store = checker.Store(self.data)
        self.assertEqual(self.store.faults, [])
        # the longest chain: the bucket's blocks, first to last
        self.chain = max((self.store.follow(pos)
                          for _, pos in self.store._entries()), key=len)
        self.assertGreaterEqual(len(self.chain), 2)

    def test_header(self):
        for at, new, pos, text in (
                (16, b"\0\0", 16, "version 0"),
                (16, b"\2\0", 16, "Python refuses"),
                (18, b"\5", 18, "bytes of a position"),
                (19, b"\4", 19, "bytes of a key length"),
                (20, b"\0", 20, "bytes of a value length"),
                (21, b"\0\0\0\0", 21, "no buckets"),
                (21, b"\xff\xff\xff\xff", 65, "the index ends at"),
                (25, b"\1", 25, "deprecated"),
                (29, b"\x63\0", 29, "no value serializer has code 99"),
                (31, b"\x21\0", 31, "no key serializer has code 33"),
                (33, b"\7\0\0\0", 33, "live keys are 6"),
                (33, b"\xff\xff\xff\xff", 33, "not closed properly"),
                (37, b"\1", 37, "value_len is 1"),
                (41, b"\2", 41, "timestamp byte is 2"),
                (65, b"\xc7\0\0\0\0\0", 65, "the index begins at 199"),
                (65, b"\xff\xff\xff\xff\xff\xff", 65, "the index ends at"),
                (71, b"\xff\0\0\0\0\0", 71, "data begins at 255"),
                (77, b"0", 77, "neither all 0 nor all 0x30"),
                (199, b"\1", 77, "neither all 0 nor all 0x30")):
            with self.subTest(at=at, text=text):
                self.assert_fault(with_bytes(self.data, at, new), pos, text)

    def test_not_a_booklet(self):
        for data in (b"", self.data[:199], b"x" + self.data[1:]):
            with self.assertRaises(checker.NotBooklet):
                checker.Store(data)

    def test_all_ascii_zeros_are_fine(self):
        self.assertEqual(
            faults(with_bytes(self.data, 77, b"0" * 123)), [])

    def test_hash(self):
        block = self.chain[0]
        key_at = block.end - len(block.value) - len(block.key)
        self.assert_fault(with_bytes(self.data, key_at, b"\xfe"), block.pos,
                          "that of its key")

    def test_lengths(self):
        block = self.store.blocks[2]
        for at, text in ((block.pos + 19, "behind its region's end"),
                         (block.pos + 21, "behind its region's end")):
            self.assert_fault(with_bytes(self.data, at, b"\xff\xff"),
                              block.pos, text)
        self.assert_fault(self.data[:-1], self.store.blocks[-1].pos,
                          "behind its region's end")
        self.assert_fault(self.data + b"\0" * 20, len(self.data),
                          "no room for a block")

    def test_live_block_out_of_its_chain(self):
        first, second = self.chain[:2]
        skipped = with_bytes(self.data, self.store.entry_of(first),
                             second.pos.to_bytes(6, "little"))
        self.assert_fault(skipped, first.pos, "not in its chain")

    def test_ring(self):
        last = self.chain[-1]
        ring = with_bytes(self.data, last.pos + 13,
                          self.chain[0].pos.to_bytes(6, "little"))
        self.assert_fault(ring, last.pos + 13, "its chain is a ring")

    def test_two_chains_meet(self):
        h = self.store.header
        other = next(b for b, pos in self.store._entries()
                     if h.index_offset + 6 * b != self.store.entry_of(self.chain[0]))
        tail = self.store.follow(dict(self.store._entries())[other])[-1]
        data = with_bytes(self.data, tail.pos + 13,
                          self.chain[0].pos.to_bytes(6, "little"))
        texts = [t for _, t in faults(data)]
        self.assertTrue(any("does too" in t for t in texts), texts)
        self.assertTrue(any("belongs to" in t for t in texts), texts)

    def test_chain_into_dead_block(self):
        dead = next(b for b in self.store.blocks if not b.live)
        first = self.chain[0]
        data = with_bytes(self.data, self.store.entry_of(first),
                          dead.pos.to_bytes(6, "little"))
        self.assert_fault(data, self.store.entry_of(first), "a dead block")

    def test_chain_into_the_middle_of_a_block(self):
        first = self.chain[0]
        data = with_bytes(self.data, self.store.entry_of(first),
                          (first.pos + 1).to_bytes(6, "little"))
        self.assert_fault(data, self.store.entry_of(first), "no block begins there")

    def test_dead_block_raised(self):
        dead = next(b for b in self.store.blocks
                    if not b.live and b.key in self.store.items())
        data = with_bytes(self.data, dead.pos + 13, b"\1")
        texts = [t for _, t in faults(data)]
        self.assertTrue(any("is live at" in t for t in texts), texts)
        self.assertTrue(any("not in its chain" in t for t in texts), texts)

    def test_every_bit(self):
        """A flipped bit is found wherever the format can show it."""
        free = set(range(42, 65))  # the file's timestamp and uuid
        for b in self.store.blocks:
            key_at = b.end - len(b.value) - len(b.key)
            free.update(range(b.pos + 25, b.pos + 32))  # timestamp
            free.update(range(key_at + len(b.key), b.end))  # value
            if not b.live:
                free.update(range(b.pos, b.pos + 13))
                free.update(range(key_at, b.end))
        spared = set()
        for at in set(range(16, len(self.data))) - free:
            for bit in range(8):
                new = bytes([self.data[at] ^ 1 << bit])
                if not faults(with_bytes(self.data, at, new)):
                    spared.add((at, bit))
        # versions 4 and 7 ... are versions too; other serializers exist
        legal = {at for at, _ in spared}
        index = range(200, 200 + 6 * self.store.header.n_buckets, 6)
        self.assertLessEqual(legal, {16, 17, 29, 31} | set(index))
        for at, bit in spared:
            if at in index:  # an empty bucket holds 1 or 0
                self.assertEqual((self.data[at], bit), (1, 0))

    def test_loads(self):
        for name, change, text in (
                ("small", (b"key000", b"key\xff00"), "utf-8"),
                ("json-values", (b"{", b"}"), "does not load"),
                ("zstd-values", (b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfc"),
                 "does not load")):
            data = vector(name)
            at = data.index(change[0], 800)
            store = checker.Store(with_bytes(data, at, change[1]))
            store.check_loads()
            self.assertTrue(any(text in t for _, t in store.faults), name)

    def test_serializers(self):
        for code, good, bad in (
                (2, "ä".encode(), b"\xed\xa0\x80"),
                (4, b'{"a": NaN}', b"{"),
                (5, b'{"a": [1, null]}', b'{"a": NaN}'),
                (6, b"\xff", b""),
                (9, b"\0\1", b"\0\1\2"),
                (12, bytes(5), bytes(4)),
                (15, bytes(8), bytes(9)),
                (3, b"\x80\x04K\x01.", b"\x80\x04K\x01"),
                (30, b"\xc0", b"")):
            self.assertIsNone(checker.why_not_loaded(code, good), code)
            self.assertIsNotNone(checker.why_not_loaded(code, bad), code)


if __name__ == "__main__":
    unittest.main()
