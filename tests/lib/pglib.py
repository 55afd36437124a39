#!/usr/bin/env python3
"""pglib - PostgreSQL servers for tests, of the installed packages.

    server = pglib.Server()                  a server of its own, running
    server.url(store="kv")                   "postgresql://blt@/blt?host=..."
    standby = server.standby()               a synchronous standby
    server.kill(); standby.promote()

    pglib.py run [--tcp] [--standby] COMMAND...

runs COMMAND with the URL of a new server in BLT_TEST_POSTGRES, and ends with its
status.  BLT_TEST_POSTGRES_ADMIN is the URL of the superuser; with --tcp
BLT_TEST_POSTGRES_TCP is the same server on the loopback interface, and with
--standby BLT_TEST_POSTGRES_STANDBY is a synchronous standby.

A server belongs to the user who runs the test; root's belongs to postgres, or to
nobody.  The role blt owns the database blt and needs no password; the role postgres
is the superuser.  fsync is on.  Servers, standbys and their files live in a directory
of the test below /tmp and end with the test, however it ends (pgwarden).

Without the packages a test ends with status 77.  pgproxy has a proxy between a client
and a server.  One thread at a time may call a server's functions.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.parse

from pgwarden import (LIMIT, base, binaries, need, own, owner, processes, send,
                      skip, until)
from pgwire import Client, ServerError

__all__ = ["Server", "ServerError", "Client", "binaries", "need", "until", "url"]

ADMIN, ROLE, DATABASE = "postgres", "blt", "blt"

SETTINGS = {
    "fsync": "on",
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",  # else kill -9 leaves some in /dev/shm
    "log_min_messages": "warning",
    "max_wal_senders": "5",
    "wal_keep_size": "256MB",
}
TRUST = ("local all all trust", "host all all 127.0.0.1/32 trust",
         "host all all ::1/128 trust")


# ---- servers ----

def url(*servers, role=ROLE, database=DATABASE, password=None, tcp=False,
        **parameters):
    """A URL of the database on one server or several, with parameters as store
    or target_session_attrs.  password is for tests of what refuses one."""
    who = role if password is None else f"{role}:{password}"
    if tcp:
        host = ",".join(f"127.0.0.1:{s.port}" for s in servers)
    else:
        host = ""
        parameters = {"host": ",".join(s.path for s in servers),
                      "port": ",".join(str(s.port) for s in servers),
                      **parameters}
    query = urllib.parse.urlencode(parameters, safe="/,")
    return f"postgresql://{who}@{host}/{database}" + (query and "?" + query)


class Server:
    """A server, running.  tcp: it listens on the loopback interface too; listen:
    or on these addresses.  Other arguments are its settings."""

    def __init__(self, tcp=False, listen=None, _primary=None, **settings):
        need()
        self.base = base()
        self.path = f"{self.base.path}/{self.base.count}"
        self.name = f"{os.path.basename(self.base.path)}-{self.base.count}"
        self.base.count += 1
        self.data = self.path + "/data"
        self.log_path = self.path + "/log"
        self.listen = listen or ("127.0.0.1" if tcp else "")
        self.settings = {**SETTINGS, **settings}
        self.process = None
        self.port = 5432
        os.mkdir(self.path)
        own(self.path)
        if _primary:
            self._copy(_primary)
        else:
            self._create()

    def _create(self):
        self._tool("initdb", "-D", self.data, "-U", ADMIN, "-A", "trust", "-N",
                   "-E", "UTF8", "--locale=C", "--no-instructions")
        self._write("postgresql.conf", "include 'blt.conf'\n", "a")
        self.hba(*TRUST)
        self.start()
        self.sql(f"create role {ROLE} login")
        self.sql(f"create database {DATABASE} owner {ROLE}")

    def _copy(self, primary):
        self._tool("pg_basebackup", "-D", self.data, "-h", primary.path,
                   "-p", str(primary.port), "-U", ADMIN, "-c", "fast", "-N",
                   "-R")
        self.start()

    def _tool(self, *args):
        """Runs one of the server's programs as its user."""
        done = subprocess.run(
            [f"{binaries()}/{args[0]}", *args[1:]], cwd=self.path,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False, timeout=LIMIT, **owner())
        if done.returncode:
            raise AssertionError(f"{args}: {done.stdout.decode()}")

    def _write(self, name, text, mode="w"):
        path = f"{self.data}/{name}"
        with open(path, mode, encoding="utf-8") as file:
            file.write(text)
        own(path)

    # ---- start and end ----

    def start(self):
        """Starts it, and waits until it takes connections."""
        for attempt in range(3):
            if self.listen and (attempt or self.port == 5432):
                self.port = free_port()
            self._configure()
            with open(self.log_path, "ab") as log:
                self.process = subprocess.Popen(
                    [f"{binaries()}/postgres", "-D", self.data],
                    cwd=self.path, stdin=subprocess.DEVNULL, stdout=log,
                    stderr=log, start_new_session=True, **owner())
            until("the server's start", self._started)
            if self.process.poll() is None:
                return self
            if "Address already in use" not in self.log():
                break
        raise AssertionError(f"the server did not start: {self.log()[-2000:]}")

    def _started(self):
        """Whether it says that it is ready, or ended."""
        if self.process.poll() is not None:
            return True
        try:
            with open(self.data + "/postmaster.pid", encoding="ascii") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            return False
        return (len(lines) > 7 and int(lines[0]) == self.process.pid and
                lines[7].strip() in ("ready", "standby"))

    def _configure(self):
        settings = {**self.settings, "listen_addresses": self.listen,
                    "port": self.port, "cluster_name": self.name,
                    "unix_socket_directories": self.path}
        self._write("blt.conf", "".join(f"{name} = '{value}'\n"
                                        for name, value in settings.items()))

    def stop(self, how=signal.SIGINT):
        """Shuts it down: SIGINT rolls back what is going on, SIGTERM waits for
        clients, SIGQUIT leaves recovery to the next start."""
        self.process.send_signal(how)
        self.process.wait(LIMIT)

    def restart(self):
        self.stop()
        return self.start()

    def kill(self):
        """Ends all of its processes as a power cut does."""
        send([self.process.pid], signal.SIGKILL)
        self.process.wait()
        until("the end of a killed server",
              lambda: not send(self.pids(), signal.SIGKILL) and not self.pids())

    def pids(self):
        return processes(self.name) + processes(self.path)

    def pause(self):
        """Stops its processes where they are; resume() lets them go on."""
        send([self.process.pid], signal.SIGSTOP)
        send(self.pids(), signal.SIGSTOP)

    def resume(self):
        send(self.pids(), signal.SIGCONT)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    # ---- clients ----

    def url(self, **parameters):
        """See the function url."""
        return url(self, **parameters)

    @property
    def socket(self):
        return f"{self.path}/.s.PGSQL.{self.port}"

    def client(self, role=ADMIN, database=DATABASE):
        """A connection on the socket."""
        return Client(self.socket, role, database)

    def sql(self, statement, role=ADMIN, database=None):
        """The rows of a statement, which is committed by itself."""
        if database is None:
            database = "postgres" if role == ADMIN else DATABASE
        with self.client(role, database) as client:
            return client.query(statement)

    def psql(self, statement, where=None, **env):
        """What psql says, which knows passwords and TLS; of the user's own files
        it reads none."""
        return subprocess.run(
            [f"{binaries()}/psql", "-XAtqw", "-d", where or self.url(), "-c",
             statement], capture_output=True, text=True, check=False,
            timeout=LIMIT, env={**os.environ, "HOME": self.path, **env})

    # ---- settings ----

    def set(self, **settings):
        """Changes settings; those that need it take effect at a restart."""
        self.settings.update(settings)
        self._configure()
        self.reload()

    def reload(self):
        if not self.process:
            return
        loaded = "select pg_conf_load_time()"
        before = self.sql(loaded)
        self.process.send_signal(signal.SIGHUP)
        until("the settings", lambda: self.sql(loaded) != before)

    def hba(self, *lines):
        """Replaces the rules of pg_hba.conf, without locking the superuser
        out: "host all all 127.0.0.1/32 scram-sha-256"."""
        self._write("pg_hba.conf", "\n".join(
            [f"local all {ADMIN} trust", f"local replication {ADMIN} trust",
             *lines, ""]))
        self.reload()

    def role(self, name, password=None, limit=None):
        """A role that may log in, and nothing else."""
        self.sql(f"create role {name} login"
                 + (f" password '{password}'" if password else "")
                 + (f" connection limit {limit}" if limit is not None else ""))

    def connection_limit(self, limit, role=ROLE):
        """How many connections the role may have; -1: any number."""
        self.sql(f"alter role {role} connection limit {limit}")

    def disconnect(self, role=ROLE):
        """Ends the connections of a role, as an administrator does."""
        self.sql("select pg_terminate_backend(pid) from pg_stat_activity"
                 f" where usename = '{role}'")

    def tls(self, names=("DNS:localhost", "IP:127.0.0.1")):
        """Switches TLS on; the path of the certificate, which is its own root.
        With other names it does not verify."""
        if not shutil.which("openssl"):
            skip("openssl is not installed")
        key, certificate = self.data + "/tls.key", self.data + "/tls.crt"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3",
             "-subj", "/CN=" + names[0].split(":")[1], "-keyout", key,
             "-out", certificate, "-addext",
             "subjectAltName=" + ",".join(names)],
            check=True, capture_output=True)
        own(key)
        own(certificate)
        os.chmod(key, 0o600)
        root = self.path + "/root.crt"
        shutil.copy(certificate, root)
        os.chmod(root, 0o644)
        self.set(ssl="on", ssl_cert_file="tls.crt", ssl_key_file="tls.key")
        return root

    def small_disk(self, size="16M"):
        """New tables of the database are on a disk of that size; False where
        the test may not mount one.  Such a server cannot have a standby."""
        small = self.path + "/small"
        os.mkdir(small)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}",
                           "blt-pg", small], capture_output=True,
                          check=False).returncode:
            return False
        own(small)
        os.chmod(small, 0o700)
        self.sql(f"create tablespace small location '{small}'")
        self.sql(f"grant create on tablespace small to {ROLE}")
        self.sql(f"alter database {DATABASE} set default_tablespace = small")
        return True

    # ---- standbys ----

    def standby(self, synchronous=True, commit="on", **settings):
        """A standby.  The primary waits for each that is synchronous, at each
        commit: "on": until it is on its disk; "remote_apply": until a reader of
        the standby sees it."""
        found = Server(listen=self.listen, _primary=self,
                       **{**self.settings, "synchronous_standby_names": "",
                          **settings})
        if synchronous:
            names = re.findall(r'"([^"]*)"', self.settings.get(
                "synchronous_standby_names", "")) + [found.name]
            quoted = ", ".join(f'"{name}"' for name in names)
            self.set(synchronous_standby_names=f"{len(names)} ({quoted})",
                     synchronous_commit=commit)
        until("the standby", lambda: (found.name,
                                      "sync" if synchronous else "async") in
              self.sql("select application_name, sync_state"
                       " from pg_stat_replication where state = 'streaming'"))
        return found

    def asynchronous(self):
        """Waits for no standby any longer."""
        self.set(synchronous_standby_names="")

    def promote(self):
        """Makes a standby the primary."""
        self.sql("select pg_promote(true, 60)")
        until("the promotion", lambda: self.sql(
            "select pg_is_in_recovery()") == [("f",)])
        return self


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


# ---- for tests that are not written in Python ----

def run(args):
    flags = set()
    while args and args[0] in ("--tcp", "--standby"):
        flags.add(args.pop(0))
    if not args:
        sys.exit(__doc__)
    server = Server(tcp="--tcp" in flags)
    env = dict(os.environ, BLT_TEST_POSTGRES=server.url(),
               BLT_TEST_POSTGRES_ADMIN=server.url(role=ADMIN))
    if "--tcp" in flags:
        env["BLT_TEST_POSTGRES_TCP"] = server.url(tcp=True)
    if "--standby" in flags:
        env["BLT_TEST_POSTGRES_STANDBY"] = server.standby().url()
    try:
        status = subprocess.run(args, env=env, check=False).returncode
    except OSError as err:
        print(f"{args[0]}: {err.strerror}", file=sys.stderr)
        status = 127
    sys.exit(status if status >= 0 else 128 - status)


def over(path):
    """Runs the test NAME.py for NAME-postgres.py, with a server of its own."""
    run([sys.executable, os.path.abspath(path).replace("-postgres.py", ".py")])


def main(args):
    if args[:1] == ["run"]:
        run(args[1:])
    sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
