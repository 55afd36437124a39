#!/usr/bin/env python3
"""What blt says when something is wrong: one line that names the command, the
file or key as it was given, why, and, where there is something to do, what.

Each row is a mistake; toollib's refused() sees to the exit code and the style.
Messages on damaged files, imports and so on are in the tests of those.
"""

import os

import toollib as t

# (exit code, what is to be said, arguments)
MISTAKES = (
    (t.USAGE, ["nothing: no such command", "--help"], ["nothing"]),
    (t.USAGE, ["--nothing: no such option", "--help"], ["--nothing"]),
    (t.USAGE, ["nothing: no such command", "--help"], ["help", "nothing"]),
    (t.USAGE, ["--nothing: no such option", "blt help ls"],
     ["ls", "--nothing", "kv.blt"]),
    (t.USAGE, ["-Z: no such option", "blt help ls"], ["ls", "-Z", "kv.blt"]),
    (t.USAGE, ["needs an argument", "blt help create"],
     ["create", "new.blt", "--buckets"]),
    (t.USAGE, ["missing arguments", "usage: blt get"], ["get", "kv.blt"]),
    (t.USAGE, ["too many arguments", "usage: blt info"],
     ["info", "kv.blt", "kv.blt"]),
    (t.USAGE, ["--buckets x", "from 1 to 4294967295"],
     ["create", "-b", "x", "new.blt"]),
    (t.USAGE, ["--buckets 0", "from 1 to"], ["create", "-b", "0", "new.blt"]),
    (t.USAGE, ["--lock-timeout soon", "forever"],
     ["ls", "--lock-timeout", "soon", "kv.blt"]),
    (t.USAGE, ["kind", "str"], ["create", "-k", "kind", "new.blt"]),
    (t.USAGE, ["--timestamps and --no-timestamps", "one of"],
     ["copy", "-t", "-T", "kv.blt", "new.blt"]),
    (t.USAGE, ["--force and --skip-existing", "one of"],
     ["export", "-f", "-s", "kv.blt", "out"]),
    (t.USAGE, ["rar", "tar.zst"], ["export", "-o", "rar", "kv.blt", "out"]),
    (t.NOINPUT, ["none.blt", "blt create"], ["ls", "none.blt"]),
    (t.NOINPUT, ["none.blt"], ["check", "none.blt"]),
    (t.NOINPUT, ["no file"], ["put", "kv.blt", "k", "no file"]),
    (t.NOINPUT, ["no file"], ["load", "kv.blt", "no file"]),
    (t.NOINPUT, ["no dir"], ["import", "kv.blt", "no dir"]),
    (t.NOINPUT, ["no dir"], ["umount", "no dir"]),
    (t.NOINPUT, [".", "is not a mount point"], ["umount", "."]),
    (t.NOT_FOUND, ["absent: no such key in kv.blt"],
     ["get", "kv.blt", "absent"]),
    (t.NOT_FOUND, ["absent: no such key in kv.blt"],
     ["del", "kv.blt", "absent"]),
    (t.NOT_FOUND, ["absent: no such key in kv.blt"],
     ["stat", "kv.blt", "absent"]),
    (t.NOT_FOUND, ["absent: no such path in kv.blt"],
     ["ls", "kv.blt", "absent"]),
    (t.DATAERR, ["%zz", "kv.blt", "--raw"], ["put", "kv.blt", "%zz", "new"]),
    (t.CANTCREAT, ["kv.blt", "--force"], ["create", "kv.blt"]),
    (t.CANTCREAT, ["new", "--force"], ["copy", "kv.blt", "new"]),
)


def check_mistakes():
    for code, texts, args in MISTAKES:
        done = t.refused(code, *texts, args=args)
        lines = done.stderr.decode().splitlines()
        t.equal(len(lines), 1, f"one line for {args}: {lines}")
        command = args[0] if not args[0].startswith("-") and \
            args[0] != "nothing" else None
        t.equal(lines[0].startswith(f"blt {command}: " if command else
                                    "blt: "), True, lines[0])
        t.equal(lines[0].removesuffix("...").endswith("."), False,
                f"no full stop: {lines[0]}")
        t.equal(done.stdout, b"", f"nothing on stdout for {args}")


def check_terminals():
    """What a terminal would obey is shown, not sent."""
    done = t.run("get", "kv.blt", "\x1b[2Jkey")
    t.equal(b"\x1b" in done.stderr, False, done.stderr)
    t.equal(b"\\x1b[2Jkey: no such key" in done.stderr, True, done.stderr)


def check_colour():
    """None, with or without NO_COLOR."""
    for env in ({}, {"NO_COLOR": "1"}):
        for args in (["info", "kv.blt"], ["ls", "-l", "kv.blt"], ["--help"]):
            out = t.ok(*args, env=dict(os.environ, TERM="xterm", **env))
            t.equal(b"\x1b" in out, False, f"{args} {env}")


os.chdir(t.directory())
t.ok("create", "kv.blt")
t.ok("put", "kv.blt", "key", stdin=b"value")
with open("new", "wb"):
    pass
check_mistakes()
check_terminals()
check_colour()
