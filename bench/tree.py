"""tree.py BUILD RESULTS [-n FILES] [-l NAMES] [-s NAMES] [-r ROUNDS] [-d DIR]

Whole trees under real tools: a source tree of many small files unpacked with
tar, found, searched and removed; a long listing; a directory of very many
names.  Beside libfuse's passthrough_ll (cache=always) and the plain directory.

"cold": the kernel's caches are empty (only root can see to that) and the mount
is fresh.  Of some rounds the least time counts; by the clock and of the
processor's work, the daemon's share and the tools' counted.

passthrough_ll keeps a descriptor of each file that the kernel knows: where that
is more than `ulimit -Hn` allows, it is left out.
"""
import argparse
import io
import os
import random
import resource
import shutil
import subprocess
import tarfile
import tempfile
import time

import tables
from contenders import Bltfs, Passthrough, contenders

# Name, what runs in the mount, whether the mount and all caches are fresh, of
# what the time is told, and how often as fast as passthrough_ll and the plain
# directory it is to be at least.
WORK = [
    ("tar x", "tar -xf ../tree.tar", False, "tree", 1.3, None),
    ("find, cold", "find tree -type f", True, "tree", 1, None),
    ("grep -r, cold", "grep -r no-such-word tree", True, "tree", 1.3, 1 / 3),
    ("grep -r, warm", "grep -r no-such-word tree", False, "tree", 1.3, None),
    ("rm -r, cold", "rm -r tree", True, "tree", 1.3, 1 / 3),
    ("ls -l, cold", "ls -l long", True, "long", 1, None),
    ("ls -l, warm", "ls -l long", False, "long", 1, None),
    ("ls -f, cold", "ls -f names", True, "names", 1, None),
    ("ls -f, again", "ls -f names", False, "names", None, None),
    ("ls -f, warm", "ls -f names", False, "names", 1, None),
]


def source_tree(path, files):
    """A tar of files as sources are: lines, most of them short, a few long."""
    rnd = random.Random(1)
    line = "static int thing_%d(struct thing *t) { return t->part[%d]; }\n"
    text = "".join(line % (i, i) for i in range(20000)).encode()
    with tarfile.open(path, "w") as tar:
        made = set()
        for i in range(files):
            parts = ["tree", f"part{i % 20}", f"module{i // 20 % 150}"]
            for depth in range(1, len(parts) + 1):
                folder = "/".join(parts[:depth])
                if folder not in made:
                    made.add(folder)
                    info = tarfile.TarInfo(folder)
                    info.type, info.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(info)
            size = min(int(rnd.lognormvariate(8, 1.2)), len(text))
            info = tarfile.TarInfo("/".join(parts + [f"thing{i}.c"]))
            info.size, info.mtime = size, 1000000000 + i
            tar.addfile(info, io.BytesIO(text[:size]))


def fill(contender, folder, names):
    """So many files of a byte in a directory, put where it takes them from."""
    if isinstance(contender, Bltfs):
        contender.unmount()
        with subprocess.Popen([f"{contender.build}/blt", "load",
                               contender.store], stdin=subprocess.PIPE,
                              text=True, stdout=subprocess.DEVNULL) as load:
            for i in range(names):
                key = f"{folder}/name{i}".encode().hex()
                load.stdin.write(f"{key} 76 1000\n")
            load.stdin.close()
        contender.mount()
        return
    at = contender.point
    if isinstance(contender, Passthrough):
        at = contender.source
    os.mkdir(f"{at}/{folder}")
    for i in range(names):
        with open(f"{at}/{folder}/name{i}", "wb") as f:
            f.write(b"v")


def holds(contender, work, count):
    """Whether so many files may be known to the kernel there."""
    if not isinstance(contender, Passthrough) or work == "names":
        return True
    return count < resource.getrlimit(resource.RLIMIT_NOFILE)[1] * 9 // 10


def forget():
    """Empties the kernel's caches; False where that is not ours to do."""
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as f:
            f.write("3\n")
    except OSError:
        return False
    return True


