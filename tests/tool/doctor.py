#!/usr/bin/env python3
"""blt doctor: each of its answers that can be provoked.

What needs another /dev, /proc or /etc gets it in a mount namespace of its own;
without the right to make one (root has it), those are passed over.
"""

import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess

import daemonlib
import toollib as t

NOBODY = 65534
CHECKS = ("kernel", "device", "transport", "permission", "other users",
          "daemon", "limits", "temporary files")


class Answer:
    def __init__(self, done, what):
        if b"Sanitizer" in done.stderr or done.returncode < 0:
            t.fail(f"{what}: {done.returncode} {done.stderr}")
        try:
            whole = json.loads(done.stdout)
        except ValueError:
            t.fail(f"{what}: {done.stdout} {done.stderr}")
        self.what = what
        self.found = whole["found"]
        bad = sum(1 for f in self.found if f["state"] == "bad")
        t.equal(whole["bad"], bad, f"{what}: sum")
        t.equal(done.returncode, t.UNAVAILABLE if bad else 0, f"{what}: code")
        for f in self.found:
            if f["state"] == "ok":
                t.equal(f["advice"], None, f"{what}: {f}")

    def has(self, check, state, text="", advice=""):
        for f in self.found:
            if f["check"] == check and f["state"] == state and \
                    text in f["text"] and advice in (f["advice"] or ""):
                return self
        return t.fail(f"{self.what}: no {check} {state} {text!r} {advice!r} "
                      f"in {json.dumps(self.found, indent=1)}")


def doctor(*args, blt=t.BLT, env=None, before=None):
    done = subprocess.run([blt, "doctor", "--json", *args],
                          capture_output=True, timeout=t.LIMIT,
                          env=dict(os.environ, **(env or {})),
                          preexec_fn=before, check=False)
    return Answer(done, f"doctor {args} {env}")


def changed(script, *args, blt=t.BLT):
    """The same after script, in a mount namespace of its own."""
    done = subprocess.run(
        ["unshare", "-m", "sh", "-ec", script + '\nexec "$@"', "sh",
         blt, "doctor", "--json", *args],
        capture_output=True, timeout=t.LIMIT, check=False)
    return Answer(done, script)


def may_unshare():
    return os.geteuid() == 0 and shutil.which("unshare") and subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"],
        capture_output=True, timeout=t.LIMIT, check=False).returncode == 0


def limit(which, value):
    return lambda: resource.setrlimit(
        which, (value, resource.getrlimit(which)[1]))


def check_environment():
    here = doctor()
    t.equal([f["check"] for f in here.found
             if f["check"] != "mounts"][:2], ["kernel", "device"], "order")
    for check in CHECKS:
        if not any(f["check"] == check for f in here.found):
            t.fail(f"nothing on {check}: {here.found}")
    here.has("daemon", "ok", "libfuse 3.")
    text = t.run("doctor").stdout.decode()
    for f in here.found:
        if f["check"] != "mounts" and f["text"].split()[0] not in text:
            t.fail(f"{f} is not in the text {text}")
    quiet = t.run("doctor", "-q").stdout.decode()
    t.equal("ok  " in quiet, False, f"-q: {quiet}")
    doctor(before=limit(resource.RLIMIT_NOFILE, 64)).has(
        "limits", "note", "at most 64 open files", "ulimit -n")
    doctor(before=limit(resource.RLIMIT_FSIZE, 1 << 30)).has(
        "limits", "note", "1073741824 bytes in a file", "ulimit -f")
    if os.environ.get("SANITIZERS", "no") == "no":
        doctor(before=limit(resource.RLIMIT_AS, 1 << 30)).has(
            "limits", "note", "1073741824 bytes of memory", "ulimit -v")
    doctor(env={"TMPDIR": "/no/such"}).has(
        "temporary files", "bad", "/no/such: No such file", "TMPDIR")
    if os.geteuid() == 0:
        doctor(env={"PATH": ""}).has("permission", "note", "fusermount3",
                                     "install the package fuse3")


