#!/usr/bin/env python3
"""bltfs-control(7) has every command, file and ioctl, and no others."""

import os
import re
import sys

from places import TOP


def read(*path):
    with open(os.path.join(TOP, *path), encoding="utf-8") as f:
        return f.read()


def compare(what, have, page):
    if have != page:
        sys.exit(f"{what}: only in the code {sorted(have - page)}, only in "
                 f"the page {sorted(page - have)}")


page = read("doc", "bltfs-control.7")
parts = dict(re.findall(r"^\.Sh ([A-Z ]+)\n(.*?)(?=^\.Sh|\Z)", page,
                        re.M | re.S))
table = re.search(r"commands\[\] = \{(.*?)\n\};",
                  read("fs", "control", "control_command.c"), re.S).group(1)
rows = re.findall(r"\{\s*(NULL|\"\w+\"),\s*(\w+),\s*(\w+),", table)
assert len(rows) >= 8, rows

words = {w.strip('"') + (" *" if harm == "HARMFUL" else "")
         for w, harm, _ in rows if w != "NULL"}
compare("commands", words,
        {w + (" *" if star else "") for w, star in
         re.findall(r"^\.It Cm (\w+)(?:.*?( No \*))?", parts["COMMANDS"],
                    re.M)})

macros = set(re.findall(r"#define (BLTFS_IOC_\w+) _IO",
                        read("fs", "bltfs_ioctl.h")))
compare("ioctls", macros, {name for _, _, name in rows} |
        {"BLTFS_IOC_ATTEND", "BLTFS_IOC_KEY", "BLTFS_IOC_SEQ"})
compare("ioctls", macros,
        {name for line in re.findall(r"^\.It Dv (.*)", parts["IOCTLS"], re.M)
         for name in line.split(" , ")})

tree = re.search(r"rows\[\] = \{(.*?)\n\};", read("fs", "control", "control.c"),
                 re.S).group(1)
files = set(re.findall(r"\{ \"(\w+)\", \w+, false", tree))
files |= set(re.findall(r"\{ \"(\w+)\",\s*\w+,\s*false", tree))
compare("files", files,
        {name.split("/")[-1] for line in
         re.findall(r"^\.It Pa (.*)", parts["FILES"], re.M)
         for name in re.sub(r" Ns | Ar N|Pa ", "", line).split(" , ")
         if not name.endswith("/")})  # a directory
print(len(rows), "commands,", len(files), "files")
