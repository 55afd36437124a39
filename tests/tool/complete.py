#!/usr/bin/env python3
"""blt complete, and the completion of bash, zsh and fish made of it.

The shells run on a terminal of their own, as for a person: a line is typed
with a TAB in it, and what the completed command prints shows whether it was
completed rightly.  A shell that is not installed is passed over.
"""

import fcntl
import os
import pty
import select
import shutil
import subprocess

import toollib as t

SCRIPTS = os.path.join(t.TOP, "doc", "completion")
PROMPT = b"ready>"
PATIENCE = 120


def offers(*words):
    """({word: description}, whether files fit)"""
    first, *rest = t.ok("complete", "--", *words).decode().splitlines()
    t.equal(first in (":files", ":none"), True, first)
    return dict(line.split("\t", 1) for line in rest), first == ":files"


def check_rows():
    """All commands and options that help shows are offered, and no other."""
    overview = t.ok("--help").decode().split("Commands:\n")[1]
    rows = [line.split(None, 1) for line
            in overview.split("\n\n")[0].splitlines()]
    told = dict(rows)
    told.update({"--help": "print the list of commands",
                 "--version": "print the version and how it was built"})
    t.equal(offers(""), (told, False), "commands")
    t.equal(offers("he"), ({"help": told["help"]}, False), "a command")
    for name, _ in rows:
        options = set()
        for line in t.ok("help", name).decode().split("Options:\n")[1] \
                .splitlines():
            if line.lstrip().startswith("-"):
                options |= {word for word in line.replace(",", " ").split()
                            if word.startswith("-") and word != "--"}
        found, _ = offers(name, "-")
        t.equal({o for o in options if o[1:2] != "-" or len(o) > 3} >=
                set(found), True, f"options of {name}: {sorted(found)}")
        longs, _ = offers(name, "--")
        t.equal({o for o in found if o.startswith("--")}, set(longs),
                f"long options of {name}")
        t.equal("--help" in longs, True, f"{name} --help")
    t.equal(offers("help", "rein")[0], {"reindex": told["reindex"]}, "help")


def check_dbs():
    """Keys of databases of an environment."""
    t.ok("create", "-e", "lmdb", "--db", "x", "env")
    t.ok("put", "env", "x/key", stdin=b"")
    t.equal(offers("get", "env", ""), ({"x/": "directory"}, False), "all")
    for option in ["--db", "x"], ["--db=x"]:
        t.equal(offers("get", *option, "env", ""), ({"key": "key"}, False),
                "of one database")