def check_daemon(blt):
    """blt looks for bltfs beside itself first."""
    beside = os.path.join(os.path.dirname(blt), "bltfs")

    def with_daemon(script):
        with open(beside, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\n" + script)
        os.chmod(beside, 0o755)
        return doctor(blt=blt)

    version = t.ok("--version").decode().split()[1]
    with_daemon(f"echo 'bltfs {version} (libfuse 3.16.2)'").has(
        "daemon", "ok", "libfuse 3.16")
    with_daemon("echo 'bltfs 0.0.1 (libfuse 3.16.2)'").has(
        "daemon", "note", " is version 0.0.1, this is blt ",
        "install both from one release")
    with_daemon(f"echo 'bltfs {version} (libfuse 3.10.5)'").has(
        "daemon", "bad", "3.10 is too old", "install libfuse 3.12 or later")
    with_daemon("echo bltfs: libfuse3.so.3 is missing >&2; exit 127").has(
        "daemon", "bad", "does not run: bltfs: libfuse3.so.3 is missing",
        "install the libraries that it names")
    os.unlink(beside)
    doctor(blt=blt, env={"PATH": "/no/such"}).has(
        "daemon", "bad", "bltfs is not in PATH",
        "install it, or put its directory into PATH")


def check_store():
    doctor("none.blt").has("store", "bad", "none.blt: No such file",
                           "blt create none.blt")
    doctor("/").has("store", "bad", "no regular file", "path of a store")
    t.ok("create", "kv.blt")
    t.ok("put", "kv.blt", "key", stdin=b"value")
    doctor("kv.blt").has("store", "ok").has("contents", "ok", "1 keys") \
        .has("locks", "ok", "nobody").has("filesystem", "ok", "left")
    with open("kv.blt", "rb") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        doctor("kv.blt").has("locks", "note", "others are reading", "wait")
        fcntl.flock(held, fcntl.LOCK_EX)
        doctor("kv.blt").has("contents", "bad", "kv.blt", "wait for it")
    with open("bad.blt", "wb") as f:
        f.write(b"no store" * 100)
    doctor("bad.blt").has("contents", "bad", "bad.blt")
    shutil.copy("kv.blt", "later.blt")
    with open("later.blt", "r+b") as f:
        f.seek(16)
        f.write(b"\6\0")
    doctor("later.blt").has("contents", "note", "version 6", "-o ro")
    t.ok("create", "--value-len", "8", "fixed.blt")
    t.ok("load", "-q", "fixed.blt", stdin="".join(
        f"{str(i).encode().hex()} {8 * '61'} -\n"
        for i in range(6100)).encode())
    fixed = doctor("fixed.blt")
    t.equal([f["state"] for f in fixed.found if f["check"] == "contents"],
            ["ok"], "Python grows an index that stands in front")
    t.ok("reindex", "--buckets", "12008", "fixed.blt")
    doctor("fixed.blt").has("contents", "note", "more than 12008 keys")


def check_mounted():
    if not os.path.exists("/dev/fuse"):
        return
    os.mkdir("mnt")
    point = os.path.realpath("mnt")
    daemon = subprocess.Popen([os.environ["BLTFS"], "-f", "kv.blt", "mnt"],
                              stderr=subprocess.PIPE)
    try:
        daemonlib.mounted(daemon, "mnt", daemon.stderr.read)
        with open("mnt/more", "w", encoding="utf-8") as f:
            f.write("more")
        doctor("kv.blt").has("mounts", "ok", point) \
            .has("contents", "bad", "kv.blt", f"blt umount {point}")
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()
        dead = doctor("kv.blt").has("mounts", "bad", "its daemon is gone",
                                    f"blt umount {point}")
        dead.has("contents", "note", "did not close it", "blt recover kv.blt")
        t.run("umount", point)
        t.equal([f for f in doctor().found if point in f["text"]], [],
                "unmounted")
        t.ok("recover", "-q", "kv.blt")
        doctor("kv.blt").has("contents", "ok", "2 keys")
    finally:
        daemon.kill()
        daemon.wait()
        subprocess.run(["fusermount3", "-uzq", point], check=False,
                       stderr=subprocess.DEVNULL)


def check_namespaces(blt):
    """Other answers of the system."""
    changed("mount -t tmpfs none /dev").has(
        "device", "bad", "No such file", "modprobe fuse")
    changed("mount -t tmpfs none /dev; touch /dev/fuse; chmod 600 /dev/fuse; "
            f"set -- setpriv --reuid {NOBODY} --clear-groups \"$@\"",
            blt=blt).has("device", "bad",
                         "/dev/fuse cannot be opened: Permission denied",
                         "chmod 666")
    changed("echo nodev tmpfs > fs; mount --bind fs /proc/filesystems").has(
        "kernel", "bad", "knows no FUSE",
        "load its module as root: modprobe fuse")
    parameter = "/sys/module/fuse/parameters/enable_uring"
    if os.path.exists(parameter):
        bind = f" > p; mount --bind p {parameter}"
        changed("echo Y" + bind).has("transport", "ok", "io_uring")
        changed("echo N" + bind).has(
            "transport", "note",
            "requests through io_uring, which are faster, are switched off",
            f"as root: echo 1 >{parameter}; at every start: "
            "echo options fuse enable_uring=1 >/etc/modprobe.d/fuse.conf")
    changed("mount -t tmpfs none /sys").has("transport", "ok", "Linux 6.14")
    other = f"set -- setpriv --reuid {NOBODY} --clear-groups \"$@\""
    changed("echo > c; mount --bind c /etc/fuse.conf; " + other, blt=blt).has(
        "other users", "note", "mounts are for this user alone: ",
        "user_allow_other")
    changed("echo user_allow_other > c; mount --bind c /etc/fuse.conf; "
            + other, blt=blt).has("other users", "ok")
    changed("PATH=/no; " + other.replace("setpriv", shutil.which("setpriv")),
            blt=blt).has("permission", "bad",
                         "PATH, and this user may not mount without it",
                         "fuse3")
    changed("mkdir f; cp /bin/true f/fusermount3; chmod 755 . f; PATH=$PWD/f; "
            + other.replace("setpriv", shutil.which("setpriv")),
            blt=blt).has("permission", "bad", "is not setuid root, and",
                         "as root: chown root, then chmod u+s")
    small = "mount -t tmpfs -o size=1m none /mnt; "
    changed(small + "export TMPDIR=/mnt").has(
        "temporary files", "note", "large values from pipes may not fit",
        "make room, or set TMPDIR to another directory")
    changed(small + "cp kv.blt /mnt", "/mnt/kv.blt") \
        .has("filesystem", "note", "it is on tmpfs: ", "disk") \
        .has("filesystem", "note", "writes will soon fail", "make room")
    changed(small + "cp kv.blt /mnt; mount -o remount,ro /mnt",
            "/mnt/kv.blt").has("filesystem", "note",
                            "its filesystem is mounted read-only",
                            "mount it with -o ro")
    user = "chmod 755 .; " + small + "cp kv.blt /mnt; "
    changed(user + "chmod 600 /mnt/kv.blt; " + other, "/mnt/kv.blt",
            blt=blt).has("store", "bad", "cannot be read",
                         "as its owner: chmod u+rw")
    changed(user + "chmod 644 /mnt/kv.blt; " + other, "/mnt/kv.blt",
            blt=blt).has("store", "note", "can only be read", "-o ro")
    changed(user + "chmod 666 /mnt/kv.blt; chmod 755 /mnt; " + other,
            "/mnt/kv.blt", blt=blt).has("store", "note", "directory")


def main():
    os.chdir(t.directory())
    os.mkdir("bin")
    # another user may not come to where it was built
    blt = shutil.copy(t.BLT, os.path.join(os.getcwd(), "bin", "blt"))
    os.chmod(".", 0o755)
    check_environment()
    check_daemon(blt)
    check_store()
    check_mounted()
    if may_unshare():
        check_namespaces(blt)


main()
