#!/usr/bin/env python3
"""What tests/lib/pglib.py and pgproxy.py promise to the tests of the PostgreSQL
engine: servers that start and end with the test, standbys that lose no commit, a
proxy that counts and breaks connections."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import pglib
import pgproxy
import pgwarden
from pgwire import Client, ServerError, message

PGLIB = os.path.abspath(pglib.__file__)


def states(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


def refused(server, where, *words, **env):
    """psql must fail there, and say each of the words."""
    done = server.psql("select 1", where, **env)
    states(done.returncode == 2, where, done)
    for word in words:
        states(word in done.stderr, word, "is missing in", done.stderr)


# ---- the proxy ----

def extended(client, *statements):
    """All of them in one pipeline, a Sync at its end."""
    client.sock.sendall(b"".join(
        message(b"P", b"\0" + s + b"\0\0\0")
        + message(b"B", bytes(8)) + message(b"E", bytes(5))
        for s in statements) + message(b"S"))
    client.answer()


def counts(server):
    with pgproxy.Proxy(server) as proxy:
        states(server.psql("select 1", proxy.url()).stdout == "1\n", "psql")
        with proxy.counting() as count:
            client = Client(f"{proxy.path}/.s.PGSQL.{proxy.port}", "blt", "blt")
            states(count.round_trips == 0 and count.connections == 1, count)
            states(client.query("select 1") == [("1",)], "select")
        states(count.round_trips == 1 and count.messages == {"Q": 1}, count)
        with proxy.counting() as count:
            extended(client, *[b"select 1"] * 100)
        states(count.round_trips == 1 and count.messages["S"] == 1, count)
        with proxy.counting() as count:
            for _ in range(3):
                client.query("select 1")
        states(count.round_trips == 3, count)
        # a pipeline in pieces is still one
        with proxy.counting() as count:
            for _ in range(3):
                client.send("select 1")
                time.sleep(pgproxy.QUIET / 10)
            for _ in range(3):
                client.answer()
        states(count.round_trips == 1 and count.messages["Q"] == 3, count)
        with proxy.counting() as count:
            pass
        states(count.round_trips == 0, count)
        client.close()


def breaks(server):
    server.sql("create table marks(n int)", "blt")
    with pgproxy.Proxy(server) as proxy:
        path = f"{proxy.path}/.s.PGSQL.{proxy.port}"
        # the answer to a commit is lost, not the commit
        client = Client(path, "blt", "blt")
        client.query("begin; insert into marks values(1)")
        proxy.lose_answer(b"commit")
        ends(client, "commit")
        states(proxy.lost.wait(10), "nothing was lost")
        states(server.sql("select n from marks", "blt") == [("1",)], "commit")
        client = Client(path, "blt", "blt")
        proxy.cut()
        ends(client, "select 1")
        # nothing comes, and later all of it
        client = Client(path, "blt", "blt")
        client.sock.settimeout(0.2)
        proxy.blackhole()
        client.send("select 1")
        try:
            client.answer()
            states(False, "an answer out of the dark")
        except TimeoutError:
            pass
        client.sock.settimeout(10)
        proxy.forward()
        states(client.answer() == [("1",)], "after the dark")
        proxy.refuse()
        ends(client, "select 1")
        try:
            Client(path, "blt", "blt")
            states(False, "not refused")
        except OSError:
            pass
        proxy.accept()
        proxy.delay = 0.05
        start = time.monotonic()
        Client(path, "blt", "blt").query("select 1")
        states(time.monotonic() - start >= 0.2, "no delay")


def ends(client, statement):
    try:
        client.query(statement)
    except OSError:
        return
    states(False, "it was answered")


# ---- a server's settings ----

def settings(server):
    server.role("alice", password="secret")
    server.hba("host all alice 127.0.0.1/32 scram-sha-256",
               *pglib.TRUST)
    where = server.url(role="alice", tcp=True)
    states(server.psql("select 1", where, PGPASSWORD="secret").stdout == "1\n",
           "the password")
    refused(server, where, "password authentication failed", PGPASSWORD="no")
    refused(server, server.url(database="none"), "does not exist")
    try:
        server.sql("create table no(n int)", "alice")
        states(False, "alice may create tables")
    except ServerError as err:
        states(err.sqlstate == "42501", err)
    server.connection_limit(0)
    refused(server, server.url(), "too many connections")
    server.connection_limit(-1)
    root = server.tls()
    verified = {"sslmode": "verify-full", "sslrootcert": root, "tcp": True}
    done = server.psql("select ssl from pg_stat_ssl where pid ="
                       " pg_backend_pid()", server.url(**verified))
    states(done.stdout == "t\n", done)
    root = server.tls(("DNS:elsewhere.example",))
    refused(server, server.url(**{**verified, "sslrootcert": root}),
            "elsewhere.example")


def full():
    """On a server of its own: one with such a disk has no standbys."""
    server = pglib.Server()
    if not server.small_disk():
        return
    try:
        server.sql("create table numbers as select * from"
                   " generate_series(1, 1000000)", "blt")
        states(False, "there was room")
    except ServerError as err:
        states(err.sqlstate == "53100", err)
    server.stop()


# ---- standbys ----

class Writer(threading.Thread):
    """Commits numbers, one after the other, until the server is gone."""

    def __init__(self, server):
        super().__init__()
        self.client = server.client("blt", "blt")
        self.committed = 0
        self.going = threading.Event()

    def run(self):
        try:
            while True:
                self.client.query("insert into numbers values"
                                  f" ({self.committed + 1})")
                self.committed += 1
                if self.committed == 50:
                    self.going.set()
        except (OSError, ServerError):
            pass


def failover(server):
    server.sql("create table numbers(n int)", "blt")
    standby = server.standby()
    writer = Writer(server)
    writer.start()
    states(writer.going.wait(60), "nothing is written")
    server.kill()
    writer.join(60)
    states(not writer.is_alive(), "the writer is not told")
    standby.promote()
    rows = [int(n) for n, in standby.sql("select n from numbers order by 1",
                                         "blt")]
    # the last one may be there without its answer
    states(rows[:writer.committed] == list(range(1, writer.committed + 1)) and
           len(rows) <= writer.committed + 1, writer.committed, rows[-3:])
    both = pglib.url(server, standby, target_session_attrs="read-write")
    states(standby.psql("insert into numbers values(0) returning n",
                        both).stdout == "0\n", both)
    server.start()
    states(len(server.sql("select 1 from numbers", "blt")) >= writer.committed,
           "the old primary")
    server.stop()


# ---- the end ----

def gone(path, name):
    return not os.path.exists(path) and not pgwarden.processes(name)


def ended():
    """A test that is killed leaves nothing behind; run says what its command
    did."""
    done = subprocess.run(
        [sys.executable, PGLIB, "run", "sh", "-c",
         "echo $BLT_TEST_POSTGRES; exit 9"], capture_output=True, text=True,
        check=False)
    states(done.returncode == 9 and done.stdout.startswith("postgresql://blt@"),
           done)
    test = subprocess.Popen(
        [sys.executable, PGLIB, "run", "sh", "-c",
         "echo $BLT_TEST_POSTGRES; exec sleep 1000"],
        stdout=subprocess.PIPE, text=True, start_new_session=True)
    path = re.search(r"host=(/tmp/[^/]*)", test.stdout.readline())[1]
    states(pgwarden.processes(os.path.basename(path)), "no server")
    os.killpg(test.pid, signal.SIGKILL)
    test.wait()
    pglib.until("the end of a killed test's server",
                lambda: gone(path, os.path.basename(path)))


def main():
    start = time.monotonic()
    server = pglib.Server(tcp=True)
    states(time.monotonic() - start < 10, "a slow start")
    states(len(server.socket) < 100, server.socket)
    states(server.sql("show fsync") == [("on",)], "fsync")
    counts(server)
    breaks(server)
    settings(server)
    full()
    failover(server)
    ended()


if __name__ == "__main__":
    main()