class Bench:
    def __init__(self, args):
        self.counts = {"tree": args.files, "long": args.long,
                       "names": args.names}
        self.wall, self.cpu = tables.Figures(), tables.Figures()

    def run(self, contender, row, command, of):
        def worked():
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            return (used.ru_utime + used.ru_stime) * 1e9 + contender.cpu_ns()

        before, start = worked(), time.monotonic()
        done = subprocess.run(command.split(), cwd=contender.point,
                              stdout=subprocess.DEVNULL, check=False)
        took = (time.monotonic() - start) * 1e9
        if done.returncode != 0 and not command.startswith("grep"):
            print(f"{contender.name}: {command}: exit status "
                  f"{done.returncode}: left out")
            return
        self.wall.add(row, contender.name, took / self.counts[of])
        self.cpu.add(row, contender.name,
                     (worked() - before) / self.counts[of])

    def all(self, some):
        for row, command, fresh, of, _, _ in WORK:
            if not self.counts[of]:
                continue
            for c in some:
                if not holds(c, of, self.counts[of]):
                    continue
                if of != "tree" and fresh:
                    fill(c, of, self.counts[of])
                if fresh:
                    c.unmount()
                    forget()
                    c.mount()
                self.run(c, row, command, of)

    def show(self):
        lines = []
        for row, _, _, _, mark, plain_mark in WORK:
            own = self.wall.get(row, "bltfs"), self.cpu.get(row, "bltfs")
            if own[0] is None:
                continue
            cells = [row]
            for figures, ours in zip((self.wall, self.cpu), own):
                theirs = figures.get(row, "passthrough_ll")
                plain = figures.get(row, "plain")
                cells += [tables.format_number(ours / 1000),
                          f"{theirs / ours:.2f}" if theirs else "",
                          f"{plain / ours:.2f}"]
            cells += [f"{m:.2f}" if m else "" for m in (mark, plain_mark)]
            lines.append(cells)
        tables.print_table(
            ["row", "us", "passthrough_ll", "plain", "us of CPU",
             "passthrough_ll", "plain", "mark", "mark, plain"], lines)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("results")
    p.add_argument("-n", "--files", type=int, default=50000)
    p.add_argument("-l", "--long", type=int, default=100000,
                   help="names of the long listing")
    p.add_argument("-s", "--names", type=int, default=1000000,
                   help="names of the large directory")
    p.add_argument("-r", "--rounds", type=int, default=1)
    p.add_argument("-d", "--directory", default=".",
                   help="where all of it is: on a real disk")
    args = p.parse_args()
    args.build = os.path.abspath(args.build)
    if not os.access("/dev/fuse", os.W_OK):
        print("skipped: no /dev/fuse")
        return
    if not forget():
        print("not root: what is called cold has the kernel's caches")
    bench = Bench(args)
    print(tables.machine())
    for turn in range(args.rounds):
        print(f"round {turn + 1}", flush=True)
        place = tempfile.mkdtemp(prefix="bench.", dir=args.directory)
        some = contenders(args, place)
        try:
            source_tree(os.path.join(place, "tree.tar"), args.files)
            for c in some:
                c.mount()
            bench.all(some)
        finally:
            for c in some:
                if c.daemon:
                    c.unmount()
            shutil.rmtree(place)
    print(f"\na tree of {args.files} files, {args.long} and {args.names} "
          f"names; the best of {args.rounds} rounds; microseconds a file or "
          "name; how many times as fast as passthrough_ll and as the plain "
          "directory\n")
    bench.show()
    for figures, what in ((bench.wall, "wall"), (bench.cpu, "cpu")):
        path = os.path.join(args.results, f"tree-{what}.csv")
        figures.write_csv(path)
        tables.chart(path, f"a tree of {args.files} files under real tools",
                     f"ns of {what} a file (log)", [w[0] for w in WORK])


if __name__ == "__main__":
    main()
