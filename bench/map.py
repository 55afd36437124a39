"""map.py BUILD SOURCE RESULTS [-n ITEMS] [-c COMMANDS] [-w WORKED] [-r ROUNDS]

What "blt map" does a second, beside others that do the same: the engine's own
loop of get and put, Python's multiprocessing.Pool, xargs and GNU parallel over
the same mount.  BUILD is the build directory, SOURCE the top of the sources.

Two figures each, microseconds an item: what the clock said, and what the
processor worked for all processes.
"""
import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time

import tables
from contenders import process_cpu_ns

LENGTH = 200

PYTHON_WORKER = """
import sys
sys.path.insert(0, {examples!r})
from blt_worker import serve
serve(lambda key, value: value)
"""

PYTHON_POOL = """
import multiprocessing, sys
def identity(item):
    return item
if __name__ == "__main__":
    n, chunk = int(sys.argv[1]), int(sys.argv[2])
    items = [(b"%011d" % i, bytes({length})) for i in range(n)]
    with multiprocessing.Pool(2) as pool:
        found = dict(pool.imap_unordered(identity, items, chunk))
    assert len(found) == n
"""

# Row, whose, against whom, at least so many times as fast.
MARKS = [
    ("identity", "shared object x2", "get+put loop", 0.5),
    ("identity", "framed C x2", "get+put loop", 0.2),
    ("identity", "framed Python x2", "Pool.imap_unordered", 2),
    ("identity", "framed Python x2", "the same, by 64", None),
    ("command", "blt map", "xargs -P2", 1.3),
    ("command", "blt map", "parallel -j2", None),
    ("a millisecond", "shared object x2", "shared object x1", 1.8),
    ("a millisecond asleep", "shared object x2", "shared object x1", 1.8),
]


