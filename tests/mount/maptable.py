#!/usr/bin/env python3
"""What a map must do, on a mount: asked for by blt (which uses the ioctl) with
each kind of function, and by the control file with those that it may run; and
what functions that misbehave cost."""

import contextlib
import errno
import os
import subprocess

import controllib
import maplib
import toollib as t
from controllib import Mount, check
from maplib import counted, put, values

work = controllib.directory()
store = os.path.join(work, "kv.blt")
other = os.path.join(work, "other.blt")
output = os.path.join(work, "output.blt")

# The value in upper case; skipped, failed, under another key too, by its name.
PLAIN = """case $BLT_KEY in
*skip*) exit 100;;
*fail*) echo "as asked" >&2; exit 3;;
esac
tr a-z A-Z"""

FRAMED = """
@serve
def work(key, value):
    if b"skip" in key:
        raise Skip
    if b"fail" in key:
        raise ValueError("as asked")
    if b"more" in key:
        return [(b"new/" + key, value.upper()), (key, value.upper())]
    return value.upper()
"""

SHARED = """
#include <blt_map.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

int blt_map_fn(const struct blt_map_item *item, const struct blt_map_out *out)
{
	char key[300], value[300];
	const char *from = item->value;
	size_t n = item->value_len;
	int len = snprintf(key, sizeof(key), "new/%.*s", (int)item->key_len,
			   (const char *)item->key);

	for (size_t i = 0; i < n; i++)
		value[i] = (char)toupper((unsigned char)from[i]);
	if (strstr(key, "skip"))
		return 0;
	if (strstr(key, "fail"))
		return out->fail(out, "as asked");
	if (strstr(key, "more") && out->put(out, key, (size_t)len, value, n))
		return -1;
	return out->put_same(out, value, n);
}
"""

KINDS = {
    "plain": ["--", "sh", "-c", PLAIN],
    "framed": maplib.python_worker(os.path.join(work, "upper.py"), FRAMED),
    "shared": maplib.shared_object(os.path.join(work, "upper.so"), SHARED),
}
FILES = {f"d{i % 3}/key{i}": b"value %d" % i for i in range(30)}
ODD = {"odd/skip1": b"s", "odd/skip2": b"s", "odd/fail": b"f",
       "odd/more": b"m"}


def fresh(options="create", **more):
    for path in (store, other):
        if os.path.exists(path):
            os.unlink(path)
    return Mount(store, options, **more)


def fill(m, files):
    for name, data in files.items():
        put(m, name, data)


def upper(files):
    return {k: v.upper() for k, v in files.items()}


# ---- the rows: a mount of FILES, the arguments of a function ----

def all_keys(m, function, _):
    n = len(FILES)
    assert counted(m.path, *function) == ((n, n, 0, 0), {})
    assert values(m) == upper(FILES)


def given_keys(m, function, _):
    keys = os.path.join(work, "keys")
    with open(keys, "w", encoding="ascii") as f:
        f.write("d0/key0\nd1/key1\nnone\n")
    t.refused(t.NOT_FOUND, "none", args=["map", "-i", keys, m.path,
                                         *function])
    got, failed = counted(m.path, "--raw", "--keys-from", keys, *function)
    assert (got, failed) == ((3, 2, 0, 1), {"none": "no such key"}), failed
    assert counted(m.path, "--keys", "d1/*", *function)[0] == (10, 10, 0, 0)
    assert counted(m.path, "--prefix", "d2/key2", *function)[0][0] == 5
    done = ("d1/", "d0/key0", "d2/key2")
    assert values(m) == {k: v.upper() if k.startswith(done) else v
                         for k, v in FILES.items()}


def other_keys(m, function, kind):
    """Its own input stays, and it never meets its output."""
    fill(m, ODD)
    if kind == "plain":
        got, _ = counted(m.path, "--key", "new/{key}", "--prefix", "odd/",
                         *function)
        assert got == (4, 1, 2, 1), got
        assert values(m)["odd/more"] == b"m"
    else:
        got, _ = counted(m.path, "--prefix", "odd/", *function)
        assert got == (4, 2, 2, 1), got
        assert values(m)["odd/more"] == b"M"
    assert values(m)["new/odd/more"] == b"M"
    assert sorted(os.listdir(os.path.join(m.path, "new"))) == ["odd"]


def skipped(m, function, _):
    fill(m, ODD)
    n = len(FILES)
    got, failed = counted(m.path, *function)
    assert got[0] == n + 4 and got[2:] == (2, 1), got
    assert list(failed) == ["odd/fail"], failed
    assert "as asked" in failed["odd/fail"], failed
    now = values(m)
    assert (now["odd/skip1"], now["odd/fail"]) == (b"s", b"f")
    assert {k: now[k] for k in FILES} == upper(FILES)


