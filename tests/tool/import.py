#!/usr/bin/env python3
"""blt import and blt export: round trips, restarts, and hostile input."""

import io
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import tarfile

import toollib as t

work = t.directory()


def at(name):
    return os.path.join(work, name)


def fresh(name, *args):
    path = at(name)
    t.ok("create", "--force", *args, path)
    return path


def dumped(store):
    return sorted(t.ok("dump", store).splitlines())


def without_times(store):
    return [line.rsplit(b" ", 1)[0] for line in dumped(store)]


def tree(top):
    """{path: (kind, content, time in microseconds)} of a directory."""
    top = os.fsencode(top)
    found = {}
    for where, dirs, files in os.walk(top):
        for name in dirs + files:
            path = os.path.join(where, name)
            info = os.lstat(path)
            key = os.path.relpath(path, top)
            when = info.st_mtime_ns // 1000 if t.BOOKLET else 0
            if stat.S_ISLNK(info.st_mode):
                found[key] = ("link", os.readlink(path), when)
            elif stat.S_ISDIR(info.st_mode):
                found[key] = ("dir", None,
                              None if os.listdir(path) else when)
            else:
                with open(path, "rb") as f:
                    found[key] = ("file", f.read(), when)
    return found


def make_tree(top):
    names = ["plain", "with space", "new\nline", "tab\t", "-rf", ".hidden",
             "n\u00e4\u00efve", "e\u0301 apart", "\u65e5\u672c", "x" * 255,
             "%25", "sub%25/x", "a%00b", "%2E%2E", "q?*<>|\"\\", "d/e/f/g",
             "d/e%", "d/e/h", "deep/" + "/".join("abcdefgh" * 20)]
    for i, name in enumerate(names):
        path = os.path.join(top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(name.encode() * (i * 700))
    os.makedirs(os.path.join(top, "empty/inner"))
    os.symlink("../no such/target", os.path.join(top, "d/link"))
    os.symlink("plain", os.path.join(top, "link to plain"))
    for i, (path, what) in enumerate(sorted(tree(top).items())):
        ns = (1700000000_123456 + i * 1000003) * 1000
        os.utime(os.path.join(os.fsencode(top), path), ns=(ns, ns),
                 follow_symlinks=False)


def check_tree():
    source, back = at("tree"), at("back")
    os.mkdir(source)
    make_tree(source)
    want = tree(source)
    store = fresh("tree.blt")
    t.ok("import", store, source)
    t.equal(t.faults(store), [], "faults after import")
    t.ok("export", store, back)
    t.equal(tree(back), want, "there and back")
    t.equal(subprocess.run(["diff", "-r", "--no-dereference", source, back],
                           check=False).returncode, 0, "diff -r")
    t.equal(t.ok("get", "--raw", store, "d/e%"), b"d/e%" * (16 * 700), "%")
    for suffix in (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst",
                   ".tar.bz2"):
        archive, again = at("tree" + suffix), fresh("again.blt")
        t.ok("export", store, archive)
        t.ok("import", again, archive)
        t.equal(dumped(again), dumped(store), suffix)
    check_other_tars(store, source)
    check_restart(store, source, back)


def check_other_tars(store, source):
    """As other programs write them; with what is not in order."""
    with tarfile.open(at("tree.tar")) as tar:
        members = {m.name: m for m in tar.getmembers()}
    t.equal(members["plain"].mtime * 1000000 // 1,
            int(members["plain"].mtime * 1000000), "fractions")
    # GNU tar warns of that key, once an entry
    t.equal([m.name for m in members.values()
             if m.name.isascii() and "hdrcharset" in m.pax_headers], [],
            "ASCII names that are said to be binary")
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        for turn in (False, True):
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
                paths = sorted(tree(source), reverse=turn)
                for path in paths:
                    tar.add(os.path.join(os.fsencode(source), path).decode(),
                            "./" + path.decode(), recursive=False)
            again = fresh("again.blt")
            t.ok("import", again, "-", stdin=stream.getvalue())
            t.equal(without_times(again), without_times(store),
                    f"tar {form} {turn}")
    piped = t.ok("export", store, "-")
    t.ok("import", fresh("again.blt"), "-", stdin=piped)
    t.equal(dumped(at("again.blt")), dumped(store), "through a pipe")


def check_beside():
    """Keys beside directories come back as what they were."""
    keys = ("a", "a/b", "a%", "a%25", "a%%", "a%/x", "a%/x/y", "%", "100%",
            "%00", "x/y/z", "x/y", "x", "x%")
    store, out = fresh("beside.blt"), at("beside")
    for key in keys:
        t.ok("put", "--raw", store, key, stdin=key.encode())
    t.ok("export", store, out)
    t.ok("export", store, out + ".tar")
    for source in out, out + ".tar":
        again = fresh("again.blt")
        t.ok("import", again, source)
        t.equal(without_times(again), without_times(store), source)


def modes(top):
    return {name: stat.S_IMODE(os.stat(os.path.join(top, name)).st_mode)
            for name in ("plain", "tool", "secret", "empty", "shared")}


def check_modes():
    """Where the store keeps them; LMDB gets the usual ones."""
    source, back = at("modes"), at("modes.back")
    for name in "empty", "shared":
        os.makedirs(os.path.join(source, name))
    for name in "plain", "tool", "secret", "shared/file":
        with open(os.path.join(source, name), "w", encoding="ascii") as f:
            f.write(name)
    for name, mode in (("plain", 0o644), ("tool", 0o755), ("secret", 0o600),
                       ("empty", 0o700), ("shared", 0o1777)):
        os.chmod(os.path.join(source, name), mode)
    want = modes(source)
    store = fresh("modes.blt")
    t.ok("import", store, source)
    if not t.BOOKLET:
        t.equal(b"mode" in t.ok("stat", store, "tool"), False, "kept by LMDB")
        return
    t.equal(b"mode      0755" in t.ok("stat", store, "tool"), True, "stat")
    t.equal(b"mode" in t.ok("stat", store, "plain"), False, "a usual mode")
    t.ok("export", store, back)
    # a directory without a key of its own is made anew
    want["shared"] = modes(back)["shared"]
    t.equal(modes(back), want, "there and back")
    t.ok("export", store, back + ".tar")
    with tarfile.open(back + ".tar") as tar:
        t.equal({m.name.strip("/"): m.mode for m in tar.getmembers()},
                {"plain": 0o644, "tool": 0o755, "secret": 0o600,
                 "empty": 0o700, "shared/file": 0o644}, "in the archive")
    t.ok("import", fresh("modes2.blt"), back + ".tar")
    t.equal(json.loads(t.ok("stat", "--json", at("modes2.blt"), "secret"))
            [0]["mode"], "0600", "from the archive")
    # another file of the name has its own
    os.chmod(os.path.join(source, "tool"), 0o644)
    t.ok("import", store, source)
    t.equal(b"mode" in t.ok("stat", store, "tool"), False, "imported again")
    # set-user-ID from somebody's archive is not taken
    os.chmod(os.path.join(source, "tool"), 0o4755)
    t.ok("import", store, source)
    t.equal(json.loads(t.ok("stat", "--json", store, "tool"))[0]["mode"],
            "0755", "set-user-ID")
    damaged = fresh("modes3.blt")
    t.ok("slot", "put", damaged, "2", stdin=b"bltattr1??")
    t.refused(t.DATAERR, "modes of this file and those after it are not kept: ",
              "Structure needs cleaning", args=["import", damaged, source])
    t.equal(t.ok("get", damaged, "tool"), b"tool", "the values all the same")


def check_restart(store, source, back):
    with open(os.path.join(source, "plain"), "wb") as f:
        f.write(b"changed")
    os.utime(os.path.join(source, "plain"), (5, 5))
    before = dumped(store)
    t.ok("import", "--skip-existing", store, source)
    t.equal(dumped(store), before, "--skip-existing")
    if t.BOOKLET:
        t.ok("import", "--newer", store, source)
        t.equal(dumped(store), before, "--newer, and it is older")
    os.utime(os.path.join(source, "plain"), (1800000000, 1800000000))
    t.ok("import", "--newer", store, source)
    t.equal(t.ok("get", store, "plain"), b"changed", "--newer")
    kept = tree(back)
    os.unlink(os.path.join(back, "with space"))
    t.refused(t.CANTCREAT, "--force", args=["export", store, back])
    t.equal(tree(back)[b"plain"], kept[b"plain"], "not replaced")
    os.unlink(os.path.join(back, "with space"))
    t.ok("export", "--skip-existing", store, back)
    t.equal({**tree(back), b"d/link": None}, {**kept, b"d/link": None},
            "export --skip-existing")
    t.ok("export", "--force", store, back)
    t.equal(tree(back), tree(source), "export --force")
    t.refused(t.CANTCREAT, "--force", args=["export", store, at("tree.tar")])


def check_vectors():
    """Every vector goes through a directory and through an archive."""
    for name in t.names():
        store = t.vector(name + ".blt")
        for target in (at("v"), at("v.tar")):
            shutil.rmtree(at("v"), ignore_errors=True)
            t.ok("export", "--force", store, target)
            again = at("v.blt")
            shutil.copy(store, again)
            os.chmod(again, 0o600)
            keys = [line.split()[0].decode()
                    for line in t.ok("dump", again).splitlines()]
            for first in range(0, len(keys), 500):
                t.ok("del", "--hex", again, "--", *keys[first:first + 500])
            t.ok("import", again, target)
            t.equal(dumped(again), dumped(store), f"{name} through {target}")
            t.equal(t.faults(again), [], f"faults of {name}")


def tar_of(*members):
    """A tar stream of (name, kind, content or target)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                info.linkname = content
                tar.addfile(info)
    return stream.getvalue()


def check_hostile_tars():
    reg = tarfile.REGTYPE
    stream = tar_of(("../out", reg, b"1"), ("/abs", reg, b"2"),
                    ("a/../../b", reg, b"3"), ("100%", reg, b"4"),
                    ("dev", tarfile.CHRTYPE, ""), ("pipe", tarfile.FIFOTYPE, ""),
                    ("hard", tarfile.LNKTYPE, "/etc/passwd"),
                    ("harder", tarfile.LNKTYPE, "nothing"),
                    (".bltfs/control", reg, b"prune"),
                    ("good", reg, b"5"), ("same", tarfile.LNKTYPE, "good"),
                    ("lnk", tarfile.SYMTYPE, "/etc"),
                    ("empty", tarfile.SYMTYPE, ""),
                    ("lnk/x", reg, b"6"))
    store = fresh("hostile.blt")
    done = t.refused(t.DATAERR, "../out", "/abs", "a/../../b", "dev",
                     "pipe", "hard:", "harder:", ": passed over: ",
                     "empty: ", "without a target",
                     args=["import", store, "-"], stdin=stream)
    t.equal(b"control" in done.stderr, False, done.stderr)
    keys = sorted(bytes.fromhex(line.split()[0].decode())
                  for line in dumped(store))
    t.equal(keys, [b"100%", b"good", b"lnk", b"lnk/x", b"same"], "keys")
    t.equal(t.ok("get", store, "same"), b"5", "a hard link")
    t.ok("export", store, at("out"))
    t.equal(sorted(os.listdir(at("out"))), [".bltfs", "100%", "good", "lnk", "lnk%",
                                            "same"], "beside a link")
    t.equal(os.path.isdir(at("out/lnk")), True, "a directory, not /etc")
    whole = tar_of(("one", reg, b"1" * 5000), ("two", reg, b"2" * 5000))
    for cut, left in ((7000, [b"one"]), (300, []), (3000, [])):
        store = fresh("cut.blt")
        t.refused(t.DATAERR, "standard input", args=["import", store, "-"],
                  stdin=whole[:cut])
        t.equal([bytes.fromhex(line.split()[0].decode())
                 for line in dumped(store)], left, f"cut at {cut}")
        t.equal(t.faults(store), [], f"faults, cut at {cut}")
    t.refused(t.DATAERR, "tar archive", args=["import", store, "-"],
              stdin=b"no archive at all\n" * 100)
    wrong = tar_of((".bltfs/long-names", reg, b"xyz\n"))
    t.refused(t.DATAERR, "long-names", args=["import", store, "-"],
              stdin=wrong)


def check_hostile_target():
    """Links that stand in the target lead nowhere."""
    store, top, outside = fresh("s.blt"), at("top"), at("outside")
    for key in ("d/x", "f", "g/h/i"):
        t.ok("put", store, key, stdin=b"new")
    os.makedirs(top + "/g")
    os.mkdir(outside)
    os.symlink(outside, top + "/d")
    os.symlink(outside, top + "/g/h")
    os.symlink(outside + "/f", top + "/f")
    t.refused(t.CANTCREAT, "d/x", "g/h/i", args=["export", "--force", store,
                                                 top])
    t.equal(os.listdir(outside), [], "written outside")
    t.equal((os.path.islink(top + "/f"), open(top + "/f", "rb").read()),
            (False, b"new"), "the link itself is replaced")


def check_kinds():
    source = at("few")
    os.mkdir(source)
    for name, value in (("7", b"four"), ("eight", b"12345")):
        with open(os.path.join(source, name), "wb") as f:
            f.write(value)
    os.symlink("x", source + "/9")
    if t.BOOKLET:
        store = fresh("int.blt", "-k", "uint4", "-l", "4")
        t.refused(t.DATAERR, "eight", "9: ", "link", args=["import", store,
                                                           source])
        t.equal(t.ok("get", store, "7"), b"four", "an integer key")
    with open(source + "/50%", "wb") as f:
        f.write(b"half")
    store = fresh("raw.blt")
    t.ok("import", "--raw", store, source)
    t.equal(t.ok("get", "--raw", store, "50%"), b"half", "--raw")
    t.ok("put", "--raw", store, "a/b", stdin=b"x")
    t.ok("export", "--flat", store, at("flat"))
    t.equal(sorted(os.listdir(at("flat"))),
            ["50%", "7", "9", "a%2Fb", "eight"], "--flat")
    again = fresh("flat.blt")
    t.ok("import", "--flat", again, at("flat"))
    t.equal(dumped(again), dumped(store), "flat there and back")
    t.refused(t.NOINPUT, "none", args=["import", store, at("none")])
    t.refused(t.USAGE, "one of the two",
              args=["import", "--newer", "--skip-existing", store, source])
    t.refused(t.USAGE, "tar.zst", args=["export", "--format", "rar", store,
                                        at("x")])
    t.refused(t.CANTCREAT, "no/such", args=["export", store,
                                            at("no/such/x.tar")])
    with open("/dev/full", "wb") as full:
        done = subprocess.run([t.BLT, "export", store, "-"], stdout=full,
                              stderr=subprocess.PIPE, check=False)
    t.equal((done.returncode, b"No space left" in done.stderr),
            (t.IOERR, True), done.stderr)


def check_counts():
    source, store = at("counts"), fresh("counts.blt")
    os.makedirs(source + "/empty")
    wrong = "%~" + "0" * 26
    for name in "a", "b", wrong:
        with open(os.path.join(source, name), "wb") as f:
            f.write(b"12345")
    t.equal(t.counted("import", store, source, exit_code=t.DATAERR),
            ("done", 3, 10, 0, 1), "two files, a directory, a wrong name")
    os.unlink(os.path.join(source, wrong))
    with open(source + "/new", "wb") as f:
        f.write(b"6")
    t.equal(t.counted("import", "-s", store, source), ("done", 1, 1, 2, 0),
            "one is new")
    target = at("counted")
    t.equal(t.counted("export", store, target), ("done", 4, 11, 0, 0), "all")
    os.unlink(target + "/a")
    t.equal(t.counted("export", "-s", store, target), ("done", 2, 5, 2, 0),
            "one, and the directory")
    os.unlink(target + "/a")
    t.equal(t.counted("export", store, target, exit_code=t.CANTCREAT),
            ("done", 2, 5, 0, 2), "the others exist")
    t.equal(t.counted("export", store, target + ".tar"),
            ("done", 4, 11, 0, 0), "an archive")
    done = t.refused(t.USAGE, "--json: standard output has the archive; give "
                     "that a name", args=["export", "--json", store, "-"])
    t.equal(done.stdout, b"", "no archive")


def check_deep():
    """A path costs its length: with a square, each of these took 7 s of CPU."""
    if os.environ.get("SANITIZERS", "no") != "no":
        return
    store, n = fresh("deep.blt"), 30_000 if t.BOOKLET else 250
    stream = tar_of(*(("a/" * n + str(i), tarfile.REGTYPE, b"x")
                      for i in range(4)))
    t.ok("import", store, "-", stdin=stream, preexec_fn=lambda:
         resource.setrlimit(resource.RLIMIT_CPU, (8, 8)))
    t.equal(len(dumped(store)), 4, "deep names")


def check_interrupt():
    members = [(f"k{i:05}", tarfile.REGTYPE, b"v" * 600) for i in range(4000)]
    stream, store = tar_of(*members), fresh("stopped.blt")
    with subprocess.Popen([t.BLT, "import", store, "-"],
                          stdin=subprocess.PIPE,
                          stderr=subprocess.PIPE) as run:
        run.stdin.write(stream[:-20000])
        run.stdin.flush()
        run.send_signal(signal.SIGINT)
        said = run.stderr.read()
        run.stdin.close()
        t.equal(run.wait(t.LIMIT), 128 + signal.SIGINT, said)
    t.equal(b"interrupted" in said, True, said)
    t.equal(t.faults(store), [], "faults after the signal")
    t.ok("import", "--skip-existing", store, "-", stdin=stream)
    t.equal(len(dumped(store)), len(members), "gone on")


def check_sequences():
    """What comes back is a sequence again, whatever its items are called."""
    store = fresh("seq.blt", "-v", "bytes")
    for path in "x/frames", "empty":
        t.ok("seq", "create", store, path)
    for i in range(3):
        t.ok("seq", "append", store, "x/frames", f"n={i}")
    t.ok("put", "--raw", store, "x/frames/.at", stdin=b"a key of that name")
    want = t.ok("seq", "iter", store, "x/frames")
    for to in at("frames"), at("frames.tar.gz"):
        again = fresh("again.blt", "-v", "bytes")
        t.ok("export", store, to)
        t.ok("import", again, to)
        t.equal(t.ok("seq", "iter", again, "x/frames"), want, "the items")
        t.equal(t.ok("seq", "len", again, "empty"), b"0\n", "an empty one")
        t.equal(without_times(again), without_times(store), "all keys")
        t.ok("import", again, to)
        t.equal(without_times(again), without_times(store), "once more")
        other = fresh("other.blt", "-v", "json")
        t.refused(t.DATAERR, ".bltfs/sequences: passed over",
                  args=["import", other, to])
    wrong = tar_of((".bltfs/sequences", tarfile.REGTYPE, b"00xyz\n"))
    t.refused(t.DATAERR, "sequences", args=["import", store, "-"],
              stdin=wrong)
    # no prefix, that of everything, one of a value
    wrong = tar_of((".bltfs/sequences", tarfile.REGTYPE, b"78\n\n2f2f\n"))
    t.refused(t.DATAERR, "passed over", args=["import", store, "-"],
              stdin=wrong)
    t.equal(t.ok("seq", "iter", store, "x/frames"), want, "as it was")


check_tree()
if t.BOOKLET:
    check_vectors()
    check_sequences()
check_hostile_tars()
check_hostile_target()
check_kinds()
check_counts()
check_beside()
check_modes()
check_deep()
check_interrupt()
