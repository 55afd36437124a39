#!/usr/bin/env python3
"""The module in threads, in forked processes, in workers, killed, and in long
loops."""

import gc
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import tracemalloc
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
import pymodule  # noqa: F401,E402
import checker  # noqa: E402
import blt  # noqa: E402


class Case(unittest.TestCase):
    def setUp(self):
        room = tempfile.TemporaryDirectory()
        self.addCleanup(room.cleanup)
        self.path = os.path.join(room.name, "kv.blt")

    def make(self, **more):
        store = blt.open(self.path, "n", "str", "str", **more)
        self.addCleanup(store.close)
        return store


class Threads(Case):
    def together(self, *work):
        errors = []

        def run(function):
            try:
                function()
            except BaseException as error:
                errors.append(error)
        threads = [threading.Thread(target=run, args=(w,)) for w in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return errors

    def test_readers_and_writers(self):
        s = self.make(snapshot=True)
        s.update((f"old{i}", f"{i}" * 100) for i in range(2000))

        def write(me):
            for i in range(2000):
                s[f"{me}/{i}"] = f"{me}{i}"

        def read():
            for i in range(2000):
                assert s[f"old{i}"] == f"{i}" * 100

        def walk():
            for _ in range(5):
                assert sum(k.startswith("old") for k in s) == 2000

        def prune():
            for _ in range(5):
                s.prune()
        self.assertEqual(self.together(
            lambda: write("a"), lambda: write("b"), read, read), [])
        errors = self.together(lambda: write("c"), walk, prune, read)
        # a prune ends walks
        self.assertEqual([e for e in errors if type(e) is not RuntimeError],
                         [])
        self.assertEqual(len(s), 8000)
        self.assertEqual(s["b/1999"], "b1999")

    def test_close_under_readers(self):
        for _ in range(20):
            s = self.make()
            s.update((f"{i}", "x" * 3000) for i in range(500))
            going = threading.Barrier(4)

            def read():
                going.wait()
                while True:
                    for key, value in s.items():
                        assert len(value) == 3000
                    s["1"]

            def close():
                going.wait()
                s.close()
            errors = self.together(read, read, read, close)
            self.assertEqual([type(e) for e in errors], [ValueError] * 3)

    def test_one_iterator_in_two_threads(self):
        s = self.make()
        s.update((f"{i}", "x") for i in range(20000))
        it, seen = s.keys(), []

        def take():
            while True:
                try:
                    seen.append(next(it))
                except StopIteration:
                    return
                except ValueError:
                    pass
        self.assertEqual(self.together(take, take), [])
        self.assertEqual(sorted(seen), sorted(s))


class Forked(Case):
    def test_a_child_opens_the_file_itself(self):
        s = self.make()
        s["a"] = "1"
        it = s.keys()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                for use in (lambda: s["a"], lambda: s.update(b="2"),
                            lambda: next(it)):
                    try:
                        use()
                        os._exit(2)
                    except RuntimeError:
                        pass
                del it
                s.close()
                code = 0
            finally:
                os._exit(code)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        s["b"] = "2"
        s.reopen("r")
        self.assertEqual(dict(s.items()), {"a": "1", "b": "2"})

    def in_fork(self, child):
        """child(), in a forked process, raises nothing."""
        pid = os.fork()
        if not pid:
            code = 1
            try:
                child()
                code = 0
            finally:
                os._exit(code)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)

    def test_a_forked_process_opens_the_store_anew(self):
        s = self.make()
        s.update({str(i): "1" for i in range(1000)})
        s.reopen("r")
        kept = s.keys()
        gone = [s.keys() for _ in range(10)]

        def child():
            gone.clear()
            s.reopen("r")
            self.assertEqual(len(list(s.keys())), 1000)
            with self.assertRaises(RuntimeError):
                next(kept)
            s.close()

        self.in_fork(child)
        self.assertEqual(len(list(kept)), 1000)
        s.close()

    def test_a_forked_process_leaves_the_file_of_a_buffer(self):
        buffer = io.BytesIO()
        s = blt.open(buffer, "n", key_serializer="str",
                     value_serializer="str")
        s["a"] = "1"
        s.sync()

        def child():
            s.reopen("w")
            s["b"] = "2"
            s.close()

        self.in_fork(s.close)
        self.in_fork(child)
        s["c"] = "3"
        s.close()
        s.reopen("r")
        self.assertEqual(dict(s.items()), {"a": "1", "c": "3"})
        s.close()

    def test_the_lock_ends_with_close(self):
        s = self.make()
        r, w = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(w)
            os.read(r, 1)
            os._exit(0)
        try:
            s.close()
            blt.open(self.path, "w", timeout=0).close()
        finally:
            os.close(w)
            os.close(r)
            os.waitpid(pid, 0)


def double(key, value):
    return key, value * 2


def odd_only(key, value):
    return (key, value) if int(key) % 2 else None


def fails(key, value):
    if key == "500":
        raise LookupError(key)
    return key, value


def dies(key, value):
    os._exit(3)


def whole(key, value):
    return key, value * 200000


