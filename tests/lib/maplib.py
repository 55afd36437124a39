"""What the tests of maps share, most of them over a mount."""

import contextlib
import json
import os
import resource
import shlex
import subprocess
import sys

import toollib as t

EXAMPLES = os.path.join(t.TOP, "doc", "examples")
SOFTWARE = 70


def put(m, name, data):
    path = os.path.join(m.path, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def values(m, top=""):
    found = {}
    for where, _, names in os.walk(os.path.join(m.path, top)):
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as f:
                found[os.path.relpath(path, m.path)] = f.read()
    return found


def counted(path, *args):
    """Runs a map of a mount; (processed, written, skipped, errors), and the
    reason that each key failed for."""
    done = t.run("map", "--json", path, *args)
    said = json.loads(done.stdout)
    assert (said["kind"], said["state"]) == ("map", "done"), (said, done)
    assert done.returncode == (SOFTWARE if said["errors"] else 0), done
    lines = done.stderr.decode().splitlines()
    assert len(lines) == said["errors"], done.stderr
    failed = dict(line.split(": ", 2)[1:] for line in lines)
    return (tuple(said[name] for name in ("processed", "written", "skipped",
                                          "errors")), failed)


def python_worker(path, text):
    """A framed command; the arguments that run it."""
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"import sys\nsys.path.insert(0, {EXAMPLES!r})\n"
                "import os, time\nfrom blt_worker import serve, Skip\n"
                + text)
    return ["--framed", "--", sys.executable, "-B", path]


def shared_object(path, text):
    """A shared object; the arguments that take it.  Built as the sanitizers
    have it, it would need their libraries."""
    source = path + ".c"
    with open(source, "w", encoding="ascii") as f:
        f.write(text)
    subprocess.run([*shlex.split(os.environ.get("CC", "cc")), "-shared",
                    "-fPIC", "-Wall", "-Wextra", "-Werror",
                    "-I" + os.path.join(t.TOP, "src"), "-o", path,
                    source], check=True)
    return ["--shared", path]


# Which none of what a map runs comes near to.
LIMITS = {"Max open files": (resource.RLIMIT_NOFILE, 700),
          "Max cpu time": (resource.RLIMIT_CPU, 100003),
          "Max file size": (resource.RLIMIT_FSIZE, 1 << 43),
          "Max address space": (resource.RLIMIT_AS, 1 << 46)}
READ_LIMITS = ["--", "cat", "/proc/self/limits"]


@contextlib.contextmanager
def limited():
    """What is started within has limits of its own; as the command READ_LIMITS
    shows them, {name: [soft, hard]}."""
    before = {which: resource.getrlimit(which) for which, _ in LIMITS.values()}
    want = {}
    try:
        for name, (which, most) in LIMITS.items():
            hard = before[which][1]
            if hard != resource.RLIM_INFINITY:
                most = min(most, hard)
            resource.setrlimit(which, (most, hard))
            want[name] = [str(most), "unlimited" if hard ==
                          resource.RLIM_INFINITY else str(hard)]
        yield want
    finally:
        for which, limits in before.items():
            resource.setrlimit(which, limits)


def limits_in(value):
    """Those of LIMITS in what the command printed."""
    found = {line[:26].strip(): line[26:].split()[:2]
             for line in value.decode().splitlines()}
    return {name: found[name] for name in LIMITS}