class Bench:
    def __init__(self, args, place):
        self.args, self.place = args, place
        self.wall, self.cpu = tables.Figures(), tables.Figures()
        self.blt = f"{args.build}/blt"
        self.daemon = None
        self.full = os.path.join(place, "full.blt")

    def fill(self, path, n):
        """n items whose index does not grow."""
        subprocess.run([self.blt, "create", "--buckets", str(2 * n + 1), path],
                       check=True)
        with subprocess.Popen([self.blt, "load", "-q", path],
                              stdin=subprocess.PIPE) as load:
            for i in range(n):
                key = b"%011d" % i if n > self.args.commands else b"k%d" % i
                load.stdin.write(b"%s %s 1000\n" % (
                    key.hex().encode(), b"76" * LENGTH))
        assert load.returncode == 0

    def daemon_cpu(self):
        """The mount's daemon, and the processes that it has waited for."""
        if not self.daemon:
            return 0
        with open(f"/proc/{self.daemon.pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        waited = sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")
        return waited + process_cpu_ns(self.daemon.pid) / 1e9

    def time(self, row, who, n, command, **options):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        daemon = self.daemon_cpu()
        start = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL,
                       **options)
        took = time.monotonic() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = (after.ru_utime + after.ru_stime - before.ru_utime -
               before.ru_stime + self.daemon_cpu() - daemon)
        self.wall.add(row, who, took * 1e6 / n)
        self.cpu.add(row, who, cpu * 1e6 / n)

    # ---- a store file ----

    def fresh(self):
        """Each begins with the same file, in the page cache."""
        path = os.path.join(self.place, "copy.blt")
        shutil.copyfile(self.full, path)
        return path

    def identity(self):
        a = self.args
        n = a.items
        worker = PYTHON_WORKER.format(
            examples=os.path.join(a.source, "doc", "examples"))
        pool = os.path.join(self.place, "pool.py")
        with open(pool, "w", encoding="ascii") as f:
            f.write(PYTHON_POOL.format(length=LENGTH))
        shared = f"{a.build}/bench/mapshared.so"
        row = "identity"
        self.time(row, "get+put loop", n,
                  [f"{a.build}/bench/maploop", self.fresh()])
        for jobs in 1, 2:
            j = ["-qj", str(jobs)]
            self.time(row, f"shared object x{jobs}", n,
                      [self.blt, "map", *j, self.fresh(), "-s", shared])
            self.time(row, f"framed C x{jobs}", n,
                      [self.blt, "map", *j, self.fresh(), "-f",
                       f"{a.build}/bench/mapframed"])
        self.time(row, "framed Python x2", n,
                  [self.blt, "map", *j, self.fresh(), "-f", "--",
                   sys.executable, "-c", worker])
        for who, chunk in ("Pool.imap_unordered", 1), ("the same, by 64", 64):
            self.time(row, who, n, [sys.executable, pool, str(n), str(chunk)])

    def worked(self):
        """Work that is worth a worker of its own."""
        few = os.path.join(self.place, "few.blt")
        if not os.path.exists(few):
            self.fill(few, self.args.worked)
        for row, how in (("a millisecond", ["1000"]),
                         ("a millisecond asleep", ["1000", "asleep"])):
            for jobs in 1, 2:
                self.time(row, f"shared object x{jobs}", self.args.worked,
                          [self.blt, "map", "-qj", str(jobs), few, "-s",
                           f"{self.args.build}/bench/mapshared.so", "--",
                           *how])

    # ---- a mount ----

    def mount(self):
        store = os.path.join(self.place, "mounted.blt")
        point = os.path.join(self.place, "mount")
        if os.path.exists(store):
            os.unlink(store)
        os.makedirs(point, exist_ok=True)
        self.fill(store, self.args.commands)
        self.daemon = subprocess.Popen(
            [f"{self.args.build}/bltfs", "-f", store, point])
        while not os.path.ismount(point):
            time.sleep(0.005)
        return point

    def unmount(self, point):
        if self.daemon:
            subprocess.run(["fusermount3", "-u", point], check=True)
            self.daemon.wait()
        self.daemon = None

    def commands(self):
        """The same command for each file, its output in a file beside it."""
        n, row = self.args.commands, "command"
        find = "find . -type f -name 'k*' ! -name '*.out' -print0 | "
        each = "sh -c 'cat <\"$1\" >\"$1\".out' sh"
        ways = {
            "blt map": None,
            "xargs -P2": f"{find} xargs -0 -P2 -n1 {each}",
            "parallel -j2": f"{find} parallel -0 -j2 'cat <{{}} >{{}}.out'",
        }
        for who, command in ways.items():
            if command and not shutil.which(who.split()[0]):
                print(f"{who} is left out: it is not installed")
                continue
            point = self.mount()
            try:
                if command:
                    self.time(row, who, n, ["sh", "-c", command], cwd=point)
                else:
                    self.time(row, who, n,
                              [self.blt, "map", "-qj2", point, "--key",
                               "{key}.out", "--", "cat"])
                assert len(os.listdir(point)) == 2 * n
            finally:
                self.unmount(point)

    def show(self):
        lines = []
        for row, who, against, mark in MARKS:
            cells = [f"{row}: {who}"]
            for figures in (self.wall, self.cpu):
                own, other = figures.get(row, who), figures.get(row, against)
                cells += [tables.format_number(own),
                          f"{other / own:.2f}" if own and other else ""]
            lines.append([*cells, against, f"{mark:g}" if mark else ""])
        tables.print_table(["work", "us", "ratio", "us of CPU", "ratio", "to",
                            "mark"], lines)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("source")
    p.add_argument("results")
    p.add_argument("-n", "--items", type=int, default=1000000)
    p.add_argument("-c", "--commands", type=int, default=5000,
                   help="items of which each has a process")
    p.add_argument("-w", "--worked", type=int, default=5000,
                   help="items of which each takes a millisecond")
    p.add_argument("-r", "--rounds", type=int, default=3)
    p.add_argument("-d", "--directory", default=".",
                   help="where all of it is: on a real disk")
    args = p.parse_args()
    args.build = os.path.abspath(args.build)
    args.source = os.path.abspath(args.source)
    print(tables.machine())
    place = tempfile.mkdtemp(prefix="bench.", dir=args.directory)
    bench = Bench(args, os.path.abspath(place))
    try:
        bench.fill(bench.full, args.items)
        for turn in range(args.rounds):
            print(f"round {turn + 1}", flush=True)
            bench.identity()
            bench.worked()
            if os.access("/dev/fuse", os.W_OK):
                bench.commands()
    finally:
        shutil.rmtree(place)
    print(f"\n{args.items} items of {LENGTH} bytes; {args.commands} with a "
          f"command each; the best of {args.rounds} rounds; microseconds an "
          "item\n")
    bench.show()
    for figures, what in ((bench.wall, "wall"), (bench.cpu, "cpu")):
        path = os.path.join(args.results, f"map-{what}.csv")
        figures.write_csv(path)


if __name__ == "__main__":
    main()