class Map(Case):
    def setUp(self):
        super().setUp()
        self.s = self.make()
        self.s.update((str(i), f"v{i}") for i in range(1000))

    def test_all(self):
        for workers in (1, 3, None):
            self.assertEqual(
                dict(self.s.map(double, n_workers=workers)),
                {str(i): f"v{i}v{i}" for i in range(1000)})
        self.assertEqual(len(dict(self.s.map(odd_only))), 500)

    def test_some(self):
        self.assertEqual(sorted(self.s.map(double, ["5", "none", "7"], 2)),
                         [("5", "v5v5"), ("7", "v7v7")])
        self.assertEqual(list(self.s.map(double, [])), [])

    def test_writing_meanwhile(self):
        for key, value in self.s.map(double, n_workers=2):
            self.s[key] = value
            self.s["new" + key] = ""
        self.assertEqual(self.s["999"], "v999v999")
        self.assertEqual(len(self.s), 2000)

    def test_prune_meanwhile(self):
        self.s.update((f"big{i}", "x" * 10000) for i in range(1000))
        for change in (self.s.prune, self.s.clear):
            results = self.s.map(double, n_workers=1)
            next(results)
            change()
            with self.assertRaises(RuntimeError):
                list(results)

    def test_large_results(self):
        keys = [str(i) for i in range(60)]
        self.assertEqual(
            sum(len(v) for _, v in self.s.map(whole, keys, 2)),
            sum(200000 * len("v" + k) for k in keys))

    def test_errors(self):
        with self.assertRaises(LookupError) as e:
            list(self.s.map(fails, n_workers=2))
        self.assertIn("in a worker", e.exception.__notes__[0])
        with self.assertRaises(RuntimeError):
            list(self.s.map(dies, n_workers=2))
        with self.assertRaises(TypeError):
            self.s.map(None)
        # given up early
        next(self.s.map(double))


WRITER = """
import blt, os, sys
s = blt.open(sys.argv[1], "w")
for i in range(10**9):
    s[f"{i % 5000}"] = f"{i}"
    if i % 1000 == 999:
        s.sync()
        print(i, flush=True)
"""


class Killed(Case):
    def test_what_was_synced_is_there(self):
        self.make().close()
        for syncs in (1, 3, 7):
            with subprocess.Popen([sys.executable, "-c", WRITER, self.path],
                                  stdout=subprocess.PIPE) as writer:
                for _ in range(syncs):
                    last = int(writer.stdout.readline())
                writer.send_signal(signal.SIGKILL)
            with blt.open(self.path, "r") as s:
                self.assertLessEqual(last, max(int(v) for v in s.values()))
            with blt.open(self.path, "w") as s:
                self.assertGreaterEqual(int(s[str(last % 5000)]), last)
            self.assertEqual(checker.check(self.path), [])


def everything(path):
    """Each call once, errors too."""
    with blt.open(path, "n", "str", "json") as s:
        s.update((str(i), [i]) for i in range(50))
        s.set("1", [2], 5)
        s.set("1", b"[3]", encode_value=False)
        for make in (s.keys, s.items, s.values, s.timestamps, s.locations):
            list(make())
            next(make())
        list(s.get_items(["1", "x"]))
        next(s.get_items(["1", "x"]))
        s["1"], s.get("x"), "x" in s, s.get_timestamp("1", True), repr(s)
        s.set_metadata([1])
        s.get_metadata(True)
        s.set_reserved(1, b"x")
        s.get_reserved(1)
        for wrong in (lambda: s["x"], lambda: s[5], lambda: s.pop("x"),
                      lambda: s.set("1", b"]", encode_value=False),
                      lambda: s.set_timestamp("x", 1), lambda: s.update([1]),
                      lambda: list(s.get_items([5])),
                      lambda: blt.open(path, timeout=0)):
            try:
                wrong()
            except (KeyError, TypeError, ValueError, TimeoutError):
                pass
        it = s.keys()
        next(it)
        del s["1"]
        try:
            next(it)
        except RuntimeError:
            pass
        s.prune(1, ["2"])
        s.sync()
        s.clear()


def resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Leaks(Case):
    def test_objects(self):
        for _ in range(3):
            everything(self.path)
        gc.collect()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        everything(self.path)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            everything(self.path)
        gc.collect()
        # one object of each round would be 20 * 50 bytes
        self.assertLess(tracemalloc.get_traced_memory()[0] - before, 1000)

    @unittest.skipIf(os.environ.get("SANITIZERS", "no") != "no",
                     "a sanitizer keeps memory")
    def test_memory(self):
        with self.make() as s:
            s.update((str(i), "x" * 2000) for i in range(1000))

            def turn():
                for _ in range(10):
                    for _ in s.items():
                        pass
                    for key, _ in s.get_items(s.keys()):
                        s[key]
            turn()
            turn()
            before = resident()
            for _ in range(4):
                turn()
            # 120,000 values were read: 240 MB
            self.assertLess(resident() - before, 16 << 20)

    def test_cycles(self):
        s = self.make(snapshot=True)
        s.update(a="1", b="2")
        it = s.keys()
        s.me, s.it = s, it
        del s, it
        self.doCleanups()
        gc.collect()


if __name__ == "__main__":
    unittest.main()
