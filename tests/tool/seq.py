#!/usr/bin/env python3
"""blt seq: a directory of a store as a sequence, against a Python list."""

import json
import os
import subprocess

import seqlib
import toollib as t

os.chdir(t.directory())
STORE, DIR = "s.blt", "a b/frames"


def seq(verb, *args, **options):
    return t.ok("seq", verb, STORE, DIR, *args, **options)


def items(*which):
    return seqlib.parsed(seq(*(which or ("iter",))))


def refused(code, verb, *args, say=(), **options):
    t.refused(code, *say, args=("seq", verb, STORE, DIR, *args), **options)


t.ok("create", STORE, "-v", "bytes")
refused(t.NOT_FOUND, "len", say=("is no sequence; make it one with",))
seq("create")
refused(t.DATAERR, "create", say=("is a sequence already, or its",))
t.equal(seq("len"), b"0\n", "nothing yet")
t.equal(seq("iter"), b"", "nothing to iterate")

# one item after the other
seq("append", stdin=b"hello")
seq("append", "a=1", "b=two=2")
seq("insert", "0", stdin=b"")
seq("insert", "-1", "c=")
t.equal(items(), ["", "hello", {"c": ""}, {"a": "1", "b": "two=2"}], "items")
t.equal(seq("get", "1"), b"hello", "a value")
t.equal(seq("get", "-j", "1"), b'"hello"\n', "a value as JSON")
t.equal(seq("get", "-1", "b"), b"two=2", "a field")
t.equal(json.loads(seq("get", "-1")), {"a": "1", "b": "two=2"}, "a record")
t.equal(json.loads(seq("len", "--json")), {"items": 4}, "len as JSON")
seq("update", "-1", "b=3", "d=4")
t.equal(items()[-1], {"a": "1", "b": "3", "d": "4"}, "merged")
seq("set", "-1", "d=5")
t.equal(items()[-1], {"d": "5"}, "replaced")
seq("set", "-1", stdin=b"now a value")
t.equal(items()[-1], "now a value", "a value again")
seq("move", "0", "-1")
t.equal(items(), ["hello", {"c": ""}, "now a value", ""], "moved")
seq("delete", "-1")
seq("delete", "1")
t.equal(items(), ["hello", "now a value"], "deleted")
t.equal(items("slice", ":-1"), ["hello"], "a slice")
t.equal(items("slice", "-9:9"), ["hello", "now a value"], "as Python has it")
t.equal(items("slice", "2:1"), [], "an empty slice")
seq("delete", ":")
t.equal(seq("len"), b"0\n", "all gone")

# what cannot be
refused(t.NOT_FOUND, "get", "0", say=("position 0 is out of range", "has 0"))
refused(t.NOT_FOUND, "delete", "-1", say=("position -1 is out of range",))
seq("append", stdin=b"x")
refused(t.NOT_FOUND, "get", "2", say=("position 2 is out", "1 item"))
refused(t.NOT_FOUND, "move", "0", "1", say=("position 1 is out of range",))
refused(t.NOT_FOUND, "move", "-2", "0", say=("position -2 is out of range",))
refused(t.NOT_FOUND, "get", "0", "f", say=("item 0 has no field f",))
refused(t.DATAERR, "update", "0", "a=1",
        say=("item 0 has a value and no fields",))
refused(t.USAGE, "get", "one", say=("expected is a position",))
refused(t.USAGE, "insert", "1.5", say=("expected is a position",))
refused(t.USAGE, "slice", "1", say=("expected is I:J, I:, :J, : or",))
refused(t.USAGE, "set", "0", "no", say=("expected is FIELD=VALUE",))
refused(t.USAGE, "get", say=("missing arguments; usage: blt seq get STORE",))
refused(t.USAGE, "len", "0", say=("too many arguments; usage: blt seq len",))
refused(t.USAGE, "pop", say=("expected is append, create, delete",))
t.refused(t.DATAERR, "is no directory that can be",
          args=("seq", "create", STORE, "/"))
