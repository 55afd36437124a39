#!/usr/bin/env python3
"""blt --help and the manual page name the same commands and options, and the
documents only files that are there."""

import glob
import os
import re

import toollib as t

PAGE = os.path.join(t.TOP, "doc", "blt.1")
OPTION = re.compile(r"(?:-(.), |)--([a-z-]+)(?: ([A-Z:]+))?$")


def from_help():
    """{command: (usage, {options})}, as blt prints them."""
    overview = t.ok("--help").decode()
    names = re.findall(r"^  ([a-z]+) +\S", overview.split("Commands:")[1]
                       .split("Options:")[0], re.M)
    t.equal(names, sorted(names), "commands in order")
    found = {}
    for name in names:
        text = t.ok("help", name).decode()
        t.equal(t.ok(name, "--help").decode(), text, f"{name} --help")
        t.equal(t.ok(name, "-h").decode(), text, f"{name} -h")
        usage = re.match(r"Usage: blt (.*)\n", text).group(1)
        options = set()
        for line in text.split("Options:\n")[1].splitlines():
            if line.lstrip().startswith("-"):
                row = re.match(r"(.*?)(  |$)", line.strip()).group(1)
                found_row = OPTION.match(row)
                t.equal(bool(found_row), True, f"{name}: an option row {row}")
                options.add(found_row.groups())
        t.equal(("h", "help", None) in options, True, f"{name} has --help")
        found[name] = (usage, options - {("h", "help", None)})
        for line in text.splitlines():
            if len(line) > 80:
                t.fail(f"blt help {name}: a long line: {line}")
    return found


def from_page():
    found = {}
    name = None
    with open(PAGE, encoding="utf-8") as f:
        for line in f:
            line = re.sub(r"\\f.", "", line.rstrip("\n")).replace("\\-", "-")
            section = re.match(r'\.SS "?([a-z]+)( \[OPTION.*?)"?$', line)
            if section:
                name = section.group(1)
                found[name] = (name + section.group(2), set())
            elif line.startswith((".SS", ".SH")):
                name = None
            elif name and OPTION.match(line):
                found[name][1].add(OPTION.match(line).groups())
    return found


told, written = from_help(), from_page()
t.equal(sorted(written), sorted(told), "commands in blt.1")
for command, (usage, options) in told.items():
    t.equal(written[command][0], usage, f"usage of {command} in blt.1")
    t.equal(written[command][1] ^ options, set(),
            f"{command}: options in one place only")

    # a letter is a command's own, but for these
    t.equal([o for o in options if o[0] == "j"],
            [o for o in options if o[1] == ("jobs" if command == "map"
                                            else "json")], f"{command}: -j")

version = t.ok("--version").decode()
t.equal(bool(re.fullmatch(
    r"blt \d+\.\d+\.\d+\S*\nengines   booklet(, \w+)*\n"
    r"libfuse   \d\S+ at build time\ncompiler  (gcc|.*[Cc]lang) .+\n",
    version)), True, version)
t.equal(t.ok("-V").decode(), version, "-V")
t.equal(t.ok("help"), t.ok("--help"), "help")

# what the documents point to is there; * stands for anything, NAME for a name
documents = glob.glob(os.path.join(t.TOP, "doc", "*.md")) + [
    os.path.join(t.TOP, name) for name in ("README.md", "CONTRIBUTING.md",
                                           "SECURITY.md")]
t.equal(len(documents) > 5, True, "documents")
for document in documents:
    with open(document, encoding="utf-8") as f:
        text = f.read()
    for path in re.findall(r"`((?:bench|doc|fs|src|tests)/[\w./*-]+)`", text) \
            + re.findall(r"\]\(([\w./-]+\.\w+)\)", text):
        here = t.TOP if "/" in path else os.path.dirname(document)
        path = os.path.join(here, path.replace("NAME", "*"))
        if not glob.glob(path) and not glob.glob(path + ".c"):
            t.fail(f"{document}: no {path}")

# and what the installed README points to is installed beside it
with open(os.path.join(os.path.dirname(t.BLT), "doc", "README.md"),
          encoding="utf-8") as f:
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", f.read())
with open(os.path.join(t.TOP, "Makefile.am"), encoding="utf-8") as f:
    installed = re.search(r"^dist_doc_DATA = (.*?[^\\])\n", f.read(),
                          re.M | re.S).group(1).replace("\\", "").split()
t.equal(len(links) > 8, True, "links of the installed README")
t.equal([link for link in links
         if link not in map(os.path.basename, installed)], [],
        "links of the installed README to nothing")
