"""prune.py BUILD RESULTS [-m MIB] [-v LENGTH] [-r ROUNDS] [-d DIRECTORY]

"blt prune" of a store of which every second block is dead, beside "cp" and
fsync of the same store when it has been pruned: the live bytes, which a prune
must move at least.  Each begins with all bytes in the page cache and nothing
waiting for the disk.

Seconds by the clock and of the processor's work, how much each wrote to the
disk, and the ratios.
"""
import argparse
import os
import resource
import shutil
import subprocess
import tempfile
import time

import tables

COPY = ["sh", "-c", "cp \"$1\" \"$2\" && sync \"$2\"", "sh"]


def halved(args, path):
    """Keys that stay, and between them a few that are written anew."""
    n = (args.mib << 20) // (2 * (args.value_length + 40))
    value = "76" * args.value_length
    subprocess.run([f"{args.build}/blt", "create", "--buckets", str(2 * n),
                    path], check=True)
    with subprocess.Popen([f"{args.build}/blt", "load", "-q", path],
                          stdin=subprocess.PIPE) as load:
        for i in range(n):
            lines = "".join(f"{key.encode().hex()} {value} 1000\n"
                            for key in (f"key{i:09}", f"gone{i % 4096}"))
            load.stdin.write(lines.encode())
        load.stdin.close()
    if load.returncode:
        raise SystemExit("blt load has failed")


def written():
    """Bytes that have gone to all disks so far, where the kernel tells."""
    total = 0
    for name in os.listdir("/sys/block"):
        with open(f"/sys/block/{name}/stat", encoding="ascii") as f:
            total += int(f.read().split()[6]) * 512
    return total


class Bench:
    def __init__(self):
        self.wall, self.cpu = tables.Figures(), tables.Figures()
        self.disk = tables.Figures()

    def time(self, who, command):
        os.sync()
        disk, start = written(), time.monotonic()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        took = time.monotonic() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        os.sync()
        self.wall.add("seconds", who, took)
        self.cpu.add("seconds of CPU", who,
                     after.ru_utime + after.ru_stime - before.ru_utime -
                     before.ru_stime)
        self.disk.add("MiB to the disk", who, (written() - disk) / 2**20)

    def show(self):
        lines = []
        for figures in (self.wall, self.cpu, self.disk):
            for row in figures.rows:
                own, copy = figures.get(row, "prune"), figures.get(row, "cp")
                lines.append([row, f"{own:.2f}", f"{copy:.2f}",
                              f"{own / copy:.2f}"])
        tables.print_table(["", "blt prune", "cp and fsync", "times (mark 2)"],
                           lines)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("results")
    p.add_argument("-m", "--mib", type=int, default=4096)
    p.add_argument("-v", "--value-length", type=int, default=1000)
    p.add_argument("-r", "--rounds", type=int, default=2)
    p.add_argument("-d", "--directory", default=".",
                   help="where the stores are: on a real disk")
    args = p.parse_args()
    args.build = os.path.abspath(args.build)
    bench = Bench()
    print(tables.machine())
    place = tempfile.mkdtemp(prefix="bench.", dir=args.directory)
    try:
        full, store, copy = (os.path.join(place, name)
                             for name in ("full.blt", "store.blt", "copy.blt"))
        halved(args, full)
        before = os.stat(full).st_size
        for turn in range(args.rounds):
            print(f"round {turn + 1}", flush=True)
            shutil.copyfile(full, store)
            bench.time("prune", [f"{args.build}/blt", "prune", "-q", store])
            bench.time("cp", [*COPY, store, copy])
            after = os.stat(store).st_size
            os.unlink(copy)
            os.unlink(store)
    finally:
        shutil.rmtree(place)
    print(f"\nfrom {before / 2**20:.0f} to {after / 2**20:.0f} MiB, values of "
          f"{args.value_length} bytes; the best of {args.rounds} rounds\n")
    bench.show()
    bench.wall.write_csv(os.path.join(args.results, "prune-wall.csv"))
    bench.cpu.write_csv(os.path.join(args.results, "prune-cpu.csv"))


if __name__ == "__main__":
    main()
