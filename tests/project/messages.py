#!/usr/bin/env python3
"""Every message of blt and of bltfs is in one style, and provoked by a test.

The formats are read out of src/tool/ and fs/.  A test provokes one if a string in it
has the same words: some running characters between two conversions.  What none provokes stands in UNPROVOKED with the reason.
"""

import ast
import glob
import os
import re
import sys

from places import TOP

PHRASE = 14  # characters in a row that are not there by chance

# Function: which of its string arguments say it.  "cannot": the last is what
# could not be done.
SAYS = {"tool_say": "first", "tool_fail": "first", "doctor_find": "all",
        "tool_fail_file": "cannot", "fail_file": "cannot",
        "fail_line": "first", "say_locked": "first",
        "log_error": "first", "log_warn": "first", "log_info": "first",
        "option_complain": "all"}

MEMORY = "memory runs out"
RACE = "something happens between two system calls"
MADE_UP = "all of it is put in, from other messages and errnos"
UNPROVOKED = {
    "out of memory": MEMORY,
    "%s: out of memory": MEMORY,
    "cannot look: %s": RACE,
    "cannot run: %s": "bltfs is there and can be executed, but is no program",
    "cannot list: %s": RACE,
    "%s: was renamed meanwhile; try again": RACE,
    "%s: became shorter while it was read; nothing is changed": RACE,
    "cannot find: %s": "the working directory is gone",
    "%s: %s": MADE_UP,
    "%s: in %s: %s": MADE_UP,
    "%s: cannot %s: %s": MADE_UP,
    "%s": MADE_UP,
    "%s%s": MADE_UP,
    "%s%s%s": MADE_UP,
    "at most %llu %s": MADE_UP + "; tests/tool/doctor.py has each limit",
    "%u %, %u keys": MADE_UP + "; tests/mount/jobs.py has it",
    "job %u failed: %s": MADE_UP + "; tests/mount/jobs.py has it",
    "Linux %s: no pidfd_open, to wait for daemons": "Linux before 5.3",
    "job %u, %s, failed: %s": MADE_UP + "; tests/mount/jobs.py has it",
    "%s: %s: %s": MADE_UP,
    "the daemon was stopped before the mount was live": RACE,
    "the command that started this mount was interrupted; unmounting": RACE,
    "%s: the mount ended: %s": "the kernel's device fails",
    "%s: is not there; as root, \"mount -t fusectl none "
    "/sys/fs/fuse/connections\" makes it": "a system without fusectl",
    "cannot write to: %s": "another user's connection",
    "%s: could not be mounted; \"blt doctor\" tells what is missing":
        "a system without /dev/fuse",
    "cannot start the daemon: %s": "no process can be made",
    "%s: cannot start: %s": "no thread can be made",
    "out of memory; what was open is lost": MEMORY,
    "a rename is done, but open files were lost on the way: out of memory":
        MEMORY,
    "a change may stay unseen: out of memory for an invalidation": MEMORY,
    "a change may stay unseen: the kernel did not take an invalidation: %s":
        "the kernel's device fails",
    "%s: the daemon of the mount here is gone, and it cannot be unmounted: "
    "%s; run: fusermount3 -u -z %s": "takes two users, and no root",
    "Linux 5.3 or later has it; without it, \"blt umount\" waits for the "
    "store's lock instead": "Linux before 5.3",
    "it cannot be locked: %s": "a filesystem without locks",
    "move it to a filesystem with flock(2)": "a filesystem without locks",
    "%s: is mounted by another user, who alone may ask its daemon":
        "takes two users; tests/mount/control.py has the errno",
    "%s: interrupted; nothing is changed": "a signal while a value is read",
    "%s: cannot unmount: %s": "fusermount3's words, which are many",
    "cannot unmount: %s": "umount(2) fails for none of the usual reasons",
    "%s; \"blt ls %s\" lists those that it has":
        MADE_UP + "; tests/tool/lmdb-engine.py has it",
    "%s: unmounted, but whether all of it is in %s cannot be seen: %s":
        "the daemon is in another pid namespace, and the store unreadable",
    "the value is longer than 4294967295 bytes": "takes a line of 8 GiB",
    "%s: longer than a value may be (4294967295 bytes)": "takes 4 GiB",
    "%s: cannot finish writing: %s; what was changed last may be lost":
        "the disk fails at the last write; tests/crash/faults.c has the call",
    "%s: is in use by processes that are not this user's to see; \"fuser -vm "
    "%s\" as root names them": "takes two users, and no root",
}


