#!/usr/bin/env python3
"""What blt says when something is wrong: one line that names the command, the
file or key as it was given, why, and, where there is something to do, what.

Each row is a mistake; toollib's refused() sees to the exit code and the style.
Messages on damaged files, imports and so on are in the tests of those.
"""

import fcntl
import os
import subprocess

import toollib as t

# (exit code, what is to be said, arguments)
MISTAKES = (
    (t.USAGE, ['nothing: no such command; "blt --help" lists them'],
     ["nothing"]),
    (t.USAGE, ['--nothing: no such option; "blt --help" lists them'],
     ["--nothing"]),
    (t.USAGE, ['gett: no such command; did you mean "get"? "blt --help" lists '
               'all'], ["gett", "kv.blt", "key"]),
    (t.USAGE, ['unmount: no such command; did you mean "umount"?'],
     ["help", "unmount"]),
    (t.USAGE, ['--ouptut: no such option; did you mean --output? see "blt help '
               'get"'], ["get", "--ouptut", "kv.blt", "key"]),
    (t.USAGE, ['--bucket-s=5: no such option; did you mean --buckets?'],
     ["create", "--bucket-s=5", "new.blt"]),
    (t.USAGE, ["--quiet=1: no such option, or one that takes no argument"],
     ["get", "--quiet=1", "kv.blt", "key"]),
    (t.USAGE, ['apend: no such verb; did you mean "append"? see "blt help '
               'seq"'], ["seq", "apend", "kv.blt", "s"]),
    (t.USAGE, ['nothing: no such command; "blt --help" lists them'],
     ["help", "nothing"]),
    (t.USAGE, ["--nothing: no such option", '; see "blt help ls"'],
     ["ls", "--nothing", "kv.blt"]),
    (t.USAGE, ["-Z: no such option", '; see "blt help ls"'], ["ls", "-Z", "kv.blt"]),
    (t.USAGE, ["needs an argument", "blt help create"],
     ["create", "new.blt", "--buckets"]),
    (t.USAGE, ["missing arguments; usage: blt get"], ["get", "kv.blt"]),
    (t.USAGE, ["too many arguments; usage: blt info"],
     ["info", "kv.blt", "kv.blt"]),
    (t.USAGE, ["--buckets x", "from 1 to 4294967295"],
     ["create", "-b", "x", "new.blt"]),
    (t.USAGE, ["--buckets 0", "from 1 to"], ["create", "-b", "0", "new.blt"]),
    (t.USAGE, ["--lock-timeout soon: not a number of seconds from 0 to 2000000, nor "
              "\"forever\""],
     ["ls", "--lock-timeout", "soon", "kv.blt"]),
    (t.USAGE, ["kind: no such serializer; there are: ", "str"],
     ["create", "-k", "kind", "new.blt"]),
    (t.USAGE, ["--timestamps and --no-timestamps", "one of"],
     ["copy", "-t", "-T", "kv.blt", "new.blt"]),
    (t.USAGE, ["--force and --skip-existing", "one of"],
     ["export", "-f", "-s", "kv.blt", "out"]),
    (t.USAGE, ["rar: no such format; there are tar, tar.gz"], ["export", "-o", "rar", "kv.blt", "out"]),
    (t.NOINPUT, ["none.blt", "blt create"], ["ls", "none.blt"]),
    (t.NOINPUT, ["none.blt"], ["check", "none.blt"]),
    (t.NOINPUT, ["no file"], ["put", "kv.blt", "k", "no file"]),
    (t.NOINPUT, ["no file"], ["load", "kv.blt", "no file"]),
    (t.NOINPUT, ["no dir"], ["import", "kv.blt", "no dir"]),
    (t.NOINPUT, ["no dir"], ["umount", "no dir"]),
    (t.NOINPUT, ["umount: .: is not a mount point"], ["umount", "."]),
    (t.NOT_FOUND, ['absent: no such key in kv.blt; "blt ls -R kv.blt" prints '
                   'keys as they are written here'],
     ["get", "kv.blt", "absent"]),
    (t.NOT_FOUND, ["616263: no such key in kv.blt"],
     ["get", "-x", "kv.blt", "616263"]),
    (t.NOT_FOUND, ["absent: no such key in kv.blt"],
     ["del", "kv.blt", "absent"]),
    (t.NOT_FOUND, ["absent: no such key in kv.blt"],
     ["stat", "kv.blt", "absent"]),
    (t.NOT_FOUND, ['absent: no such path in kv.blt; "blt ls -R" prints them all'],
     ["ls", "kv.blt", "absent"]),
    (t.NOT_FOUND, ["metadata: nothing is there in kv.blt"],
     ["slot", "kv.blt", "get", "metadata"]),
    (t.USAGE, ["abc: a key in hex has an even number of hex digits"],
     ["get", "-x", "kv.blt", "abc"]),
    (t.USAGE, ["--newer-than soon: not a time: expected are now, "],
     ["map", "-n", "soon", "kv.blt", "true"]),
    (t.NOINPUT, ["dir: cannot read: Is a directory"],
     ["put", "kv.blt", "k", "dir"]),
    (t.USAGE, ["no command is given; usage: blt map [OPTION]... STORE"],
     ["map", "kv.blt"]),
    (t.USAGE, ["what a new store is like goes with --create"],
     ["map", "--value-len", "5", "kv.blt", "true"]),
    (t.USAGE, ["keys to keep are for --older-than"],
     ["prune", "kv.blt", "key"]),
    (t.USAGE, ["--rebuild: say where the new store goes: --to FILE"],
     ["recover", "--rebuild", "kv.blt"]),
    (t.USAGE, ["3: no such slot; there are metadata, 1 and 2"],
     ["slot", "kv.blt", "get", "3"]),
    (t.CANTCREAT, ["new: cannot open it as a directory: Not a directory; the "
                   "name of an archive ends in .tar"],
     ["export", "kv.blt", "new"]),
    (t.USAGE, ["--create: goes with --to, which names the store"],
     ["map", "--create", "kv.blt", "true"]),
    (t.USAGE, ['--to, --in-place and --like go with --rebuild; see "blt help '
               'recover"'], ["recover", "--to", "new.blt", "kv.blt"]),
    (t.USAGE, ["take: expected is get STORE SLOT, put STORE SLOT [FILE] or "
               "del STORE SLOT"],
     ["slot", "take", "kv.blt", "1"]),
    (t.DATAERR, ["new.hex: not hex: pairs of the digits 0-9 a-f are expected"],
     ["put", "-x", "kv.blt", "6b", "new.hex"]),
    (t.DATAERR, ["/proc: is a mount of type proc, not of bltfs; umount(8) is "
                 "for these"], ["umount", "/proc"]),
    (t.NOINPUT, ["new: is no file of a mounted store; of a store file, give a "
                 "key too"], ["stat", "new"]),
    (t.NOT_FOUND, ["absent: no such key, and no store to look for one in: give "
                   "the path of a file on a mount, or a store file and a key"],
     ["stat", "absent"]),
    (t.DATAERR, ["key: the value has 0 bytes, but all values in fixed.blt "
                 "have 4"], ["put", "fixed.blt", "key", "new"]),
    (t.DATAERR, ["a store whose values all have one length, as fixed.blt, has "
                 "no slots"], ["slot", "fixed.blt", "put", "1", "new"]),
    (t.DATAERR, ["%~00000000000000000000000000: no key of kv.blt can have that path; give the key's "
                 "bytes with --raw or --hex"],
     ["put", "kv.blt", "%~00000000000000000000000000", "new"]),
    (t.DATAERR, ["the keys of kv.blt are text, and this is not UTF-8"],
     ["put", "kv.blt", "x%\udcff", "new"]),
    (t.CANTCREAT, ["kv.blt: exists already; --force replaces it, and all that "
                   "it holds is gone then"], ["create", "kv.blt"]),
    (t.CANTCREAT, ["new: exists already; --force replaces it"],
     ["export", "-o", "tar", "kv.blt", "new"]),
    (t.NOINPUT, ["dir: is a directory, not a file; give the path of a store"],
     ["create", "dir"]),
    (t.CANTCREAT, ["new: exists already; --force replaces it"],
     ["copy", "kv.blt", "new"]),
    (t.CANTCREAT, ["kv.blt: is the store itself; copy it to another name, and "
                   "rename that once nobody uses the store\n"],
     ["copy", "kv.blt", "kv.blt"]),
    (t.USAGE, ['-k: no such option, or one that takes no argument; see "blt help '
               'get"; in front of a key that begins with - stands --'],
     ["get", "kv.blt", "-k"]),
    (t.DATAERR, ["new: is no booklet file: 0 bytes long", '; give a file that '
                 'booklet or "blt create" made'], ["ls", "new"]),
) + tuple(
    (t.CANTCREAT, ["none/new", ": cannot create: No such file or directory; "
                   "make the directory first"], args)
    for args in (["create", "none/new"], ["copy", "kv.blt", "none/new"],
                 ["export", "kv.blt", "none/new"],
                 ["export", "kv.blt", "none/new.tar"],
                 ["info", "--chart", "none/new", "kv.blt"],
                 ["get", "-o", "none/new", "kv.blt", "key"],
                 ["recover", "--rebuild", "--to", "none/new", "kv.blt"],
                 ["map", "-t", "none/new", "-c", "kv.blt", "cat"]))


