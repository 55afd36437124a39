#!/usr/bin/env python3
"""The module's classes and functions do what booklet's do."""

import datetime
import io
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
import pymodule  # noqa: F401,E402
import blt as booklet  # noqa: E402


class Own:
    """A serializer of the user's own."""

    @staticmethod
    def dumps(obj):
        return repr(obj).encode()

    @staticmethod
    def loads(data):
        return eval(data)


class Case(unittest.TestCase):
    def setUp(self):
        room = tempfile.TemporaryDirectory()
        self.addCleanup(room.cleanup)
        self.path = pathlib.Path(room.name, "kv.blt")

    def make(self, **more):
        more = {"key_serializer": "str", "value_serializer": "json", **more}
        store = booklet.open(self.path, "n", **more)
        self.addCleanup(store.close)
        return store


class Mapping(Case):
    def test_basics(self):
        with self.make() as s:
            self.assertTrue(s.writable)
            s["a"] = [1]
            s.set("b", {"x": None})
            s.update({"c": 3}, d=4)
            s.update([("e", 5)])
            self.assertEqual(s["a"], [1])
            self.assertEqual(s.get("b"), {"x": None})
            self.assertEqual(s.get("z", default=7), 7)
            self.assertIsNone(s.get("z"))
            self.assertEqual(len(s), 5)
            self.assertIn("c", s)
            self.assertNotIn("z", s)
            self.assertEqual(list(s), list("abcde"))
            self.assertEqual(list(s.keys()), list("abcde"))
            self.assertEqual(list(s.values()), [[1], {"x": None}, 3, 4, 5])
            self.assertEqual(dict(s.items())["e"], 5)
            self.assertEqual(s, dict(s.items()))
            self.assertEqual(s.setdefault("c", 9), 3)
            self.assertEqual(s.setdefault("f", 6), 6)
            self.assertEqual(s.pop("f"), 6)
            self.assertIsNone(s.pop("f", None))
            del s["e"]
            with self.assertRaises(KeyError):
                del s["e"]
            with self.assertRaises(KeyError) as e:
                s["e"]
            self.assertEqual(e.exception.args, ("e",))
            self.assertEqual(list(s.get_items(["d", "x", "a"], 0)),
                             [("d", 4), ("x", 0), ("a", [1])])
        self.assertTrue(s.closed)
        with self.assertRaises(ValueError):
            s["a"]
        s.close()

    def test_get_items_in_groups(self):
        s = self.make(value_serializer=None)
        s.update((f"{i}", b"%d" % i * 5000) for i in range(700))
        keys = [str(i) for i in range(-5, 705)]
        got = list(s.get_items(iter(keys)))
        self.assertEqual([k for k, _ in got], keys)
        self.assertEqual(sum(v is None for _, v in got), 10)
        self.assertEqual(dict(got)["699"], b"699" * 5000)

    def test_iterators_end_with_a_change(self):
        s = self.make()
        s.update((str(i), i) for i in range(1000))
        for step in (s.keys, s.items, s.values, s.timestamps, s.locations,
                     lambda: s.get_items(["1", "2"])):
            it = step()
            next(it)
            s["1"]
            s.set_timestamp("1", 5)
            next(it)
            it = step()
            next(it)
            s["1"] = 0
            with self.assertRaises(RuntimeError):
                next(it)
        it = s.keys()
        s.prune()
        with self.assertRaises(RuntimeError):
            next(it)

    def test_snapshot(self):
        s = self.make(snapshot=True)
        s.update((str(i), i) for i in range(1000))
        it = s.items()
        next(it)
        for key in s.keys():
            del s[key]
        self.assertEqual(len(list(it)), 999)
        it = s.items()
        s.clear()
        with self.assertRaises(RuntimeError):
            next(it)

    def test_clear(self):
        s = self.make(n_buckets=100)
        s.update((str(i), i) for i in range(5000))
        s.set_metadata(1)
        s.set_reserved(2, b"x")
        s.clear()
        self.assertEqual((len(s), list(s), s.get_metadata(),
                          s.get_reserved(2)), (0, [], None, None))
        s["a"] = 1
        self.assertEqual(dict(s.items()), {"a": 1})

    def test_errors_of_the_caller_are_passed_on(self):
        s = self.make(key_serializer=None, value_serializer=Own)

        def pairs():
            yield b"a", 1
            raise LookupError("mine")
        with self.assertRaises(LookupError):
            s.update(pairs())
        self.assertEqual(s[b"a"], 1)
        with self.assertRaises(TypeError):
            s["str"] = 1
        s.set(b"b", b"no python (", encode_value=False)
        with self.assertRaises(SyntaxError):
            s[b"b"]
        with self.assertRaises(SyntaxError):
            list(s.items())
        with self.assertRaises(ValueError):
            s.update([(1, 2, 3)])


