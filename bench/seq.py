"""seq.py SEQ RESULTS [-n ITEMS,...] [-e ENGINES] [-r ROUNDS] [-d DIRECTORY]

Runs bench/seq for each engine and each length, some rounds over, and prints the
table of doc/performance.md: nanoseconds an operation on a sequence, beside the
same list kept as numbered keys.
"""
import argparse
import os
import shutil
import subprocess
import tempfile

import tables

MOST = 1000000  # of LMDB, which waits for the disk at each call that fills
# Row, what it is.
ROWS = [
    ("position", "the name at a position, by chance"),
    ("get", "the value at a position, by chance"),
    ("append", "append"),
    ("insert-0", "insert at 0"),
    ("delete-0", "delete at 0"),
    ("insert-any", "insert, by chance"),
    ("delete-any", "delete, by chance"),
    ("move-any", "move, by chance"),
    ("insert-gap", "insert into one gap"),
    ("iterate", "iterate, an item"),
    ("iterate-values", "iterate with values, an item"),
    ("fill", "append of 4,096 at once, an item"),
    ("first", "first question, an item that is there"),
    ("naive-append", "numbered keys: append"),
    ("naive-insert-0", "numbered keys: insert at 0"),
]


def run(args, engine, items):
    place = tempfile.mkdtemp(prefix="bench.", dir=args.directory)
    try:
        out = subprocess.run([args.seq, engine, str(items), place], check=True,
                             stdout=subprocess.PIPE, text=True)
    finally:
        shutil.rmtree(place)
    for line in out.stdout.splitlines():
        row, *values = line.split("\t")
        yield row, float(values[0]), float(values[-1])


def measure(args, columns):
    wall, cpu = tables.Figures(), tables.Figures()
    for turn in range(args.rounds):
        for engine, items in columns:
            column = f"{engine} {items}"
            print(f"round {turn + 1}: {column}", flush=True)
            for row, on_the_wall, of_the_cpu in run(args, engine, items):
                wall.add(row, column, on_the_wall)
                cpu.add(row, column, of_the_cpu)
    return wall, cpu


def show(figures, what):
    print(f"\n{what}:\n")
    tables.print_table(
        ["row", *figures.contenders],
        [[text, *(tables.format_number(figures.get(row, c)) or "-"
                  for c in figures.contenders)] for row, text in ROWS])


def show_marks(cpu):
    lines = []
    for c in cpu.contenders:
        lines.append([
            c, f"{cpu.get('insert-0', c) / cpu.get('append', c):.2f}", "4",
            f"{cpu.get('bytes', c):.1f}", "24",
            f"{cpu.get('name', c):.0f}", "6"])
    print()
    tables.print_table(["", "insert at 0 / append", "at most", "bytes an item",
                        "at most", "longest name of appends", "at most"],
                       lines)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("seq")
    p.add_argument("results")
    p.add_argument("-n", "--items", default="10000,1000000,10000000")
    p.add_argument("-e", "--engines", default="booklet,lmdb")
    p.add_argument("-r", "--rounds", type=int, default=2)
    p.add_argument("-d", "--directory", default=".",
                   help="where the stores are made: on a real disk")
    args = p.parse_args()
    columns = [(engine, items) for engine in args.engines.split(",")
               for items in map(int, args.items.split(","))
               if engine != "lmdb" or items <= MOST]
    print(tables.machine())
    wall, cpu = measure(args, columns)
    print(f"\nvalues of 40 bytes; the best of {args.rounds} rounds")
    show(wall, "ns an operation, by the clock")
    show(cpu, "ns an operation, of the processor's work")
    show_marks(cpu)
    for figures, what in ((wall, "wall"), (cpu, "cpu")):
        figures.write_csv(os.path.join(args.results, f"seq-{what}.csv"))


if __name__ == "__main__":
    main()