def to_another(m, function, _):
    n = len(FILES)
    got, _ = counted(m.path, "--to", other, "--create", *function)
    assert got == (n, n, 0, 0), got
    assert values(m) == FILES, "the input has changed"
    check(other)
    for key, value in upper(FILES).items():
        assert t.ok("get", other, key) == value


ROWS = [all_keys, given_keys, other_keys, skipped, to_another]


def check_table():
    for kind, function in KINDS.items():
        with fresh() as m:
            for row in ROWS:
                print(kind, row.__name__, flush=True)
                fill(m, FILES)
                row(m, function, kind)
                t.ok("clear", "-q", m.path)
        check(store)


def check_read_only():
    with fresh() as m:
        fill(m, FILES)
    n = len(FILES)
    for kind, function in KINDS.items():
        with Mount(store, "ro", expect="job .* failed: ") as m:
            t.refused(t.NOPERM, "reading", args=["map", "-q", m.path,
                                                 *function])
            got, _ = counted(m.path, "--to", other, "--create", *function)
            assert got == (n, n, 0, 0), (kind, got)
            assert values(m) == FILES
        check(other)
        os.unlink(other)


def check_fixed():
    """All values have one length, and a result of another is an error."""
    for kind, function in KINDS.items():
        with fresh("create,value_len=4") as m:
            fill(m, {f"{i}": b"abcd" for i in range(9)})
            put(m, "fail", b"abcd")
            put(m, "skip", b"abcd")
            got, _ = counted(m.path, *function)
            assert got == (11, 9, 1, 1), (kind, got)
            assert values(m) == {
                name: b"abcd" if name in ("fail", "skip") else b"ABCD"
                for name in values(m)}
            got, failed = counted(m.path, "-k", "7", "--", "echo", "long")
            assert got == (1, 0, 0, 1), got
            assert "another length" in failed["7"], failed
        check(store)


def check_text_of(function, why):
    n = len(FILES)
    with fresh(f"create,map=up={function}") as m:
        fill(m, FILES)
        for line, counts, done in (
                ("map up keys d1/*", "10 processed, 10 written", ("d1/",)),
                ("map up prefix d2/", "10 processed, 10 written",
                 ("d1/", "d2/")),
                ("map up", f"{n} processed, {n} written", ("d",))):
            status = m.ended(m.tell(line).split()[1])
            assert status["text"].startswith(counts), (line, status)
            assert values(m) == {k: v.upper() if k.startswith(done) else v
                                 for k, v in FILES.items()}
        fill(m, ODD)
        job = m.tell("map up prefix odd/").split()[1]
        status = m.ended(job)
        assert (status["state"], status["errors"]) == ("done", "1"), status
        # all but a plain command write "odd/more" and "new/odd/more"
        written = len(values(m)) - n - len(ODD) + 1
        assert status["text"].startswith(
            f"4 processed, {written} written, 2 skipped, 1 errors"), status
        with open(m.control("jobs", job, "errors"), encoding="ascii") as f:
            assert f.read() == f"odd/fail: {why}\n"
    check(store)


def check_words():
    """What else may be said in the control file."""
    changing = os.path.join(work, "changing.sh")
    with Mount(other, "create,map=up=tr a-z A-Z,map=change=sh " +
               changing) as m:
        with open(changing, "w", encoding="ascii") as f:
            f.write(f'cat; printf x; [ "$BLT_KEY" != b ] || '
                    f'printf newer | dd of={m.path}/b conv=fsync status=none\n')
        fill(m, {"a": b"a", "b": b"b"})
        for path, when in (("a", 1000), ("b", 2000)):
            os.utime(os.path.join(m.path, path), (when, when))
        want = {"a": b"a", "b": b"b"}
        older = newer = ""
        if t.can("times"):
            older, newer = "older-than @1500", "newer-than @1500"
        for line, counts, made in (
                (f"{older} prefix a", "1 processed, 1 written", {"a": b"A"}),
                (f"key {{key}}.up {newer} prefix b",
                 "1 processed, 1 written", {"b.up": b"B"}),
                ("keys b if-unchanged", "1 processed, 1 written",
                 {"b": b"B"})):
            status = m.ended(m.tell(f"map up {line}").split()[1])
            assert status["text"].startswith(counts), (line, status)
            want |= made
            assert values(m) == want, line
        for line in ("key", "key {nix}", "older-than", "older-than soon",
                     "newer-than @", "to x", "if-unchanged yes",
                     f"to {output}"):
            wanted = errno.EPERM if line[:4] == "to /" else errno.EINVAL
            try:
                m.tell(f"map up {line}")
            except OSError as e:
                assert e.errno == wanted, (line, e)
            else:
                raise AssertionError(line)
        status = m.ended(m.tell("map change keys b if-unchanged").split()[1])
        assert status["text"].startswith(
            "1 processed, 0 written, 1 skipped"), status
        assert values(m) == want | {"b": b"newer"}
    check(other)
    os.unlink(other)