class Opening(Case):
    def test_flags(self):
        for flag in "rw":
            with self.assertRaises(FileNotFoundError):
                booklet.open(self.path, flag)
        with self.assertRaises(ValueError):
            booklet.open(self.path, "x")
        with booklet.open(str(self.path), "c", "str", "str") as s:
            s["a"] = "1"
        with booklet.open(self.path, "c") as s:
            self.assertEqual(s["a"], "1")
        with booklet.open(self.path) as s:
            self.assertFalse(s.writable)
            for change in (lambda: s.update(a="2"), lambda: s.pop("a"),
                           lambda: s.set_metadata(1), s.clear, s.prune,
                           lambda: s.set_timestamp("a", 1)):
                with self.assertRaises(ValueError):
                    change()
            s.sync()
            s.reopen("w")
            s["b"] = "2"
            s.reopen("r")
            self.assertEqual(dict(s.items()), {"a": "1", "b": "2"})
        with booklet.open(self.path, "n") as s:
            self.assertEqual(len(s), 0)

    def test_other_files(self):
        self.path.write_bytes(b"no booklet file" * 100)
        for flag in "rwc":
            with self.assertRaises(TypeError):
                booklet.open(self.path, flag)
        booklet.open(self.path, "n").close()
        with self.assertRaises(TypeError):
            booklet.FixedLengthValue(self.path)
        raw = bytearray(self.path.read_bytes())
        raw[33:37] = b"\xff" * 4
        self.path.write_bytes(raw)
        with self.assertRaises(ValueError):
            booklet.open(self.path)
        booklet.open(self.path, "w").close()
        booklet.open(self.path).close()
        raw[16] = 2
        self.path.write_bytes(raw)
        with self.assertRaises(ValueError):
            booklet.open(self.path, "w")

    def test_locks(self):
        s = self.make()
        for flag in "rwcn":
            with self.assertRaises(booklet.LockTimeoutError):
                booklet.open(self.path, flag, timeout=0)
        self.assertTrue(issubclass(booklet.LockTimeoutError, TimeoutError))
        s.close()
        one = booklet.open(self.path)
        two = booklet.open(self.path, timeout=0)
        with self.assertRaises(booklet.LockTimeoutError):
            booklet.open(self.path, "w", timeout=0.05)
        one.close()
        two.close()
        booklet.open(self.path, "w", timeout=0).close()

    def test_memory(self):
        room = io.BytesIO()
        with booklet.open(room, "n", "str", "str") as s:
            s["a"] = "1"
            s.sync()
            with booklet.open(io.BytesIO(room.getvalue())) as t:
                self.assertEqual(t["a"], "1")
            s["b"] = "2"
        with booklet.open(room, "r") as s:
            self.assertEqual(dict(s.items()), {"a": "1", "b": "2"})

    def test_init_bytes(self):
        self.make(n_buckets=77).update(a=1)
        head = self.path.read_bytes()[:200]
        other = self.path.with_name("other.blt")
        with booklet.open(other, "n", init_bytes=head) as s:
            self.assertEqual(len(s), 0)
            s["k"] = 5
        self.assertEqual(other.read_bytes()[49:65], head[49:65])
        with booklet.open(other, "c", init_bytes=head) as s:
            self.assertEqual(dict(s.items()), {"k": 5})
        with self.assertRaises(ValueError):
            booklet.open(other, "n", init_bytes=b"x" * 200)

    def test_own_serializers(self):
        for own in (Own, Own()):
            with booklet.open(self.path, "n", own, own) as s:
                s[1, 2] = {3}
            with self.assertRaises(ValueError):
                booklet.open(self.path)
            with booklet.open(self.path, "r", own, own) as s:
                self.assertEqual(dict(s.items()), {(1, 2): {3}})
        for wrong in ("nope", 5, object):
            with self.assertRaises(ValueError):
                booklet.open(self.path, "n", wrong)

    def test_pickles(self):
        s = self.make()
        s["a"] = 1
        with self.assertRaises(TypeError):
            pickle.dumps(s)
        s.reopen("r")
        with pickle.loads(pickle.dumps(s)) as t:
            self.assertEqual((t["a"], t.writable), (1, False))

    def test_open_at_exit(self):
        subprocess.run([sys.executable, "-c",
                        "import blt, sys\n"
                        "s = blt.open(sys.argv[1], 'n', 'str', 'str')\n"
                        "s['a'] = 'b'", self.path], check=True)
        with booklet.open(self.path) as s:
            self.assertEqual(s["a"], "b")


