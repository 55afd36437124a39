"""postgres.py POSTGRES RESULTS [-n TIMES] [-r ROUNDS] [-p PEERS]

Runs bench/postgres for raw libpq and for the engine in turn, on a server of its own,
over its socket and over loopback TCP, some rounds over, and prints the table of
doc/performance.md: microseconds an operation, and the ratio with its limit.
"""
import argparse
import os
import subprocess
import sys

import tables

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "tests", "lib"))
import pglib  # noqa: E402

ROUTES = ("socket", "tcp")
# Row, what it is, at most so many times raw libpq.
MARKS = [
    ("get", "get", 1.2),
    ("get-100", "100 gets", 1.3),
    ("list-10000", "listing of 10,000 names", 1.5),
    ("put-100", "batch of 100 puts", 1.2),
    ("read-64m", "read of 64 MiB", 1.3),
]


def run(args, server, peer, where):
    """The lines of one run.  The tables are vacuumed before it counts, so that no
    plan and no visibility map depends on when autovacuum comes by."""
    with subprocess.Popen([args.postgres, peer, where, str(args.times)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as program:
        if program.stdout.readline() == "filled\n":
            server.sql("vacuum analyze", database="blt")
        out, _ = program.communicate("\n")
    if program.returncode:
        sys.exit(f"{peer}: exit {program.returncode}")
    for line in out.splitlines():
        row, wall, cpu = line.split("\t")
        yield row, float(wall), float(cpu)


def measure(args, server):
    wall, cpu = tables.Figures(), tables.Figures()
    for turn in range(args.rounds):
        for route in ROUTES:
            for peer in args.peers.split(","):
                print(f"round {turn + 1}: {peer}, {route}", flush=True)
                more = {"store": "bench"} if peer == "blt" else {}
                where = server.url(tcp=route == "tcp", **more)
                for row, by_wall, by_cpu in run(args, server, peer,
                                               where):
                    wall.add(row, f"{peer} {route}", by_wall)
                    cpu.add(row, f"{peer} {route}", by_cpu)
    return wall, cpu


def micro(value):
    return "-" if value is None else tables.format_number(value / 1000)


def show(figures):
    lines = []
    for row, what, most in MARKS:
        for route in ROUTES:
            raw = figures.get(row, f"raw {route}")
            own = figures.get(row, f"blt {route}")
            ratio = f"{own / raw:.2f}" if raw and own else "-"
            lines.append([f"{what}, {route}", micro(own), micro(raw), ratio,
                          f"{most:.1f}"])
    tables.print_table(["microseconds", "blt", "raw libpq", "ratio", "at most"],
                       lines)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("postgres")
    p.add_argument("results")
    p.add_argument("-n", "--times", type=int, default=10)
    p.add_argument("-r", "--rounds", type=int, default=3)
    p.add_argument("-p", "--peers", default="raw,blt")
    args = p.parse_args()
    server = pglib.Server(tcp=True, shared_buffers="256MB", autovacuum="off")
    print(tables.machine())
    print(server.sql("select version()")[0][0])
    wall, cpu = measure(args, server)
    print(f"\nby the clock, the best of {args.rounds} rounds:\n")
    show(wall)
    print("\nof the client's processor:\n")
    show(cpu)
    for figures, what in ((wall, "wall"), (cpu, "cpu")):
        figures.write_csv(os.path.join(args.results, f"postgres-{what}.csv"))


if __name__ == "__main__":
    main()