def check_text_fixed(function):
    """All values have one length."""
    with fresh(f"create,value_len=4,map=up={function}") as m:
        fill(m, {f"{i}": b"abcd" for i in range(9)})
        status = m.ended(m.tell("map up").split()[1])
        assert status["text"].startswith(
            "9 processed, 9 written, 0 skipped, 0 errors"), status
        assert values(m) == {f"{i}": b"ABCD" for i in range(9)}
    check(store)


def check_text_to(function):
    """Another store, where the mounter lets text do what may destroy data; on a
    mount for reading only nothing can be written, and so nothing asked for."""
    t.ok("create", output)
    with fresh(f"create,control_exec,map=up={function}",
               expect="job .* failed: ") as m:
        fill(m, FILES)
        status = m.ended(m.tell(
            f"map up prefix d1/ key new/{{key}} to {output}").split()[1])
        assert status["text"].startswith("10 processed, 10 written"), status
        # none there; the same one
        for path in output + ".no", store:
            status = m.ended(m.tell(f"map up to {path}").split()[1])
            assert status["state"] == "failed", status
        assert values(m) == FILES
    assert t.items(output) == {
        b"new/" + k.encode(): v.upper() for k, v in FILES.items()
        if k.startswith("d1/")}
    check(store)
    check(output)
    os.unlink(output)
    with Mount(store, f"ro,control_exec,map=up={function}") as m:
        try:
            m.tell("map up")
        except OSError as e:
            assert e.errno == errno.EROFS, e
        else:
            raise AssertionError("read-only")


def check_text():
    """The control file runs what the mounter named; the status has the same
    counts, and the file of errors a line for each."""
    script = os.path.join(work, "upper.sh")
    with open(script, "w", encoding="ascii") as f:
        f.write("#!/bin/sh\n" + PLAIN)
    os.chmod(script, 0o755)
    worker = [w for w in KINDS["framed"] if w != "--"]
    for function, why in ((script, "exit 3: as asked"),
                          (" ".join(worker), "ValueError: as asked"),
                          (" ".join(KINDS["shared"]), "as asked")):
        check_text_of(function, why)
        if t.can("fixed"):
            check_text_fixed(function)
        check_text_to(function)
    with fresh("create,map=up=--builtin upper,map=none=--framed") as m:
        fill(m, FILES)
        status = m.ended(m.tell("map up").split()[1])
        assert status["state"] == "done", status
        assert values(m) == upper(FILES)
        try:
            m.tell("map none")
        except OSError as e:
            assert e.errno == errno.EINVAL, e
        else:
            raise AssertionError("an option and no function")


def check_limits():
    """Functions run under the daemon's limits, not under those of blt."""
    framed = maplib.python_worker(os.path.join(work, "limits.py"), """
@serve
def work(key, value):
    with open("/proc/self/limits", "rb") as f:
        return f.read()
""")
    with contextlib.ExitStack() as stack:
        with maplib.limited() as want:
            m = stack.enter_context(fresh())
        for function in maplib.READ_LIMITS, framed:
            put(m, "key", b"")
            assert counted(m.path, *function) == ((1, 1, 0, 0), {})
            found = maplib.limits_in(values(m)["key"])
            assert found == want, (function, found, want)
    check(store)


# ---- what misbehaves ----

HOSTILE = """case $BLT_KEY in
crash) kill -9 $$;;
empty) exit 0;;
flood) head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 7;;
children) sleep 100000 & setsid sleep 100000 & echo fine; exit 0;;
hang) exec sleep 100000;;
unread) echo "not read"; exit 0;;
esac
cat"""

# What map-worker does for a key, and the reason that is given.
MISDEEDS = {
    "crash": "its process died of signal 9",
    "exit": "its process ended with status 3",
    "garbage": "it wrote something that is no frame of the protocol",
    "half": "it ended within a frame",
    "other": "or out of turn",
    "child": "its process died of signal 9",
}