class Times(Case):
    def test_ints_of_times(self):
        make = booklet.make_timestamp_int
        utc = datetime.timezone.utc
        self.assertEqual(make(5), 5)
        self.assertEqual(make("1970-01-01T00:00:01+00:00"), 1000000)
        self.assertEqual(make("1970-01-01T01:00:00.000002+01:00"), 2)
        self.assertEqual(
            make(datetime.datetime(2001, 9, 9, 1, 46, 40, 1, tzinfo=utc)),
            1000000000000001)
        for wrong in ("2020-01-01", datetime.datetime(2020, 1, 1)):
            with self.assertRaises(ValueError):
                make(wrong)
        with self.assertRaises(TypeError):
            make(1.5)

    def test_timestamps(self):
        s = self.make()
        before = booklet.make_timestamp_int()
        s["a"] = 1
        self.assertLessEqual(before, s.get_timestamp("a"))
        s.set("b", 2, timestamp="1970-01-01T00:00:01Z")
        self.assertEqual(s.get_timestamp("b"), 1000000)
        self.assertEqual(s.get_timestamp("b", True), (1000000, 2))
        self.assertEqual(s.get_timestamp("b", True, False), (1000000, b"2"))
        self.assertEqual(s.get_timestamp("z", default=0), 0)
        self.assertIsNone(s.get_timestamp("z"))
        s.set_timestamp("a", 7)
        with self.assertRaises(KeyError):
            s.set_timestamp("z", 7)
        with self.assertRaises(ValueError):
            s.set_timestamp("a", -1)
        self.assertEqual(list(s.timestamps()), [("a", 7), ("b", 1000000)])
        self.assertEqual(list(s.timestamps(True)),
                         [("a", 7, 1), ("b", 1000000, 2)])
        self.assertEqual(list(s.timestamps(True, False))[0], ("a", 7, b"1"))

    def test_without(self):
        s = self.make(init_timestamps=False)
        s.set("a", 1, timestamp=5)
        for call in (lambda: s.get_timestamp("a"), s.timestamps,
                     lambda: s.set_timestamp("a", 1), lambda: s.prune(1)):
            with self.assertRaises(ValueError):
                call()
        self.assertIsNone(next(s.locations())[1])


class Whole(Case):
    def test_prune(self):
        s = self.make()
        for i in range(100):
            s.set(str(i), "x" * 1000, timestamp=i)
        s.sync()
        size = os.stat(self.path).st_size
        for i in range(50):
            s[str(i)] = i
        s.set_timestamp("0", 1)
        self.assertGreaterEqual(s.prune(), 50)
        self.assertLess(os.stat(self.path).st_size, size)
        self.assertEqual(s.prune(timestamp=90, keep_keys=["60", "61"]), 39)
        self.assertEqual(len(s), 61)
        self.assertIn("60", s)
        self.assertGreater(s.compaction_count, 0)

    def test_locations(self):
        s = self.make(value_serializer="str")
        s.update((str(i), f"value {i}") for i in range(500))
        raw = {key: (at, n) for key, _, at, n in s.locations()}
        with open(self.path, "rb") as file:
            for key, (at, n) in raw.items():
                file.seek(at)
                self.assertEqual(file.read(n).decode(), s[key])

    def test_hidden(self):
        s = self.make()
        self.assertIsNone(s.get_metadata())
        self.assertIsNone(s.get_metadata(include_timestamp=True))
        s.set_metadata({"a": [1]}, timestamp=5)
        self.assertEqual(s.get_metadata(), {"a": [1]})
        self.assertEqual(s.get_metadata(True), ({"a": [1]}, 5))
        self.assertIsNone(s.get_reserved(1))
        s.set_reserved(1, b"one", timestamp=9)
        s.set_reserved(2, b"two")
        self.assertEqual(s.get_reserved(1, True), (b"one", 9))
        self.assertEqual(s.get_reserved(2), b"two")
        for slot in (0, 3, "1"):
            with self.assertRaises(ValueError):
                s.set_reserved(slot, b"")
            with self.assertRaises(ValueError):
                s.get_reserved(slot)
        with self.assertRaises(TypeError):
            s.set_reserved(1, "text")
        self.assertEqual(len(s), 0)
        s.prune()
        s.reopen("r")
        self.assertEqual(s.get_metadata(), {"a": [1]})

    def test_sync_leaves_a_plain_file(self):
        s = self.make()
        s["a"] = 1
        s.sync()
        copy = io.BytesIO(self.path.read_bytes())
        self.assertEqual(copy.getvalue()[16:18], b"\5\0")
        with booklet.open(copy) as t:
            self.assertEqual(t["a"], 1)

    def test_reindex(self):
        s = self.make(n_buckets=10, value_serializer=None)
        s.update((str(i), b"") for i in range(20000))
        s.reindex(144013)
        self.assertEqual(len(list(s)), 20000)
        s.reopen("r")
        self.assertEqual(sum(str(i) in s for i in range(20000)), 20000)


