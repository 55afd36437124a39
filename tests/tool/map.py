#!/usr/bin/env python3
"""blt map on a store file: what is mapped, by what, to where, and what it
counts."""

import hashlib
import os
import re

import maplib
import toollib as t
from toollib import items, mapped as counts

SOFTWARE = 70
work = t.directory()
STORE = os.path.join(work, "store.blt")
OTHER = os.path.join(work, "other.blt")
ITEMS = {b"a/%d.txt" % i: b"value %d\n" % i for i in range(20)}
ITEMS.update({b"top": b"", b"a/b/deep.tar.gz": b"deep" * 5000})


def fresh(path=STORE, given=None, *options):
    if os.path.exists(path):
        os.unlink(path)
    t.ok("create", path, *options)
    t.load(path, ITEMS if given is None else given)


def upper(found):
    return {k: v.upper() for k, v in found.items()}


UPPER = ("--", "tr", "a-z", "A-Z")
n = len(ITEMS)


def all_keys():
    for jobs in "1", "3":
        fresh()
        t.equal(counts(STORE, "-j", jobs, *UPPER), ((n, n, 0, 0), {}), "all")
        t.equal(items(STORE), upper(ITEMS), "all in upper case")
    said = t.ok("map", STORE, "--builtin", "identity").decode()
    t.equal(said.startswith(f"{n} processed, {n} written, 0 skipped, 0 errors,"
                            " "), True, said)
    t.equal(t.ok("map", "-q", STORE, "--builtin", "identity"), b"", "quiet")
    t.equal(items(STORE), upper(ITEMS), "as it was")
    fresh(STORE, {})
    t.equal(counts(STORE, *UPPER), ((0, 0, 0, 0), {}), "an empty store")


def given_keys():
    fresh()
    t.equal(counts(STORE, "--keys", "a/1*", *UPPER)[0], (11, 11, 0, 0), "glob")
    t.equal(counts(STORE, "--prefix", "a/b", *UPPER)[0], (1, 1, 0, 0),
            "prefix")
    want = dict(ITEMS)
    want.update(upper({k: v for k, v in ITEMS.items()
                       if k.startswith((b"a/1", b"a/b"))}))
    t.equal(items(STORE), want, "keys by pattern")
    fresh()
    got = counts(STORE, "--keys-from", "-", *UPPER, exit_code=SOFTWARE,
                 stdin=b"a/3.txt\ntop\nnone\na/3.txt\n")
    t.equal(got, ((3, 2, 0, 1), {"none": "no such key"}), "keys of a list")
    got = counts(STORE, "-0xi", "-", *UPPER,
                 stdin=b"a/4.txt".hex().encode() + b"\0")
    t.equal(got, ((1, 1, 0, 0), {}), "keys as hex")
    want = dict(ITEMS)
    want.update(upper({k: ITEMS[k] for k in (b"a/3.txt", b"a/4.txt")}))
    t.equal(items(STORE), want, "the listed keys")
    t.equal(counts(STORE, "-i", "/dev/null", *UPPER)[0], (0, 0, 0, 0),
            "an empty list is no list of all")


def times():
    fresh(STORE, {})
    t.ok("load", STORE, stdin=b"".join(
        b"%s 61 %d\n" % (b"%d" % i + b"0", i * 1000000) for i in range(1, 5)))
    t.equal(counts(STORE, "--older-than", "@3", "-b", "upper")[0],
            (2, 2, 0, 0), "older")
    t.equal(counts(STORE, "--older-than", "@5", "-b", "upper")[0],
            (2, 2, 0, 0), "the rest")
    t.equal(counts(STORE, "--newer-than", "@5", "-b", "upper")[0],
            (4, 4, 0, 0), "newer")
    t.equal(counts(STORE, "--older-than", "now", "-b", "upper")[0],
            (4, 4, 0, 0), "older than now")
    t.refused(t.USAGE, "not a time", args=["map", "-n", "soon", STORE, "cat"])


def other_keys():
    fresh()
    t.equal(counts(STORE, "-k", "a/*", "--key", "new/{dir}/{stem}{ext}.sum",
                   "--builtin", "sha256sum")[0], (21, 21, 0, 0), "new keys")
    want = dict(ITEMS)
    want.update({b"new/" + k + b".sum":
                 hashlib.sha256(v).hexdigest().encode() + b"\n"
                 for k, v in ITEMS.items() if k.startswith(b"a/")})
    t.equal(items(STORE), want, "new keys beside the old ones")
    t.refused(t.USAGE, "{dir}", args=["map", STORE, "-K", "{nix}", "cat"])


