"""engine.py ENGINE RESULTS [-n KEYS] [-r ROUNDS] [-d DIRECTORY]

Runs bench/engine for each peer in turn, some rounds over, and prints the table
of doc/performance.md: nanoseconds an operation, and by how much blt is ahead
of the best peer.
"""
import argparse
import os
import shutil
import subprocess
import tempfile

import tables

OWN = "blt"
# Reported in columns of their own, but no peers: the same engine from a small
# index, and the library's other engine.
OWN_OTHERS = ("blt-growing", "blt-lmdb")
REFERENCE = "SQLite"

# Row, what it is, at least so many times the best peer, in which of its rows.
MARKS = [
    ("get", "get, hit", 1.5, "get"),
    ("get_many", "get_many of 32, hit; a peer's get", 2.5, "get"),
    ("miss", "get, miss", 1.3, "miss"),
    ("put", "put of new keys, one sync", 2, "put"),
    ("overwrite", "overwrite, one sync", 1.3, "overwrite"),
    ("delete", "delete, one sync", 1.3, "delete"),
    ("put-sync", "put with a sync each", 1.2, "put-sync"),
    ("put-sync-8", "the same in 8 threads", 3, "put-sync-8"),
    ("scan", "scan of keys and lengths", 1, "scan"),
]


def run(engine, peer, keys, directory, *more):
    """The lines of one run, as row, wall, CPU; every run gets a directory of
    its own.  What is no time has one figure, which stands for both."""
    place = tempfile.mkdtemp(prefix="bench.", dir=directory)
    try:
        out = subprocess.run([engine, peer, str(keys), place, *more],
                             check=True, stdout=subprocess.PIPE, text=True)
    finally:
        shutil.rmtree(place)
    for line in out.stdout.splitlines():
        row, *values = line.split("\t")
        yield row, float(values[0]), float(values[-1])


def measure(args, peers):
    wall, cpu = tables.Figures(), tables.Figures()
    for turn in range(args.rounds):
        for peer in peers:
            print(f"round {turn + 1}: {peer}", flush=True)
            lines = [*run(args.engine, peer, args.keys, args.directory),
                     *run(args.engine, peer, args.synced, args.directory,
                          "sync")]
            for row, on_the_wall, of_the_cpu in lines:
                wall.add(row, peer, on_the_wall)
                cpu.add(row, peer, of_the_cpu)
    return wall, cpu


def against(figures, peers, row, theirs):
    """blt's figure, the best peer's with its name, and the ratio."""
    own = figures.get(row, OWN)
    best, who = figures.least(theirs, peers)
    if own is None or best is None:
        return None
    return (tables.format_number(own),
            f"{tables.format_number(best)} ({who})", best / own)


def show_marks(wall, cpu, peers):
    others = [p for p in peers if p not in (OWN, *OWN_OTHERS, REFERENCE)]
    lines = []
    for row, what, mark, theirs in MARKS:
        by_wall = against(wall, others, row, theirs)
        by_cpu = against(cpu, others, row, theirs)
        if by_wall:
            lines.append([what, *by_wall[:2], f"{by_wall[2]:.2f}",
                          *by_cpu[:2], f"{by_cpu[2]:.2f}", f"{mark:g}"])
    own, copy = cpu.get("scan-values", OWN), cpu.get("memcpy", OWN)
    lines.append(["scan of values; a memcpy of the same", "", "", "",
                  tables.format_number(own), tables.format_number(copy),
                  f"{copy / own:.2f}", "0.5"])
    tables.print_table(["row", "ns", "best peer", "ratio", "ns of CPU",
                        "best peer", "ratio", "mark"], lines)
    print(f"\nopen of a clean store: {cpu.get('open', OWN) / 1e6:.3f} ms "
          "(mark: under 1); anonymous memory: "
          f"{cpu.get('anon-bytes', OWN) / 2**20:.1f} MiB (mark: under 8 and "
          "the batch)")


def show_all(figures, what):
    print(f"\n{what}:\n")
    tables.print_table(
        ["row", *figures.contenders],
        [[row, *(tables.format_number(figures.get(row, c)) or "-"
                 for c in figures.contenders)] for row in figures.rows])


def main():
    p = argparse.ArgumentParser()
    p.add_argument("engine")
    p.add_argument("results")
    p.add_argument("-n", "--keys", type=int, default=1000000)
    p.add_argument("-s", "--synced", type=int, default=400,
                   help="keys that are put with a sync each")
    p.add_argument("-r", "--rounds", type=int, default=3)
    p.add_argument("-d", "--directory", default=".",
                   help="where the stores are made: on a real disk")
    p.add_argument("-p", "--peers", help="only these, with commas")
    args = p.parse_args()
    listed = subprocess.run([args.engine], check=True, text=True,
                            stdout=subprocess.PIPE).stdout.splitlines()
    settings = dict(line.split("\t") for line in listed)
    for name in ("LMDB", "tkrzw", "TokyoCabinet", "gdbm", "SQLite"):
        if name not in settings:
            print(f"{name} is not in it: its Debian package was missing when "
                  "configure ran")
    peers = args.peers.split(",") if args.peers else list(settings)

    print(tables.machine())
    wall, cpu = measure(args, peers)
    print(f"\n{args.keys} keys of 11 bytes, values of 200; the best of "
          f"{args.rounds} rounds")
    show_all(wall, "ns an operation, by the clock")
    show_all(cpu, "ns an operation, of the processor's work")
    print()
    show_marks(wall, cpu, peers)
    print()
    for peer in peers:
        print(f"{peer}: {settings[peer]}")
    for figures, what in ((wall, "wall"), (cpu, "cpu")):
        path = os.path.join(args.results, f"engine-{args.keys}-{what}.csv")
        figures.write_csv(path)
        tables.chart(path, f"{args.keys} keys, values of 200 bytes",
                     f"ns of {what} an operation (log)",
                     ["get", "get_many", "miss", "put", "overwrite", "delete",
                      "scan", "scan-values"])


if __name__ == "__main__":
    main()