def strip_comments(text):
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def arguments(text, start):
    """The source of a call's arguments, from behind its bracket on."""
    depth, at, quoted = 1, start, False
    while depth:
        c = text[at]
        if quoted:
            at += c == "\\"
            quoted = c != '"'
        elif c == '"':
            quoted = True
        else:
            depth += (c == "(") - (c == ")")
        at += 1
    return text[start:at - 1]


def strings(source):
    """The string literals in it, those that C joins as one."""
    source = re.sub(r'"\s*PRI\w+\s*"', "u", source)
    return ["".join(re.findall(r'"((?:[^"\\]|\\.)*)"', run))
            .replace('\\"', '"').replace("%%", "%")
            for run in re.findall(r'"(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*',
                                  source)]


def formats():
    """{format: the file that has it}"""
    found = {}
    for path in sorted(glob.glob(os.path.join(TOP, "src/tool/**/*.c"),
                                 recursive=True) +
                       glob.glob(os.path.join(TOP, "fs/*/*.c"))):
        with open(path, encoding="utf-8") as f:
            text = strip_comments(f.read())
        for call in re.finditer(r"\b(" + "|".join(SAYS) + r")\(", text):
            source = arguments(text, call.end())
            said = strings(source)
            if not said or "DOCTOR_OK" in source:
                continue
            how = SAYS[call[1]]
            texts = said if how == "all" else [said[-1 if how == "cannot"
                                                     else 0]]
            for one in texts:
                if how == "all" and len(one) < 8:
                    continue
                found["cannot " + one + ": %s" if how == "cannot" else one] = \
                    os.path.basename(path)
    return found


def constants(tree):
    """The strings in a module but for what documents it."""
    skip = {id(node.value) for node in ast.walk(tree)
            if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in skip:
            if isinstance(node.value, bytes):
                yield node.value.decode(errors="replace")
            elif isinstance(node.value, str):
                yield node.value


def asserted():
    """The strings in the tests of both."""
    found = []
    for path in glob.glob(os.path.join(TOP, "tests", "[mt]o*", "*.*")):
        with open(path, encoding="utf-8") as f:
            text = f.read()
        if path.endswith(".py"):
            found += constants(ast.parse(text))
        else:
            text = re.sub(r"^\s*#.*", "", text, flags=re.M)
            found += re.findall(r"[\"']([^\"'\n]*)[\"']", text)
    return "\n".join(found)


def is_provoked(text, tests):
    for piece in re.split(r"%[-0-9.*]*(?:ll|z)?[a-z]", text):
        piece = piece.strip(" :;,()")
        if len(piece) < 8:
            continue
        for at in range(max(1, len(piece) - PHRASE + 1)):
            if piece[at:at + PHRASE] in tests:
                return True
    return False


def main():
    all_formats, tests = formats(), asserted()
    bad = [f"{file}: no sentence of its own: {text}"
           for text, file in all_formats.items()
           if text.endswith(".") or re.match(r"[A-Z][a-z]+ [a-z]", text)
           or "\\n" in text]
    provoked = {text for text in all_formats if is_provoked(text, tests)}
    for text, file in all_formats.items():
        if text not in provoked and text not in UNPROVOKED:
            bad.append(f"{file}: no test provokes: {text}")
    for text in UNPROVOKED:
        if text not in all_formats:
            bad.append(f"there is no such message any more: {text}")
        elif text in provoked:
            bad.append(f"a test provokes it by now: {text}")
    print(len(all_formats), "messages,", len(provoked), "provoked,",
          len(UNPROVOKED), "not")
    print("\n".join(bad))
    return 1 if bad or len(all_formats) < 150 else 0


if __name__ == "__main__":
    sys.exit(main())
