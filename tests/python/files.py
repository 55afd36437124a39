#!/usr/bin/env python3
"""The module reads every file that booklet wrote, and what it writes is sound
for the independent checker, under every serializer that is installed."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
import pymodule  # noqa: E402
import checker  # noqa: E402
import places  # noqa: E402
import blt  # noqa: E402
from blt import serializers  # noqa: E402


def bytes_of(text):
    return b"" if text == "-" else bytes.fromhex(text)


def expected(path):
    """(fields, {key: (value, time or None)}) of a .expect file."""
    fields, items = {}, {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("#"):
                _, name, *value = line.split(None, 2)
                fields[name] = "".join(value).strip()
                continue
            key, value, time = line.split()
            items[bytes_of(key)] = (bytes_of(value),
                                    None if time == "-" else int(time))
    return fields, items


class Vectors(unittest.TestCase):
    def read(self, path, store, fields, items):
        fixed = fields["fixed"] == "1"
        keys = serializers.by_code(int(fields["key_serializer"]), None, "key")
        want = {keys.loads(key): value for key, value in items.items()}
        self.assertEqual(len(store), len(items), path)
        self.assertEqual(set(store), set(want))
        raw = dict(store._walk(6, False))
        self.assertEqual(raw, {k: v[0] for k, v in items.items()})
        loads = (lambda data: data) if fixed else serializers.by_code(
            int(fields["value_serializer"]), None, "value").loads
        self.assertEqual(
            dict(store.items()), {k: loads(v[0]) for k, v in want.items()})
        self.assertEqual(
            dict(store.get_items(want)), dict(store.items()))
        for key, (value, time) in want.items():
            self.assertEqual(store[key], loads(value))
            self.assertIn(key, store)
            if fields["timestamps"] == "1":
                self.assertEqual(store.get_timestamp(key, True, False),
                                 (time, value))

    def test_all(self):
        names = [n[:-4] for n in sorted(os.listdir(places.VECTORS))
                 if n.endswith(".blt")]
        self.assertGreater(len(names), 20)
        with tempfile.TemporaryDirectory() as room:
            for name in names:
                with self.subTest(name):
                    self.one(room, os.path.join(places.VECTORS, name))

    def one(self, room, path):
        fields, items = expected(path + ".expect")
        kind = blt.FixedLengthValue if fields["fixed"] == "1" else blt.open
        copy = os.path.join(room, "copy.blt")
        with open(path + ".blt", "rb") as source, open(copy, "wb") as to:
            to.write(source.read())
        with kind(copy, "w") as store:
            self.read(path, store, fields, items)
            key, value = next(iter(store.items()), (None, None))
            if key is not None:
                del store[key]
                store[key] = value
            # what Python has of it does not depend on the order
        self.assertEqual(checker.check(copy, loads=True), [])
        with kind(copy, "r") as store:
            self.assertEqual(dict(store._walk(6, False)),
                             {k: v[0] for k, v in items.items()})


def samples():
    """name: a value that its serializer stores."""
    found = {
        "bytes": b"\0\xffbytes", "str": "h\u00e4\U0001f600", "pickle": {1: (2,)},
        "json": {"a": [1, None]}, "orjson": {"a": [1.5, True]},
        "msgpack": {"a": [1, b"x"]}, "zstd": b"z" * 1000,
    }
    for width in (1, 2, 4, 5, 8):
        found[f"uint{width}"] = 256 ** width - 1
        found[f"int{width}"] = -(256 ** width // 2)
    if pymodule.have("numpy"):
        import numpy
        for width in (1, 2, 4, 8):
            found[f"numpy_int{width}"] = numpy.array(
                [0, -1, 100], f"i{width}")
    if pymodule.have("shapely"):
        from shapely.geometry import Point
        found["wkb"] = Point(1, 2)
    if pymodule.have("pandas") and pymodule.have("pyarrow"):
        import pandas
        found["pd_zstd"] = pandas.DataFrame({"a": [1, 2]})
    for name in list(found):
        found.setdefault(name + "_zstd", found[name])
    return {n: v for n, v in found.items() if n in blt.available_serializers}


def same(one, two):
    if hasattr(one, "equals"):
        return bool(one.equals(two))
    if hasattr(one, "tolist"):
        return one.dtype == two.dtype and one.tolist() == two.tolist()
    return type(one) is type(two) and one == two


class Serializers(unittest.TestCase):
    def test_both_ways(self):
        have = samples()
        self.assertGreaterEqual(
            len(have), len(set(blt.available_serializers) - {"gpd_zstd"}))
        with tempfile.TemporaryDirectory() as room:
            path = os.path.join(room, "kv.blt")
            for name, value in have.items():
                with self.subTest(name):
                    self.one(path, name, value)

    def one(self, path, name, value):
        code = blt._blt.serializer_code(name)
        with blt.open(path, "n", "str", name) as store:
            store["key"] = value
            self.assertTrue(same(store["key"], value))
        with blt.open(path) as store:
            self.assertTrue(same(store["key"], value))
            self.assertTrue(same(next(store.values()), value))
        self.assertEqual(checker.check(path, loads=True), [])
        found = checker.Store(checker.read(path))
        self.assertEqual(found.header.value_serializer, code)
        # C's own forms are those of Python
        raw = found.items()[b"key"].value
        self.assertTrue(same(serializers.by_name(name).loads(raw), value))
        if not name.endswith("zstd"):
            self.assertEqual(serializers.by_name(name).dumps(value), raw)

    def test_keys(self):
        with tempfile.TemporaryDirectory() as room:
            path = os.path.join(room, "kv.blt")
            for name in ("str", "bytes", "json", "pickle", "uint4", "int8"):
                keys = {"str": ["", "\u20ac"], "bytes": [b"", b"\0"],
                        "uint4": [0, 2 ** 32 - 1], "int8": [-2 ** 63, 5],
                        "json": ["a", [1]], "pickle": [(1,), None]}[name]
                with blt.open(path, "n", name, "str") as store:
                    store.update((key, "v") for key in keys)
                with blt.open(path) as store:
                    self.assertEqual(list(store), keys)
                    self.assertEqual([k in store for k in keys],
                                     [True] * len(keys))

    def test_numbers_out_of_range(self):
        with tempfile.TemporaryDirectory() as room:
            for name, wrong in (("uint1", 256), ("uint1", -1), ("int1", 128),
                                ("int5", 2 ** 39), ("uint8", 2 ** 64),
                                ("int8", -2 ** 63 - 1)):
                with blt.open(os.path.join(room, "kv.blt"), "n", name) as s:
                    with self.assertRaises(OverflowError, msg=name):
                        s[wrong] = b""
                    with self.assertRaises(TypeError):
                        s["1"] = b""

    def test_hostile_zstd(self):
        good = blt._blt.zstd_compress(b"x" * 1000, 1)
        self.assertEqual(blt._blt.zstd_decompress(good), b"x" * 1000)
        for bad in (b"", b"none", good[:-1], good + b"x",
                    # a length of 2^62 bytes
                    b"\x28\xb5\x2f\xfd\xe0" + b"\0" * 7 + b"\x40\1\0\0"):
            with self.assertRaises(ValueError):
                blt._blt.zstd_decompress(bad)

    @unittest.skipUnless(pymodule.have("zstandard"), "no python3-zstandard")
    def test_frames_of_zstandard(self):
        import zstandard
        ours = blt._blt.zstd_compress(b"abc" * 99, 1)
        self.assertEqual(zstandard.decompress(ours), b"abc" * 99)
        theirs = zstandard.ZstdCompressor(1).compress(b"abc" * 99)
        self.assertEqual(blt._blt.zstd_decompress(theirs), b"abc" * 99)


if __name__ == "__main__":
    unittest.main()