def descendants(pid):
    """All processes below it, as (pid, state); zombies, too."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="latin-1") as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            found += [(int(name), fields[0]), *descendants(int(name))]
    return found


def check_hang(m, *function):
    put(m, "hang", b"h")
    got = counted(m.path, "--timeout", "1.5", "-k", "hang", *function)
    assert got == ((1, 0, 0, 1),
                   {"hang": "it took longer than 1.5 seconds"}), got
    assert descendants(m.daemon.pid) == []


def check_hostile_commands(m):
    files = {name: b"x" for name in ("crash", "empty", "flood", "children")}
    files |= {f"plain{i}": b"p%d" % i for i in range(40)}
    files["unread"] = b"u" * 300000
    fill(m, files)
    got, failed = counted(m.path, "-j", "3", "--", "sh", "-c", HOSTILE)
    assert got == (45, 43, 0, 2), (got, failed)
    assert failed["crash"] == "died of signal 9 (Killed)", failed
    assert failed["flood"].startswith("exit 7: xxxx"), failed
    files |= {"empty": b"", "children": b"fine\n", "unread": b"not read\n"}
    assert values(m) == files
    check_hang(m, "--", "sh", "-c", HOSTILE)


def check_hostile_frames(m):
    once = os.path.join(work, "once")
    os.mkdir(once)
    files = {name: b"x" for name in MISDEEDS}
    files |= {f"plain{i}": b"p%d" % i for i in range(100)}
    files |= {f"{what}{i}": b"%d" % i for i in range(3)
              for what in ("once", "flood")}
    files["fail"] = b"f"
    fill(m, files)
    worker = ["--framed", "--", os.environ["MAP_WORKER"], once]
    got, failed = counted(m.path, *worker)
    wrong = len(MISDEEDS) + 1
    assert got == (len(files), len(files) - wrong, 0, wrong), (got, failed)
    for key, why in MISDEEDS.items():
        assert why in failed[key], (key, failed)
    assert failed["fail"] == "as asked", failed
    assert values(m) == files, "an item is lost"
    check_hang(m, *worker)


# What never ends: its own process, children, and one that left the group.
ENDLESS = {
    "plain": ["--", "sh", "-c", "sleep 100000 & setsid sleep 100000 & "
              "echo $$ $! >>{pids}; exec sleep 100000"],
    "framed": maplib.python_worker(os.path.join(work, "endless.py"), """
import subprocess
@serve
def work(key, value):
    child = subprocess.Popen(["sleep", "100000"])
    with open(sys.argv[1], "a") as f:
        f.write(f"{os.getpid()} {child.pid}\\n")
    child.wait()
""") + ["{pids}"],
    "shared": maplib.shared_object(os.path.join(work, "endless.so"), """
#include <blt_map.h>
#include <stdio.h>
#include <unistd.h>

static const char *path;

int blt_map_init(int argc, char **argv)
{
	path = argc > 0 ? argv[argc - 1] : "/dev/null";
	return 0;
}

int blt_map_fn(const struct blt_map_item *item, const struct blt_map_out *out)
{
	FILE *f = fopen(path, "a");

	(void)item;
	if (!f)
		return out->fail(out, "no file");
	fprintf(f, "%d\\n", getpid());
	fclose(f);
	for (;;)
		pause();
}
""") + ["--", "{pids}"],
}


def is_there(pid):
    """Zombies, too, but for those whose parent is not of ours."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read() != b""
    except (FileNotFoundError, ProcessLookupError):
        return False


def started(path):
    try:
        with open(path, encoding="ascii") as f:
            lines = f.read().split("\n")
    except FileNotFoundError:
        return []
    return lines[:-1] if len(lines) > 2 else []


def check_cancel():
    """No process is left behind, and no value is another."""
    for kind, function in ENDLESS.items():
        pids = os.path.join(work, "pids-" + kind)
        with fresh() as m:
            fill(m, FILES)
            job = t.ok("map", "--detach", "-j", "2", m.path,
                       *(a.replace("{pids}", pids) for a in function))
            job = job.decode().strip()
            lines = controllib.until("two workers", lambda p=pids: started(p))
            t.ok("cancel", m.path, job)
            assert m.ended(job)["state"] == "cancelled"
            for pid in " ".join(lines).split():
                controllib.until(f"the end of {kind}'s {pid}",
                                 lambda p=pid: not is_there(p))
            controllib.until("no child of the daemon", lambda m=m: not
                             descendants(m.daemon.pid))
            assert values(m) == FILES
        check(store)


def check_hostile():
    with fresh() as m:
        check_hostile_commands(m)
    check(store)
    with fresh() as m:
        check_hostile_frames(m)
        # the mount itself is as alive as ever
        put(m, "after", b"all")
        t.ok("map", "-q", m.path, "--builtin", "identity")
        subprocess.run(["sync", "-f", m.path], check=True)
    check(store)


check_table()
check_read_only()
if t.can("fixed"):
    check_fixed()
check_text()
check_words()
check_limits()
check_cancel()
# whose slot in LMDB's table is cleared: tool/map-lmdb.py
if t.BOOKLET:
    check_hostile()
