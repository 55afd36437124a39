#!/usr/bin/env python3
"""doc/map-cluster.md: shards that GNU parallel, Slurm (srun) and the line of
a Kubernetes job start over a mount and to stores of their own; tasks are
killed, and each value is mapped exactly once.

Slurm is a real one of this machine's packages, with two nodes, as root alone."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys

import controllib
import daemonlib
import shardlib
import toollib as t
from controllib import Mount

N = shardlib.N
work = controllib.directory()
FUNCTION = shardlib.function(work)
FREE = [a for a in FUNCTION if a not in ("--env", "PULSE")]


def left_out(what, why):
    print(f"left out: {what}: {why}", file=sys.stderr)


def fresh(name):
    store = os.path.join(work, name)
    t.ok("create", store)
    shardlib.fill(store)
    return store


def sound(store, what):
    found = t.items(store)
    t.equal(shardlib.times(found), {1: N}, f"{what}: each exactly once")
    t.equal(found, shardlib.wanted(), f"{what}: as a serial run has it")


def states(path, *args):
    return {(e["shard"], e["state"]) for e in json.loads(
        t.ok("map", "--json", "--status", path, *args))}


def shell(line, **env):
    return subprocess.run(["sh", "-c", line], check=False, timeout=t.LIMIT,
                          capture_output=True, env={**os.environ, **env})


# ---- GNU parallel ----

def parallel():
    if not shutil.which("parallel"):
        left_out("parallel", "is not installed")
        return
    store = fresh("parallel.blt")
    flag = os.path.join(work, "flag")
    # The first try of each shard is killed once it has begun.
    script = os.path.join(work, "shard.sh")
    with open(script, "w", encoding="ascii") as f:
        f.write(f"""#!/bin/sh
mount=$1 shard=$2
set -- {t.BLT} map "$mount" -q --job par --shard "$shard/4" -j 1 \\
	{' '.join(FUNCTION)}
mkdir {flag}-"$shard" 2>/dev/null || exec "$@"
"$@" &
until {t.BLT} map "$mount" --status | grep "^par $shard/4 " |
	grep -qv "not begun"; do
	kill -0 $! || break
done
kill -KILL $!
wait $!
exit 1
""")
    os.chmod(script, 0o700)
    with Mount(store, expect="interrupted|job .*running") as m:
        done = subprocess.run(
            ["parallel", "--retries", "5", "-j", "4", script, m.path, "{}",
             ":::", "1", "2", "3", "4"], check=False, timeout=t.LIMIT,
            capture_output=True, env={**os.environ, "SHELL": "/bin/sh"})
        t.equal(done.returncode, 0, done)
        t.equal(states(m.path), {(s, "done") for s in (1, 2, 3, 4)}, "done")
    sound(store, "parallel")


# ---- Kubernetes ----

def kubernetes():
    """The container's line, started again where it was killed."""
    store, outs = fresh("kube.blt"), []
    for index in range(4):
        out = os.path.join(work, f"out-{index}.blt")
        line = (f"exec {t.BLT} map {store} -q --to {out} --create --job k "
                "--shard \"$((JOB_COMPLETION_INDEX + 1))/4\" "
                f"{' '.join(FUNCTION)}")
        for _ in range(2):
            done = shell(line, JOB_COMPLETION_INDEX=str(index))
            t.equal(done.returncode, 0, done)
        outs.append(out)
    whole = os.path.join(work, "whole.blt")
    t.ok("copy", "-q", "--merge", *outs, whole)
    sound(whole, "an indexed job")


# ---- Slurm ----

CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={where}/munge.socket
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1
ReturnToService=2
SlurmctldPidFile={where}/ctld.pid
SlurmdPidFile={where}/d-%n.pid
SlurmctldLogFile={where}/ctld.log
SlurmdLogFile={where}/d-%n.log
StateSaveLocation={where}/state
SlurmdSpoolDir={where}/spool-%n
JobRequeue=1
KillWait=1
InactiveLimit=0
MinJobAge=300
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={port1} CPUs=2 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={port2} CPUs=2 State=UNKNOWN
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


