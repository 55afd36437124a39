"""Figures of one run: CSV, tables with ratios and marks, charts.

A figure is (row, contender, value); less is better.  Of several rounds the
least counts: what else the machine did only ever adds.
"""
import csv
import os
import shutil
import subprocess


class Figures:
    def __init__(self):
        self.best = {}
        self.rows = []
        self.contenders = []

    def add(self, row, contender, value):
        if row not in self.rows:
            self.rows.append(row)
        if contender not in self.contenders:
            self.contenders.append(contender)
        key = row, contender
        self.best[key] = min(value, self.best.get(key, value))

    def get(self, row, contender):
        return self.best.get((row, contender))

    def least(self, row, contenders):
        """The best of them in a row, and who that is."""
        found = [(self.best[row, c], c) for c in contenders
                 if (row, c) in self.best]
        return min(found) if found else (None, None)

    def write_csv(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", newline="") as f:
            w = csv.writer(f, lineterminator="\n")
            w.writerow(["row", *self.contenders])
            for row in self.rows:
                w.writerow([row, *(format_number(self.get(row, c))
                                   for c in self.contenders)])
        print(f"wrote {path}")


def format_number(value):
    if value is None:
        return ""
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def print_table(head, lines):
    """As Markdown, so that it can be copied into a document."""
    table = [head, *lines]
    widths = [max(len(line[i]) for line in table) for i in range(len(head))]

    def show(cells):
        print("| " + " | ".join(
            c.ljust(w) if i == 0 else c.rjust(w)
            for i, (c, w) in enumerate(zip(cells, widths))) + " |")

    show(head)
    print("|" + "|".join("-" * (w + 1) + ("-" if i == 0 else ":")
                         for i, w in enumerate(widths)) + "|")
    for line in lines:
        show(line)


def chart(csv_path, title, unit, rows):
    """An SVG of some rows beside the CSV file, where gnuplot is there."""
    if not shutil.which("gnuplot"):
        print("no chart: gnuplot is not installed")
        return
    svg = csv_path[:-len(".csv")] + ".svg"
    with open(csv_path, newline="") as f:
        table = list(csv.reader(f))
    lines = [line for line in table[1:] if line[0] in rows]
    if not lines:
        return
    data = "\n".join(
        " ".join([f'"{line[0]}"', *(cell or "?" for cell in line[1:])])
        for line in lines)
    plots = ", ".join(
        f"$data using {i + 2}:xtic(1) title '{name}'"
        for i, name in enumerate(table[0][1:]))
    script = f"""
set terminal svg noenhanced size 1000,420 font 'sans,12' background 'white'
set output '{svg}'
set title '{title}'
set ylabel '{unit}'
set logscale y
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.8 border -1
set datafile missing '?'
set grid ytics
set key outside right
set xtics rotate by -25
$data << END
{data}
END
plot {plots}
"""
    done = subprocess.run(["gnuplot"], input=script, text=True,
                          capture_output=True)
    if done.returncode:
        print(f"no chart: gnuplot says: {done.stderr.strip()}")
    else:
        print(f"wrote {svg}")


def machine():
    """One line on where these figures come from."""
    model = "unknown processor"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo") as f:
        memory = int(f.readline().split()[1]) / 2**20
    load = os.getloadavg()[0]
    return (f"{os.cpu_count()} x {model}, {memory:.0f} GiB, "
            f"Linux {os.uname().release}, load {load:.1f}")
