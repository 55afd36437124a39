"""poll.py BUILD RESULTS [-n FILES] [-r ROUNDS] [-d DIR]

What `-o poll_us` gives and what it costs: the same work on mounts whose threads
look for the next request for so many microseconds before they sleep.  By the
clock and of the processor's work, the daemon's share counted; each phase behind
a fresh mount, the best of some rounds.  And what a mount at rest works.
"""
import argparse
import os
import shutil
import tempfile
import time

import tables
from contenders import Bltfs
from fs import Bench

TIMES_US = (0, 5, 10, 20, 50, 100)
WORK = ["create", "stat", "read", "overwrite", "rename", "unlink"]
REST_SECONDS = 4
SETTLE_SECONDS = 7  # until all is committed and durable


def polling(args, place, micros):
    c = Bltfs(f"poll_us={micros}", args.build, place, args.files)
    c.options = ["-o", f"poll_us={micros}"]
    return c


def rest(some, ret):
    """Milliseconds of work in a second of nothing to do."""
    time.sleep(SETTLE_SECONDS)
    before = [c.cpu_ns() for c in some]
    time.sleep(REST_SECONDS)
    for c, was in zip(some, before):
        used = (c.cpu_ns() - was) / REST_SECONDS / 1e6
        ret[c.name] = min(used, ret.get(c.name, used))


def show(bench, some, at_rest, threads):
    for t in threads:
        print(f"\n{bench.args.files} files, {t} thread(s); microseconds a "
              "file by the clock, and of CPU\n")
        lines = []
        for c in some:
            cells = [c.name]
            for work in WORK:
                row = work + (f" x{t}" if t > 1 else "")
                cells += [tables.format_number(f.get(row, c.name) / 1000)
                          for f in (bench.wall, bench.cpu)]
            cells.append(f"{at_rest[c.name]:.2f}")
            lines.append(cells)
        head = ["mount"]
        for work in WORK:
            head += [work, "CPU"]
        tables.print_table([*head, "at rest, ms/s"], lines)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("results")
    p.add_argument("-n", "--files", type=int, default=15000)
    p.add_argument("-r", "--rounds", type=int, default=3)
    p.add_argument("-t", "--threads", default="1,4")
    p.add_argument("-d", "--directory", default=".",
                   help="where all of it is: on a real disk")
    args = p.parse_args()
    args.build = os.path.abspath(args.build)
    if not os.access("/dev/fuse", os.W_OK):
        print("skipped: no /dev/fuse")
        return
    bench = Bench(args)
    threads = [int(t) for t in args.threads.split(",")]
    at_rest = {}
    print(tables.machine())
    for turn in range(args.rounds):
        print(f"round {turn + 1}", flush=True)
        place = tempfile.mkdtemp(prefix="bench.", dir=args.directory)
        some = [polling(args, place, t) for t in TIMES_US]
        try:
            for t in threads:
                for work in WORK:
                    for c in some:
                        c.unmount()
                        c.mount()
                        bench.note(work + (f" x{t}" if t > 1 else ""), c,
                                   bench.work(c, c.point, args.files, t, work))
            rest(some, at_rest)
        finally:
            for c in some:
                c.unmount()
            shutil.rmtree(place)
    show(bench, some, at_rest, threads)
    for figures, what in ((bench.wall, "wall"), (bench.cpu, "cpu")):
        figures.write_csv(os.path.join(args.results, f"poll-{what}.csv"))


if __name__ == "__main__":
    main()
