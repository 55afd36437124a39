#!/usr/bin/env python3
"""The Python module against a reference in pure Python (bench/pybooklet.py).

    python.py RESULTS [-n KEYS] [-r ROUNDS]

Rounds alternate, and the best of each counts: processor time, but elapsed time of
map.  Once with values of text (str), once with json.  Both write, and read, files of the
same items; each reads what the other wrote, and the results are compared.  Needs
BLT_PYTHON, the directory of the built package.
"""

import argparse
import csv
import json
import os
import random
import sys
import tempfile
import time

sys.path[:0] = [os.environ["BLT_PYTHON"], os.path.dirname(__file__)]
import blt  # noqa: E402
import pybooklet  # noqa: E402

OURS, THEIRS = "blt", "pure Python"


# the serializer's dumps and loads in Python, and a value of item i
FORMS = {
    "str": (str.encode, lambda data: str(data, "utf-8"),
            lambda i: f"{i:060}"),
    "json": (lambda obj: json.dumps(obj).encode(), json.loads,
             lambda i: {"number": i, "text": "x" * 40}),
}


def pair(key, value):
    return key, len(value)


class Bench:
    def __init__(self, room, n, form):
        self.n, self.form = n, form
        self.dumps, self.loads, value = FORMS[form]
        self.paths = {who: os.path.join(room, who[:3] + ".blt")
                      for who in (OURS, THEIRS)}
        self.items = {f"key/{i:08}": value(i) for i in range(n)}
        self.some = random.Random(1).choices(list(self.items), k=n)
        # as many buckets for both, and as few collisions
        self.n_buckets = 144013 if n > 12007 else 12007
        with self.store("n") as store:
            store.sync()
        with open(self.paths[OURS], "rb") as file:
            self.header = file.read(pybooklet.HEADER)

    def store(self, flag):
        return blt.open(self.paths[OURS], flag, "str", self.form,
                        n_buckets=self.n_buckets)

    def write(self, who):
        if who == OURS:
            with self.store("n") as store:
                for key, value in self.items.items():
                    store[key] = value
        else:
            store = pybooklet.Writer(self.paths[THEIRS], self.header,
                                     self.dumps)
            for key, value in self.items.items():
                store[key] = value
            store.close()

    def update(self, who):
        """The same through update(), which the other has not."""
        if who != OURS:
            return self.write(who)
        with self.store("n") as store:
            store.update(self.items)

    def opened(self, who):
        # each reads what the other wrote
        if who == OURS:
            return blt.open(self.paths[THEIRS])
        return pybooklet.Reader(self.paths[OURS], self.loads)

    def read(self, who):
        store = self.opened(who)
        for key in self.some:
            assert store[key]

    def get_items(self, who):
        if who != OURS:
            return self.read(who)
        for _, value in self.opened(who).get_items(self.some):
            assert value

    def iterate(self, who):
        count = 0
        for _ in self.opened(who).items():
            count += 1
        assert count == self.n

    def map(self, who):
        store = self.opened(who)
        results = store.map(pair, n_workers=2) if who == OURS else \
            store.map_items(pair, 2)
        assert sum(1 for _ in results) == self.n

    def check(self):
        """What each finds in the other's file."""
        with blt.open(self.paths[THEIRS]) as store:
            assert dict(store.items()) == self.items
        reader = pybooklet.Reader(self.paths[OURS], self.loads)
        assert dict(reader.items()) == self.items


def compare(bench, rounds):
    rows = []
    for name in ("write", "update", "read", "get_items", "iterate", "map"):
        best = {}
        for _ in range(rounds):
            for who in (OURS, THEIRS):
                # a map's time is that of its processes, too
                clock = time.perf_counter if name == "map" else \
                    time.process_time
                began = clock()
                getattr(bench, name)(who)
                took = clock() - began
                best[who] = min(best.get(who, took), took)
        micro = {who: took / bench.n * 1e6 for who, took in best.items()}
        rows.append([bench.form, name, f"{micro[OURS]:.2f}",
                     f"{micro[THEIRS]:.2f}",
                     f"{micro[THEIRS] / micro[OURS]:.1f}"])
        print("| {} | {} | {} | {} | {} |".format(*rows[-1]), flush=True)
    bench.check()
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("results")
    parser.add_argument("-n", type=int, default=100000)
    parser.add_argument("-r", type=int, default=3)
    args = parser.parse_args()
    rows = []
    for form in FORMS:
        with tempfile.TemporaryDirectory() as room:
            rows += compare(Bench(room, args.n, form), args.r)
    with open(os.path.join(args.results, "python-wall.csv"), "w",
              newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["values", "operation", "blt (us an item)",
                      "pure Python (us an item)", "times"])
        out.writerows(rows)


if __name__ == "__main__":
    main()