def skipping():
    fresh()
    script = ('case $BLT_KEY in *1.txt) exit 100;; *2.txt) echo no >&2; '
              'exit 3;; *3.txt) kill -9 $$;; esac; tr a-z A-Z')
    got, failed = counts(STORE, "--", "sh", "-c", script, exit_code=SOFTWARE)
    t.equal(got, (n, n - 6, 2, 4), "skipped and failed")
    t.equal(failed, {
        "a/2.txt": "exit 3: no", "a/12.txt": "exit 3: no",
        "a/3.txt": "died of signal 9 (Killed)",
        "a/13.txt": "died of signal 9 (Killed)"}, "errors")
    want = upper(ITEMS)
    for key in b"1", b"2", b"3", b"11", b"12", b"13":
        want[b"a/%s.txt" % key] = ITEMS[b"a/%s.txt" % key]
    t.equal(items(STORE), want, "the rest")
    # A result that comes along with the third error is counted, too.
    done = t.run("map", STORE, "-e", "2", "-j", "1", "false")
    said = re.search(rb"stopped after (\d+) errors", done.stderr)
    t.equal((done.returncode, said and 3 <= int(said[1]) < n),
            (t.TEMPFAIL, True), done.stderr)


def tried_again():
    """A command that dies is run once more; one that fails is not."""
    fresh(STORE, {b"die": b"v", b"fail": b"v", b"twice": b"v"})
    script = (f'echo $BLT_KEY >> {work}/runs; cat >/dev/null; '
              'case $BLT_KEY in fail) exit 1;; twice) kill -9 $$;; esac; '
              f'[ $(grep -c die {work}/runs) != 1 ] || kill -9 $$; echo done')
    got, failed = counts(STORE, "-j1", "--", "sh", "-c", script,
                         exit_code=SOFTWARE)
    t.equal(got, (3, 1, 0, 2), "died once, twice, failed")
    t.equal(failed, {"twice": "died of signal 9 (Killed)", "fail": "exit 1"},
            "why")
    with open(os.path.join(work, "runs"), encoding="ascii") as f:
        t.equal(sorted(f.read().split()), ["die", "die", "fail", "twice",
                                           "twice"], "runs")


def elsewhere():
    fresh()
    with open(STORE, "rb") as f:
        before = f.read()
    t.refused(t.NOINPUT, OTHER, args=["map", STORE, "--to", OTHER, "cat"])
    os.chmod(STORE, 0o400)
    t.equal(counts(STORE, "--to", OTHER, "--create", "-u", *UPPER)[0],
            (n, n, 0, 0), "to another store")
    os.chmod(STORE, 0o600)
    with open(STORE, "rb") as f:
        t.equal(f.read() == before, True, "the input is as it was")
    t.equal(items(OTHER), upper(ITEMS), "the other store")
    t.refused(t.DATAERR, "is the store that is read",
              args=["map", STORE, "--to", work + "/./store.blt", "cat"])
    t.refused(t.USAGE, "--to", args=["map", STORE, "--create", "cat"])
    t.refused(t.DATAERR, __file__, args=["map", STORE, "--to", __file__,
                                         "cat"])


def fixed():
    fresh(STORE, {b"x": b"abcd", b"y": b"efgh"}, "--value-len", "4")
    t.equal(counts(STORE, *UPPER)[0], (2, 2, 0, 0), "fixed length")
    got, failed = counts(STORE, "-b", "wc", exit_code=SOFTWARE)
    t.equal((got, sorted(failed)), ((2, 0, 0, 2), ["x", "y"]),
            "another length")
    t.equal("another length" in failed["x"], True, failed)
    os.unlink(OTHER)
    t.equal(counts(STORE, "-t", OTHER, "-c", "-v", "str", "-b", "wc")[0],
            (2, 2, 0, 0), "to a store of any length")
    t.equal(items(OTHER), {b"x": b"0 1 4\n", b"y": b"0 1 4\n"}, "wc")


def numbers():
    fresh(STORE, {b"\x05\0\0\0": b"x", b"\0\x01\0\0": b"y"}, "-k", "uint4")
    if os.path.exists(OTHER):
        os.unlink(OTHER)
    t.equal(counts(STORE, "-t", OTHER, "-c", "--key-serializer", "str", "-K",
                   "n{key}", "--", "sh", "-c", 'printf %s "$BLT_KEY"')[0],
            (2, 2, 0, 0), "numbers")
    t.equal(items(OTHER), {b"n5": b"5", b"n256": b"256"}, "keys as text")


def builtins():
    fresh()
    t.ok("map", "-q", STORE, "-b", "zstd", "-K", "{key}.zst", "-k", "a/*")
    t.ok("del", STORE, *[k.decode() for k in ITEMS if k.startswith(b"a/")])
    t.ok("map", "-q", STORE, "-b", "unzstd", "-K", "{dir}/{stem}", "-k",
         "*.zst")
    found = items(STORE)
    t.equal({k: v for k, v in found.items() if not k.endswith(b".zst")}, ITEMS,
            "there and back")
    got, failed = counts(STORE, "-b", "unzstd", "-k", "top",
                         exit_code=SOFTWARE)
    t.equal((got, "unzstd" in failed["top"]), ((1, 0, 0, 1), True), failed)


