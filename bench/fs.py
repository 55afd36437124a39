"""fs.py BUILD RESULTS [-n FILES] [-b MIB] [-r ROUNDS] [-d DIRECTORY] ...

The filesystem's figures beside those of nullfs (a server that answers from
constants), libfuse's passthrough_ll (cache=always) and the plain directory that
it passes through to.  BUILD is the build directory, with bltfs in it and
bench/nullfs, bench/fswork and, where it could be built, bench/passthrough_ll.

Each phase runs on each of them in turn, some rounds over, each time behind a
fresh mount; the least time counts.  Two figures each: what the clock said, and
what the processor worked, the daemon's share counted.
"""
import argparse
import os
import shutil
import subprocess
import tempfile
import time

import tables
from contenders import FILE_LENGTH, Null, contenders


# The first listing behind a mount may be under way before all names have been
# walked, and is not kept by the kernel then: the second fills its cache.
#
# Phase, the work, whether it starts behind a fresh mount, against whom, and at
# least so many times as fast.
PHASES = [
    ("create", "create", True, "passthrough_ll", 1.8),
    ("stat", "stat", True, "nullfs", 1 / 1.15),
    ("stat, missing", "miss", True, "nullfs", 1 / 1.15),
    ("stat, warm", "stat", False, None, None),
    ("open+read+close", "read", True, "nullfs", 1 / 1.25),
    ("list", "list", True, "passthrough_ll", 1),
    ("list again", "list", False, None, None),
    ("list, warm", "list", False, "passthrough_ll", 1),
    ("overwrite", "overwrite", True, "passthrough_ll", 1.5),
    ("rename", "rename", True, "passthrough_ll", 1.5),
    ("unlink", "unlink", True, "passthrough_ll", 1.5),
]

BIG = [
    ("write, MiB", "write-big", True, 0.95),
    ("read cold, MiB", "read-big", True, 0.95),
    ("read warm, MiB", "read-big", False, 0.95),
]


class Bench:
    def __init__(self, args):
        self.args = args
        self.wall, self.cpu = tables.Figures(), tables.Figures()

    def work(self, contender, path, n, threads, work):
        before = contender.cpu_ns()
        out = subprocess.run(
            [f"{self.args.build}/bench/fswork", path, str(n), str(threads),
             work], check=True, stdout=subprocess.PIPE, text=True).stdout
        wall, cpu = map(float, out.split())
        return wall, cpu + (contender.cpu_ns() - before) / n

    def note(self, row, contender, figures):
        self.wall.add(row, contender.name, figures[0])
        self.cpu.add(row, contender.name, figures[1])

    def small_files(self, all_of_them, threads):
        """All phases in turn: what one leaves, the next finds."""
        suffix = f" x{threads}" if threads > 1 else ""
        for row, work, fresh, _, _ in PHASES:
            for c in all_of_them:
                if fresh:
                    c.unmount()
                    c.mount()
                self.note(row + suffix, c,
                          self.work(c, c.point, self.args.files, threads,
                                    work))
        for c in all_of_them:
            c.unmount()

    def big_file(self, some):
        for row, work, fresh, _ in BIG:
            for c in some:
                if fresh:
                    c.unmount()
                    c.mount()
                self.note(row, c, self.work(c, c.point + "/big",
                                            self.args.big, 1, work))
        for c in some:
            os.unlink(c.point + "/big")
            c.unmount()

    def show(self, marks):
        lines = []
        for row, against, mark in marks:
            own = self.wall.get(row, "bltfs")
            if own is None:
                continue
            cells = [row]
            for figures in (self.wall, self.cpu):
                theirs = figures.get(row, against) if against else None
                cells += [tables.format_number(figures.get(row, "bltfs")
                                               / 1000),
                          f"{theirs / figures.get(row, 'bltfs'):.2f}"
                          if theirs else ""]
            cells += [against or "", f"{mark:.2f}" if mark else ""]
            lines.append(cells)
        tables.print_table(["row", "us", "ratio", "us of CPU", "ratio",
                            "to", "mark"], lines)


def first_cat(args, place):
    """From the start of the daemon until the first cat has its bytes."""
    store = os.path.join(place, "first.blt")
    point = os.path.join(place, "first")
    os.mkdir(point)
    keys = args.keys
    subprocess.run([f"{args.build}/blt", "create", store], check=True)
    with subprocess.Popen([f"{args.build}/blt", "load", store],
                          stdin=subprocess.PIPE, text=True,
                          stdout=subprocess.DEVNULL) as load:
        for i in range(keys):
            key = f"d{i % 1000}/k{i}" if i else "root"
            load.stdin.write(f"{key.encode().hex()} 76 1000\n")
        load.stdin.close()
    best = []
    for name in ("root", "d1/k1"):
        times = []
        for _ in range(3):
            start = time.monotonic()
            daemon = subprocess.Popen([f"{args.build}/bltfs", "-f", store,
                                       point])
            while not os.path.ismount(point):
                time.sleep(0.001)
            with open(f"{point}/{name}", "rb") as f:
                f.read()
            times.append(time.monotonic() - start)
            os.listdir(f"{point}/d1")
            with open(f"/proc/{daemon.pid}/status") as f:
                rss = [line.split()[1] for line in f
                       if line.startswith("RssAnon")][0]
            subprocess.run(["fusermount3", "-u", point], check=True)
            daemon.wait()
        best.append((name, min(times), int(rss)))
    for name, took, rss in best:
        print(f"mount until cat {name}: {took * 1000:.1f} ms with {keys} keys;"
              f" RssAnon with the tree built: {rss / 1024:.1f} MiB")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("results")
    p.add_argument("-n", "--files", type=int, default=15000)
    p.add_argument("-b", "--big", type=int, default=1024, help="MiB")
    p.add_argument("-k", "--keys", type=int, default=10000000,
                   help="of the store that is mounted for its first cat")
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
    print(tables.machine())
    for turn in range(args.rounds):
        print(f"round {turn + 1}", flush=True)
        place = tempfile.mkdtemp(prefix="bench.", dir=args.directory)
        all_of_them = contenders(args, place, null=True)
        try:
            for t in threads:
                bench.small_files(all_of_them, t)
            if args.big:
                bench.big_file([c for c in all_of_them
                                if not isinstance(c, Null)])
            if turn == 0 and args.keys:
                first_cat(args, place)
        finally:
            for c in all_of_them:
                if c.daemon:
                    c.unmount()
            shutil.rmtree(place)
    marks = [(row + (f" x{t}" if t > 1 else ""), against, mark)
             for t in threads for row, _, _, against, mark in PHASES]
    marks += [(row, "passthrough_ll", mark) for row, _, _, mark in BIG]
    print(f"\n{args.files} files of {FILE_LENGTH} bytes; the best of "
          f"{args.rounds} rounds; microseconds a file (or a MiB)\n")
    bench.show(marks)
    for figures, what in ((bench.wall, "wall"), (bench.cpu, "cpu")):
        path = os.path.join(args.results, f"fs-{what}.csv")
        figures.write_csv(path)
        tables.chart(path, f"{args.files} files of {FILE_LENGTH} bytes",
                     f"ns of {what} a file (log)",
                     [row for row, _, _, _, _ in PHASES])


if __name__ == "__main__":
    main()