class Raw(Case):
    def test_encode_value(self):
        s = self.make()
        s.set("a", b"[1]", encode_value=False)
        self.assertEqual(s["a"], [1])
        with self.assertRaises(TypeError):
            s.set("a", "[1]", encode_value=False)
        with self.assertRaises(ValueError):
            s.set("a", b"no json", encode_value=False)
        with self.assertRaises(ValueError):
            s["x" * 70000] = 1
        self.assertEqual(s["a"], [1])

    def test_bytes_like(self):
        s = self.make(key_serializer=None, value_serializer=None)
        s[bytearray(b"k")] = memoryview(b"value")
        self.assertEqual(s[b"k"], b"value")
        with self.assertRaises(TypeError):
            s[b"k"] = "text"
        big = os.urandom(5 << 20)
        s[b"big"] = big
        self.assertEqual(s[b"big"], big)
        self.assertEqual(dict(s.items())[b"big"], big)


class Fixed(Case):
    def test_fixed(self):
        with self.assertRaises(ValueError):
            booklet.FixedLengthValue(self.path, "n", "str")
        with booklet.FixedLengthValue(self.path, "n", "str", 4) as s:
            s["a"] = b"1234"
            s.update(b=b"5678")
            with self.assertRaises(ValueError):
                s["c"] = b"12345"
            for call in (lambda: s.get_timestamp("a"), s.timestamps,
                         s.locations, s.get_metadata,
                         lambda: s.set_metadata(1),
                         lambda: s.get_reserved(1),
                         lambda: s.set_reserved(1, b""),
                         lambda: s.compaction_count):
                with self.assertRaises(NotImplementedError):
                    call()
            del s["a"]
            self.assertGreaterEqual(s.prune(), 1)
        with booklet.FixedLengthValue(self.path) as s:
            self.assertEqual(dict(s.items()), {"b": b"5678"})
        with self.assertRaises(TypeError):
            booklet.open(self.path)


@unittest.skipUnless("lmdb" in os.environ.get("BLT_ENGINES", "booklet"),
                     "no LMDB in this build")
class Lmdb(Case):
    def test_engine(self):
        with self.make(engine="lmdb") as s:
            s.update((str(i), i) for i in range(3000))
            s["x"] = [1]
            self.assertEqual(s["2999"], 2999)
            self.assertEqual(len(list(s.items())), 3001)
            self.assertEqual(list(s.get_items(["x", "y"])),
                             [("x", [1]), ("y", None)])
            with self.assertRaises(NotImplementedError):
                s.get_metadata()
            with self.assertRaises(NotImplementedError):
                s.locations()
            with self.assertRaises(ValueError):
                s.timestamps()
            s.sync()
        with booklet.open(self.path, "w", "str", "json") as s:
            self.assertEqual(s["x"], [1])
            self.assertEqual(dict(s.map(pair, ["x"], 1)), {"x": 1})
            s.clear()
            self.assertEqual(len(s), 0)


def pair(key, value):
    return key, len(value)


if __name__ == "__main__":
    unittest.main()