def environment():
    fresh(STORE, {b"k": b"v"})
    os.environ["SECRET"] = "x"
    locale = {f"LC_NUMBER_{i}": str(i) for i in range(200)}
    os.environ.update(locale)
    t.ok("map", "-q", STORE, "env")
    seen = dict(line.split("=", 1)
                for line in items(STORE)[b"k"].decode().splitlines())
    for name in locale:
        del os.environ[name]
    t.equal({k: v for k, v in seen.items() if k in locale}, locale,
            "variables of a family, however many")
    t.equal((seen["BLT_KEY"], seen["BLT_STORE"], seen["PATH"]),
            ("k", os.path.realpath(STORE), os.environ["PATH"]), "environment")
    t.equal("SECRET" in seen, False, "what is ours alone")
    t.ok("map", "-q", "--env", "SECRET,HOME", STORE, "env")
    t.equal(b"SECRET=x" in items(STORE)[b"k"].splitlines(), True, "--env")
    t.refused(t.USAGE, "--env NO_SUCH: no variable of this environment",
              args=["map", "--env", "SECRET,NO_SUCH", STORE, "env"])
    with open("/dev/null") as held:
        os.set_inheritable(held.fileno(), True)
        t.ok("map", "-q", STORE, "--", "sh", "-c", "ls /proc/$$/fd", close_fds=False)
    t.equal(items(STORE)[b"k"].split(), [b"0", b"1", b"2"], "descriptors")


def limits():
    fresh(STORE, {b"k": b"v"})
    with maplib.limited() as want:
        t.ok("map", "-q", STORE, *maplib.READ_LIMITS)
    t.equal(maplib.limits_in(items(STORE)[b"k"]), want, "inherited limits")


def no_function():
    fresh()
    before = items(STORE)
    plain = os.path.join(work, "plain")
    with open(plain, "w", encoding="ascii") as f:
        f.write("no program")
    for text, *args in (
            ("nosuch-command: cannot be run: No such file or directory; give "
             "the path of a program", "nosuch-command"),
            ("No such file or directory; give", work + "/nosuch"),
            ("Permission denied; make it a program", plain),
            ("Permission denied; make it a program", "--framed", plain),
            ("nosuch.so: cannot open shared object file: No such file or "
             "directory; give the path of a shared object", "--shared",
             "nosuch.so"),
            ("plain", "--shared", plain),
            ("nosuch: no such function; there are identity, sha256sum, ",
             "--builtin", "nosuch"),
            ("no command",),
            ("one of the four", "-f", "-s", plain),
            ("takes no command", "-b", "wc", "cat"),
            ("gzip: an option stands behind it: write -- in front of gzip",
             "gzip", "-9"),
            ("sort: an option stands behind it", "sort", "-u"),
            ("cat: an option stands behind it", "-j", "1", "cat", "--nosuch"),
            ("no such option", "-9", "gzip")):
        for json in [], ["--json"]:
            done = t.refused(t.USAGE, text, args=["map", *json, STORE, *args])
            t.equal(done.stdout, b"", "no counts")
    for args in ["cat"], ["--", "cat", "-u"], ["cat", "--", "-u"]:
        t.ok("map", "-q", STORE, *args)
    t.refused(t.UNAVAILABLE, "/nosuch/worker: cannot be started: No such file",
              args=["map", STORE, "cat"],
              env={**os.environ, "BLT_MAP_WORKER": "/nosuch/worker"})
    t.equal(items(STORE), before, "nothing was changed")
    t.equal(t.run("map", STORE, "cat", "--help").stdout[:6], b"Usage:", "help")


def no_output():
    fresh()
    nowhere = os.path.join(work, "nowhere", "new.blt")
    for args, code, text in (
            (["-t", nowhere], t.NOINPUT, f"{nowhere}: there is no such store; "
             "it is made where that is asked for (blt map --create)"),
            (["-t", nowhere, "-c"], t.CANTCREAT, f"{nowhere}: cannot create: "
             "No such file or directory; make the directory first")):
        done = t.refused(code, text, args=["map", *args, STORE, "cat"])
        t.equal(done.stdout, b"", "no counts")


def a_number_like_a_slash():
    """The byte of 47 is a slash, and yet no directory's marker."""
    fresh(STORE, {}, "--key-serializer", "uint1")
    t.ok("put", STORE, "47", stdin=b"")
    t.equal(counts(STORE, "--builtin", "identity"), ((1, 1, 0, 0), {}), "47")


def a_slash_at_the_end():
    """With --flat a key is no directory's marker, as for ls."""
    fresh(STORE, {})
    t.ok("put", "--raw", STORE, "x/", stdin=b"")
    for flat, n in ([], 0), (["--flat"], 1):
        t.equal(counts(STORE, *flat, "--builtin", "identity"),
                ((n, n, 0, 0), {}), f"x/, {flat}")


all_keys()
given_keys()
a_number_like_a_slash()
a_slash_at_the_end()
if t.BOOKLET:
    times()
other_keys()
skipping()
tried_again()
elsewhere()
if t.BOOKLET:
    fixed()
    numbers()
builtins()
environment()
limits()
no_function()
no_output()
