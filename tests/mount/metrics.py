#!/usr/bin/env python3
"""The file metrics, read as Prometheus reads its text format, and the example
that hands it to the node exporter."""

import os
import re
import subprocess

import controllib
from controllib import Mount
from places import TOP

work = controllib.directory()
store = os.path.join(work, 'a "store".blt')
SCRIPT = os.path.join(TOP, "doc", "examples", "bltfs-metrics.sh")

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = NAME + r'="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})\{{({LABEL}(?:,{LABEL})*)\}} (\S+)$")


def parse(text):
    """{(name, labels): value}; what is not in the format fails."""
    found, kinds, helped = {}, {}, set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped.add(line.split()[2])
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in kinds and name in helped, line
            kinds[name] = kind
            continue
        match = SAMPLE.match(line)
        assert match, line
        name, labels, value = match.groups()
        base = name
        if re.sub("_(bucket|sum|count)$", "", name) in kinds:
            base = re.sub("_(bucket|sum|count)$", "", name)
        assert kinds[base] in ("gauge", "histogram"), line
        labels = tuple(re.findall(rf'({NAME})="((?:[^"\\]|\\.)*)"', labels))
        assert (name, labels) not in found, line
        found[name, labels] = float(value)
    return found


def read(m):
    with open(m.control("metrics"), encoding="utf-8") as f:
        return parse(f.read())


def value(found, name, **labels):
    want = {"store": store.replace("\\", "\\\\").replace('"', '\\"'), **labels}
    return found["bltfs_" + name, tuple(want.items())]


def check_histograms(found, stats):
    ops = {dict(labels)["op"] for name, labels in found
           if name.endswith("_bucket")}
    assert ops == {key.split(".")[1] for key in stats if key[:3] == "op."}, ops
    for op in ops:
        rows = [(float(dict(labels)["le"]), v)
                for (name, labels), v in found.items()
                if name.endswith("_bucket") and dict(labels)["op"] == op]
        assert rows == sorted(rows), rows
        assert [v for _, v in rows] == sorted(v for _, v in rows), rows
        count = value(found, "request_duration_seconds_count", op=op)
        assert rows[-1] == (float("inf"), count), rows


def check_script(m):
    out = os.path.join(work, "collector")
    os.mkdir(out)
    with open(os.path.join(out, "bltfs-0.prom"), "w", encoding="utf-8"):
        pass  # of a mount that has gone
    subprocess.run(["sh", SCRIPT, out], check=True)
    mine = f"bltfs-{os.minor(os.stat(m.path).st_dev)}.prom"
    names = os.listdir(out)
    assert mine in names and "bltfs-0.prom" not in names, names
    assert all(name.endswith(".prom") for name in names), names
    with open(os.path.join(out, mine), encoding="utf-8") as f:
        assert value(parse(f.read()), "keys") == 1


with Mount(store, "create") as mount:
    with open(os.path.join(mount.path, "key"), "wb") as file:
        file.write(b"x" * 100)
    # which that close has not come to yet
    os.stat(os.path.join(mount.path, "key"))
    metrics = read(mount)
    assert value(metrics, "keys") == 1
    assert value(metrics, "writable") == 1 and value(metrics, "failed") == 0
    assert value(metrics, "file_bytes") == os.stat(store).st_size
    assert value(metrics, "value_bytes") == 100
    assert value(metrics, "jobs", state="running") == 0
    assert value(metrics, "request_duration_seconds_count", op="create") >= 1
    check_histograms(metrics, mount.lines("stats"))
    check_script(mount)