def check_mistakes():
    for code, texts, args in MISTAKES:
        done = t.refused(code, *texts, args=args)
        lines = done.stderr.decode(errors="replace").splitlines()
        t.equal(len(lines), 1, f"one line for {args}: {lines}")
        command = args[0] if not args[0].startswith("-") and \
            args[0] not in ("nothing", "gett") else None
        t.equal(lines[0].startswith(f"blt {command}: " if command else
                                    "blt: "), True, lines[0])
        t.equal(lines[0].removesuffix("...").endswith("."), False,
                f"no full stop: {lines[0]}")
        t.equal(done.stdout, b"", f"nothing on stdout for {args}")


def check_locked():
    with open("kv.blt", "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for args in ["get", "kv.blt", "key"], ["del", "kv.blt", "key"]:
            t.refused(t.TEMPFAIL, "kv.blt: is in use by ", "; close or unmount "
                      "it there, or wait longer (--lock-timeout)",
                      args=[*args, "--lock-timeout", "0"])


def check_output():
    """What cannot be printed is one message, and one exit code."""
    for words in ("get kv.blt key", "get -x kv.blt 6b6579", "dump kv.blt",
                  "ls kv.blt", "ls -lj kv.blt", "info kv.blt", "info -j kv.blt",
                  "info -o - kv.blt", "stat kv.blt key", "check kv.blt",
                  "check -j kv.blt", "export kv.blt -", "slot kv.blt get 1",
                  "copy -fq kv.blt copy.blt && blt copy -f kv.blt copy.blt",
                  "map kv.blt cat", "trim kv.blt", "prune -j kv.blt",
                  "load -j kv.blt /dev/null", "help", "--help", "--version"):
        for where, why in (">&-", "Bad file descriptor"), \
                ("> /dev/full", "No space left on device"):
            done = subprocess.run(
                ["sh", "-c", f'blt() {{ "$BLT" "$@"; }}; blt {words} {where}'],
                env={**os.environ, "BLT": t.BLT}, check=False,
                stderr=subprocess.PIPE, timeout=t.LIMIT)
            lines = done.stderr.decode().splitlines()
            t.equal((done.returncode, len(lines)), (t.IOERR, 1),
                    f"{words} {where}: {lines}")
            t.equal(lines[0].endswith(f": standard output: cannot write: {why}"),
                    True, lines[0])
    done = subprocess.run(["sh", "-c", '"$BLT" put kv.blt key <&-'],
                          env={**os.environ, "BLT": t.BLT}, check=False,
                          stderr=subprocess.PIPE, timeout=t.LIMIT)
    t.equal((done.returncode, done.stderr[:24]),
            (t.IOERR, b"blt put: standard input:"), done.stderr)


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


def check_temporary():
    """A value from a pipe that is too long to stay in memory."""
    done = t.refused(t.NOINPUT, "standard input: cannot read it, or keep it in "
                     "TMPDIR: ", args=["put", "kv.blt", "k"],
                     stdin=bytes(3 << 20),
                     env=dict(os.environ, TMPDIR="/no/such"))
    t.equal(done.stdout, b"", "nothing on stdout")
    t.refused(t.NOINPUT, "dir: cannot read it, or keep a value in TMPDIR: ",
              "stopped there; 0 keys were loaded before that",
              args=["load", "kv.blt", "dir"])
    t.refused(t.DATAERR, "a store whose values all have one length has no "
              "hidden entries", args=["load", "fixed.blt"],
              stdin=b"@metadata 62 -\n")


os.chdir(t.directory())
os.mkdir("dir")
t.ok("create", "kv.blt")
t.ok("create", "-l", "4", "fixed.blt")
t.ok("put", "kv.blt", "key", stdin=b"value")
with open("new", "wb"):
    pass
with open("new.hex", "wb") as hexdigits:
    hexdigits.write(b"zz")
check_mistakes()
check_temporary()
check_locked()
t.ok("slot", "kv.blt", "put", "1", stdin=b"value")
check_output()
check_terminals()
check_colour()