t.ok("put", STORE, "later/", "--raw", stdin=b"bltfs-seq\0\7\0\0\0\0\0")
t.refused(t.DATAERR, "is a sequence of a later format; update blt",
          args=("seq", "len", STORE, "later"))
for how in ("-v", "json"), ("-k", "uint4"), ("--value-len", "4"):
    t.ok("create", "other.blt", *how)
    t.refused(t.DATAERR, "there are no sequences in other.blt",
              args=("seq", "create", "other.blt", "d"))
    os.unlink("other.blt")
t.ok("create", "str.blt", "-v", "str")
t.ok("seq", "create", "str.blt", "d")
t.refused(t.DATAERR, "a value or the name of a field would not load",
          args=("seq", "append", "str.blt", "d"), stdin=b"\xff")
t.equal(t.ok("seq", "len", "str.blt", "d"), b"0\n", "nothing of it")

# many
lines = ['"x\\u00e9\\ud83d\\ude00\\n"', '{"k": "v", "n": 12.5}', "{}",
         '{"l": [1, {"a": "]\\""}], "t": true}', "", ' "sp" ', "null"]
seq("extend", stdin="\n".join(lines).encode())
t.equal(items()[1:], ["x\u00e9\U0001f600\n", {"k": "v", "n": "12.5"}, {},
                      {"l": '[1, {"a": "]\\""}]', "t": "true"}, "sp", "null"],
        "lines")
refused(t.DATAERR, "extend", stdin=b'"last"\nno json\n"never"\n',
        say=("line 2 is no JSON in UTF-8",))
t.equal(items()[-1], "last", "the lines before")
os.makedirs("in/rec")
os.mkdir("in/empty")
for path, text in ("in/b", "2"), ("in/a", "1"), ("in/rec/f", "3"):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
seq("extend", "in")
t.equal(items()[-4:], ["1", "2", {}, {"f": "3"}], "a directory")
for form, args in (("a.tar", ["-C", "in", "--sort=name", "."]),
                   ("a.tgz", ["-z", "-C", "in", "a", "b", "empty", "rec"])):
    subprocess.run(["tar", "-cf", form, *args], check=True)
    with open(form, "rb") as f:
        archive = f.read()
    for where, stdin in ([form], b""), ([], archive), (["-"], archive):
        seq("delete", ":")
        seq("extend", *where, stdin=stdin)
        t.equal(items(), ["1", "2", {}, {"f": "3"}], f"{form} {where}")
os.makedirs("deep/r/x")
with open("deep/r/x/y", "w", encoding="utf-8") as f:
    f.write("4")
os.symlink("r", "deep/s")
subprocess.run(["tar", "-cf", "a.tar", "-C", "deep", "--sort=name", "r", "s"],
               check=True)
refused(t.DATAERR, "extend", "a.tar",
        say=("a.tar: s: is neither a file nor a directory",))
t.equal(items()[4:], [{"x/y": "4"}], "what is before it")
refused(t.DATAERR, "extend", stdin=archive[:len(archive) // 2],
        say=("standard input: cannot be read as a tar archive",))
os.mkfifo("in/rec/pipe")
refused(t.DATAERR, "extend", "in", say=("is neither a file nor a",))
refused(t.NOINPUT, "extend", "nowhere", say=("nowhere: cannot open",))
with open("lines", "w", encoding="utf-8") as f:
    f.writelines(f'"{i}"\n' for i in range(3000))
seq("delete", ":")
seq("extend", "lines")
t.equal(items(), [str(i) for i in range(3000)], "three thousand")
t.ok("check", STORE)
t.ok("prune", STORE, "-q")
t.equal(items(), [str(i) for i in range(3000)], "pruned")
seq("delete", "10:")

# against a list, a process for each change
model = items()


def append(_, text, args):
    seq("append", *args, stdin=text.encode())
    model.append({"v": text} if args else text)


for i in seqlib.changes(seq, model, append, 60):
    t.equal(items(), model, f"after change {i}")
