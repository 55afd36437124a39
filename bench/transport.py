"""transport.py BUILD RESULTS [-n FILES] [-b MIB] [-r ROUNDS] [-d DIR]

The same daemon with requests through io_uring and through the device: the work
of bench/fswork by one thread and by four, each behind a fresh mount, and one
large file.  Rounds alternate; each ratio is of one round, and the median of the
rounds is shown.  Over 1: io_uring is faster.  passthrough_ll, through the
device, runs along where it was built.

The kernel must offer it; "blt doctor" says how.
"""
import argparse
import csv
import os
import shutil
import statistics
import tempfile

import tables
from contenders import Bltfs, Passthrough
from fs import Bench

PARAMETER = "/sys/module/fuse/parameters/enable_uring"
WORK = ["create", "stat", "miss", "read", "overwrite", "rename", "unlink"]
BIG = ["write-big", "read-big"]


def offered():
    try:
        with open(PARAMETER, encoding="ascii") as f:
            return f.read(1) == "Y"
    except OSError:
        return False


def over(args, place, name):
    c = Bltfs(name, args.build, place, args.files)
    c.options = ["-o", "io_uring=yes" if name == "io_uring" else
                 "io_uring=no"]
    return c


def passthrough(args, place):
    if not os.path.exists(f"{args.build}/bench/passthrough_ll"):
        return []
    return [Passthrough("passthrough_ll", args.build, place, args.files)]


def fresh(c):
    c.unmount()
    c.mount()


def one_round(args, bench, some, note):
    for t in [int(t) for t in args.threads.split(",")]:
        for work in WORK:
            for c in some:
                fresh(c)
                note(f"{work} x{t}", c,
                     bench.work(c, c.point, args.files, t, work))
    for work in BIG:
        for c in some:
            fresh(c)
            note(work, c, bench.work(c, os.path.join(c.point, "big"),
                                     args.mib, 1, work))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("results")
    p.add_argument("-n", "--files", type=int, default=15000)
    p.add_argument("-b", "--mib", type=int, default=256)
    p.add_argument("-r", "--rounds", type=int, default=3)
    p.add_argument("-t", "--threads", default="1,4")
    p.add_argument("-d", "--directory", default=".",
                   help="where all of it is: on a real disk")
    args = p.parse_args()
    args.build = os.path.abspath(args.build)
    if not offered():
        print(f"skipped: no Y in {PARAMETER}")
        return
    bench = Bench(args)
    found = {}
    print(tables.machine())

    def note(row, c, figures):
        found.setdefault(row, {}).setdefault(c.name, []).append(figures)

    for turn in range(args.rounds):
        print(f"round {turn + 1}", flush=True)
        place = tempfile.mkdtemp(prefix="bench.", dir=args.directory)
        some = [over(args, place, name) for name in ("io_uring", "device")]
        some = (some[::-1] if turn % 2 else some) + passthrough(args, place)
        try:
            one_round(args, bench, some, note)
        finally:
            for c in some:
                c.unmount()
            shutil.rmtree(place)
    show(args, found)


def ratio(names, one, two, which):
    if two not in names:
        return None
    return statistics.median(b[which] / a[which]
                             for a, b in zip(names[one], names[two]))


def show(args, found):
    head = ["work", "device us", "io_uring us", "wall", "CPU",
            "to passthrough_ll"]
    lines, rows = [], []
    for row, names in found.items():
        us = [statistics.median(f[0] for f in names[n]) / 1000
              for n in ("device", "io_uring")]
        cells = us + [ratio(names, "io_uring", "device", 0),
                      ratio(names, "io_uring", "device", 1),
                      ratio(names, "io_uring", "passthrough_ll", 0)]
        rows.append([row] + cells)
        lines.append([row] + ["" if c is None else tables.format_number(c)
                              for c in cells])
    tables.print_table(head, lines)
    with open(os.path.join(args.results, "transport.csv"), "w", newline="",
              encoding="ascii") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(["work", "device_us", "io_uring_us", "wall_ratio",
                      "cpu_ratio", "to_passthrough"])
        out.writerows([r[0]] + [c and f"{c:.2f}" for c in r[1:]]
                      for r in rows)


if __name__ == "__main__":
    main()