def check_operands(store):
    keys = {"notes/": "directory", "greeting": "key", "ns:one": "key"}
    t.equal(offers("get", ""), ({}, True), "a store")
    t.equal(offers("get", store, ""), (keys, False), "keys")
    t.equal(offers("del", store, "greeting", "gr"),
            ({"greeting": "key"}, False), "a second key")
    t.equal(offers("ls", "-l", store, "n"),
            ({"notes/": "directory", "ns:one": "key"}, False), "a path")
    t.equal(offers("get", "--lock-timeout", "1", store, "notes/t")[0],
            {"notes/two words": "key"}, "in a directory")
    t.equal(offers("get", "-F", store, "notes")[0],
            {"notes%2Ftwo words": "key"}, "flat")
    t.equal(offers("get", store, "--", "ns")[0], {"ns:one": "key"}, "--")
    t.equal(offers("put", store, "new", ""), ({}, True), "a file")
    t.equal(offers("put", store, "new", "file", ""), ({}, False), "no more")
    t.equal(offers("seq", "in")[0].keys(), {"insert"}, "verbs")
    t.equal(offers("slot", "")[0].keys(), {"get", "put", "del"},
            "words")
    t.equal(offers("slot", "get", store, "m")[0].keys(), {"metadata"}, "slot")
    t.equal(offers("create", "-k", "uint")[0].keys(),
            {"uint1", "uint2", "uint4", "uint5", "uint8"}, "serializers")
    t.equal(offers("export", "-o", "tar.g")[0].keys(), {"tar.gz"}, "formats")
    built = dict(line.split(maxsplit=1) for line in
                 t.ok("--version").decode().splitlines())["engines"]
    t.equal(offers("copy", "--engine", "")[0].keys(),
            set(built.replace(",", " ").split()), "engines")
    if "lmdb" in os.environ.get("BLT_ENGINES", "lmdb"):
        check_dbs()
    for line in (("get", "--raw", store, ""), ("get", "-x", store, ""),
                 ("get", "no/store", ""), ("get", "/", ""),
                 ("get", store, "nothing/here"), ("no", "such", ""),
                 ("get", store, "greeting/")):
        t.equal(offers(*line), ({}, False), f"nothing for {line}")
    with open(store, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        t.equal(offers("get", store, ""), ({}, False), "in other hands")


class Terminal:
    """A shell that waits for what is typed."""

    def __init__(self, argv, env):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.execvpe(argv[0], argv, env)

    def until(self, text):
        """Reads until text has been printed; what came until its end."""
        while text not in self.seen:
            if not select.select([self.fd], [], [], PATIENCE)[0]:
                t.fail(f"no {text!r} in {self.seen!r}")
            try:
                more = os.read(self.fd, 65536)
            except OSError:
                more = b""
            if not more:
                t.fail(f"it ended: no {text!r} in {self.seen!r}")
            self.seen += more
        at = self.seen.index(text) + len(text)
        found, self.seen = self.seen[:at], self.seen[at:]
        return found

    def type(self, line):
        os.write(self.fd, line)

    def end(self):
        self.type(b"\nexit\n")
        try:
            while os.read(self.fd, 65536):
                pass
        except OSError:
            pass
        os.waitpid(self.pid, 0)
        os.close(self.fd)


# What is typed, and what the completed command prints.
LINES = (
    (b"blt get k\tgree\t\n", b"value of greeting"),
    (b"blt get kv.blt notes/t\t\n", b"value of two words"),
    (b"blt get kv.blt ns:\t\n", b"value of ns:one"),
    (b"blt crea\t--hel\t\n", b"Usage: blt create"),
    (b"bltfs --vers\t\n", b"libfuse"),
    (b"echo bltfs; bltfs kv.blt no/dir -o cre\t,value_seri\tstr\n",
     b"cannot mount there"),
    (b"blt create --key-serializer uint8 --buc\t5 new.blt && echo do''ne\n",
     b"done"),
)


def check_terminal(argv, setup, env):
    shell = Terminal(argv, env)
    shell.type(setup + b"PS1='rea''dy>'\n")
    for line, wanted in LINES:
        shell.until(PROMPT)
        shell.type(line)
        shell.until(wanted)
    shell.until(PROMPT)
    shell.end()
    os.unlink("new.blt")


def check_fish(env):
    for line, wanted in (("blt he", ["help"]),
                         ("blt get k", ["kv.blt"]),
                         ("blt get kv.blt gr", ["greeting"]),
                         ("blt get kv.blt notes/", ["notes/two words"]),
                         ("blt get kv.blt ", ["greeting", "notes/",
                                              "ns:one"]),
                         ("blt create --buc", ["--buckets"]),
                         ("blt mount kv.blt d -o cre", ["create"]),
                         ("bltfs kv.blt d -o ro,crea", ["ro,create"]),
                         ("bltfs --he", ["--help"])):
        done = subprocess.run(
            ["fish", "--no-config", "-c",
             f"source {SCRIPTS}/blt.fish; source {SCRIPTS}/bltfs.fish; complete -C '{line}'"],
            capture_output=True, timeout=PATIENCE, env=env, check=True)
        found = sorted(row.split("\t")[0]
                       for row in done.stdout.decode().splitlines())
        t.equal(found, wanted, f"fish: {line}: {done.stderr.decode()}")


def main():
    os.chdir(t.directory())
    store = "kv.blt"
    t.ok("create", store)
    for key in ("greeting", "notes/two words", "ns:one"):
        text = f"value of {key.rpartition('/')[2]}\n"
        t.ok("put", store, key, stdin=text.encode())
    check_rows()
    check_operands(store)
    os.mkdir("bin")
    os.symlink(t.BLT, "bin/blt")
    os.symlink(os.environ.get("BLTFS", os.path.join(os.path.dirname(t.BLT),
                                                    "bltfs")), "bin/bltfs")
    env = dict(os.environ, HOME=os.getcwd(), TERM="dumb", LC_ALL="C.UTF-8",
               PATH=os.getcwd() + "/bin:" + os.environ["PATH"])
    env.pop("ENV", None)
    if shutil.which("bash"):
        check_terminal(["bash", "--norc", "--noprofile", "-i"],
                       b"bind 'set enable-bracketed-paste off'; "
                       b". '%s/blt.bash'; " % SCRIPTS.encode(), env)
    if shutil.which("zsh"):
        check_terminal(["zsh", "-f", "-i"],
                       b"unsetopt zle_bracketed_paste; fpath=('%s' $fpath); "
                       b"autoload -Uz compinit; compinit -u -D; "
                       % SCRIPTS.encode(), env)
    if shutil.which("fish"):
        check_fish(env)


main()
