"""What the tests of maps over a mount share."""

import json
import os
import shlex
import subprocess
import sys

import toollib as t

EXAMPLES = os.path.join(t.HERE, "..", "doc", "examples")
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
                    "-I" + os.path.join(t.HERE, "..", "src"), "-o", path,
                    source], check=True)
    return ["--shared", path]
