#!/usr/bin/env python3
"""Runs the commands of the README and of the tour, and compares the output.

The commands are the lines of ```console blocks that begin with "$ " ("> "
continues one); what follows each is what it prints, both streams.  "..."
stands for anything, in a line or, alone on one, for any number of lines.  How
far it is, which a slow machine shows, is passed over.  All
blocks run in one shell, in a directory laid out as a clone is after
./bootstrap build; a command that fails, fails the test.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

from places import TOP

MARK = "=== readme ==="
PROGRESS = re.compile(r"^blt \w+: \d+ %, \d+ keys\n", re.M)
SECONDS = 120


def commands(text):
    """[command, expected lines] of every console block, in order."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.M | re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append([line[2:], []])
            elif line.startswith("> ") and not found[-1][1]:
                found[-1][0] += "\n" + line[2:]
            else:
                found[-1][1].append(line)
    for item in found:
        while item[1] and not item[1][-1].strip():
            item[1].pop()  # an empty line in front of the next command
    return found


def pattern(lines):
    """What the expected lines match, as a regular expression."""
    parts = []
    for line in lines:
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*?".join(re.escape(p) for p in line.split("..."))
                         + r"\n")
    return "".join(parts)


def script(items):
    lines = ["export LC_ALL=C.UTF-8"]
    for command, _ in items:
        lines += [command, f"printf '\\n{MARK} %d\\n' $?"]
    return "\n".join(lines) + "\n"


def run(items, directory):
    """[(output, exit status)] of each command."""
    out_path = os.path.join(directory, ".out")
    with open(out_path, "wb") as out:
        # not a pipe: a daemon that kept it open would keep us waiting
        subprocess.run(["bash"], input=script(items).encode(), stdout=out,
                       stderr=subprocess.STDOUT, cwd=directory,
                       timeout=SECONDS, check=False)
    with open(out_path, encoding="utf-8", errors="replace") as out:
        parts = re.split(rf"\n{MARK} (\d+)\n", out.read())
    return list(zip(parts[0::2], map(int, parts[1::2])))


def compare(items, results):
    """The number of commands that did not do as the page says."""
    failed = 0
    for i, (command, expected) in enumerate(items):
        if i >= len(results):
            print(f"$ {command}\n-- the shell was gone before this")
            failed += 1
            continue
        out, status = results[i]
        out = PROGRESS.sub("", out)
        if out and not out.endswith("\n"):
            out += "\n"
        if status != 0:
            print(f"$ {command}\n{out}-- exit status {status}")
            failed += 1
        elif not re.fullmatch(pattern(expected), out):
            print(f"$ {command}\n-- expected:")
            print("\n".join(expected))
            print(f"-- printed:\n{out}", end="")
            failed += 1
    return failed


def prepare(directory):
    """The layout of a clone: ./bootstrap, tests/, build/ with the programs."""
    build = os.path.join(directory, "build")
    os.mkdir(build)
    for name in ("BLT", "BLTFS"):
        path = os.environ[name]
        os.symlink(path, os.path.join(build, os.path.basename(path)))
    for name in ("bootstrap", "tests"):
        os.symlink(os.path.join(TOP, name), os.path.join(directory, name))
    # ./bootstrap is to use these, not to build
    os.environ["BLTFS_BUILD"] = build
    # as installed
    os.environ["PATH"] = build + ":" + os.environ["PATH"]


def unmount_below(directory):
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        points = [line.split()[4] for line in f]
    for point in sorted(points, reverse=True):
        if point.startswith(directory + "/"):
            subprocess.run(["fusermount3", "-uz", point], check=False)


def run_page(name):
    """Whether all of its commands do as it says."""
    with open(os.path.join(TOP, name), encoding="utf-8") as f:
        text = f.read()
    if "lmdb" not in os.environ.get("BLT_ENGINES", "lmdb"):
        # built without it
        text = re.sub(r"^## LMDB\n.*", "", text, flags=re.M | re.S)
    items = commands(text)
    if not items:
        print(f"{name} has no ```console block")
        return False
    path = os.environ["PATH"]
    directory = os.path.realpath(tempfile.mkdtemp())
    try:
        prepare(directory)
        failed = compare(items, run(items, directory))
    finally:
        unmount_below(directory)
        shutil.rmtree(directory, ignore_errors=True)
        os.environ["PATH"] = path
    print(f"{name}: {len(items)} commands, {failed} not as it says")
    return failed == 0


def main():
    if not os.path.exists("/dev/fuse"):
        print("there is no /dev/fuse")
        return 77
    good = [run_page(name) for name in ("README.md", "doc/tour.md")]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