def free_ports(n):
    found = [socket.socket() for _ in range(n)]
    for s in found:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in found]
    for s in found:
        s.close()
    return ports


class Slurm:
    """munged, slurmctld and two slurmd, in the foreground, ended by number."""

    def __init__(self, where):
        self.where, self.started = where, []
        port, port1, port2 = free_ports(3)
        os.mkdir(os.path.join(where, "state"))
        self.conf = os.path.join(where, "slurm.conf")
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(CONF.format(host=socket.gethostname().split(".")[0],
                                port=port, port1=port1, port2=port2,
                                where=where))
        os.environ["SLURM_CONF"] = self.conf

    def start(self, *command):
        log = open(os.path.join(self.where, "log"), "ab")
        # pylint: disable=consider-using-with
        self.started.append(subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
        log.close()

    def __enter__(self):
        key = os.path.join(self.where, "munge.key")
        with open(key, "wb") as f:
            f.write(os.urandom(128))
        os.chmod(key, 0o400)
        self.start("munged", "--foreground", "--force", f"--key-file={key}",
                   f"--socket={self.where}/munge.socket",
                   f"--pid-file={self.where}/munge.pid",
                   f"--log-file={self.where}/munge.log",
                   f"--seed-file={self.where}/munge.seed")
        daemonlib.until("munged", lambda: os.path.exists(
            f"{self.where}/munge.socket"))
        self.start("slurmctld", "-D", "-f", self.conf, "-i")
        for node in "n1", "n2":
            self.start("slurmd", "-D", "-N", node, "-f", self.conf)
        daemonlib.until("two idle nodes", self.idle)
        return self

    def idle(self):
        done = subprocess.run(["sinfo", "-h", "-o", "%T %D"], check=False,
                              capture_output=True)
        return done.stdout.split() == [b"idle", b"2"]

    def __exit__(self, *_):
        for p in reversed(self.started):
            p.terminate()
        for p in reversed(self.started):
            with contextlib.suppress(subprocess.TimeoutExpired):
                p.wait(20)
            p.kill()
            p.wait()


def srun(store):
    """Four tasks of one step over a mount, which find their shards; the step
    is cancelled in the middle, and started again."""
    with Mount(store, expect="interrupted|cancelled|job ") as m:
        command = ["srun", "-n", "4", "--overcommit", t.BLT, "map", m.path,
                   "--job", "plus", "-j", "1", *FUNCTION]
        for i in range(3):
            env = {**os.environ, "PULSE": ""}
            # pylint: disable=consider-using-with
            step = subprocess.Popen(command, env=env,
                                    stdout=subprocess.DEVNULL,
                                    stderr=subprocess.PIPE)
            if i < 2:
                daemonlib.until("shards run", lambda s=step: any(
                    state != "not begun" for _, state in states(m.path))
                    or s.poll() is not None)
                step.kill()
            said = step.communicate(timeout=t.LIMIT)[1]
        t.equal((step.returncode, said.count(b"as srun has it")), (0, 4),
                said)
        t.equal(states(m.path), {(s, "done") for s in (1, 2, 3, 4)}, "srun")
    sound(store, "srun")


def slurm():
    needed = "munged", "slurmctld", "slurmd", "srun", "sbatch"
    missing = [p for p in needed if not shutil.which(p)]
    if os.geteuid() != 0:
        left_out("Slurm", "its daemons are started as root")
        return
    if missing:
        left_out("Slurm", f"no {missing[0]}")
        return
    where = controllib.directory()
    try:
        with Slurm(where):
            srun(fresh("srun.blt"))
    except BaseException:
        for name in os.listdir(where):
            if name.endswith("log"):
                with open(os.path.join(where, name), "rb") as f:
                    sys.stderr.buffer.write(f.read()[-3000:])
        raise


def main():
    kubernetes()
    parallel()
    slurm()


if __name__ == "__main__":
    main()
