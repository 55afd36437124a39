#!/usr/bin/env python3
"""blt on stores in PostgreSQL: every command on a URL, copies both ways, values
and keys of all lengths, and what is said where it cannot be."""

import json
import os
import signal
import subprocess
import sys

import pglib
import toollib as t

KEYS = [b"a", b"a/b", b"a!", b"d/", b"d/e/f", b"%", b"\xff\x00", bytes(range(256)),
        b"k" * 2048]


def commands(server, where):
    url = server.url(store="main")
    t.refused(t.NOINPUT, "the database has no tables of ours",
              "make a store with \"blt create\"", args=["ls", url])
    made = [subprocess.Popen([t.BLT, "create", url], stderr=subprocess.PIPE)
            for _ in range(8)]
    t.equal([(p.wait(), p.stderr.read()) for p in made], [(0, b"")] * 8,
            "eight at once")
    for p in made:
        p.stderr.close()
    t.refused(t.NOINPUT, "the database has no store of the name other",
              args=["ls", server.url(store="other")])
    t.ok("put", url, "a/b", stdin=b"hello")
    t.equal(t.ok("get", url, "a/b"), b"hello", "get")
    t.ok("create", url)
    t.equal(t.ok("ls", "-R", url), b"a/b\n", "create leaves it as it is")
    t.ok("put", url, "a/c", stdin=b"there")
    t.equal(t.ok("ls", url, "a"), b"b\nc\n", "ls")
    facts = json.loads(t.ok("stat", "--json", url, "a/b"))
    t.equal(facts["size"] if isinstance(facts, dict) else facts[0]["size"], 5,
            "stat")
    info = json.loads(t.ok("info", "--json", url))
    t.equal((info["engine"], info["keys"], info["durability"]),
            ("postgresql", 2, "the server's disk"), "info")
    # a machine on which nothing can be mounted is not what it is asked for
    said = t.run("doctor", url).stdout.decode()
    assert "a store in PostgreSQL, 2 keys" in said, said
    assert "what is synced is on the server's disk" in said, said
    t.equal(t.mapped(url, "--", "tr", "a-z", "A-Z")[0], (2, 2, 0, 0), "map")
    t.equal(t.ok("get", url, "a/b"), b"HELLO", "mapped")
    t.ok("export", "-q", url, os.path.join(where, "tree"))
    t.ok("del", url, "a/b")
    t.refused(t.NOT_FOUND, "a/b: no such key", args=["get", url, "a/b"])
    t.ok("import", "-q", url, os.path.join(where, "tree"))
    t.equal(t.ok("get", url, "a/b"), b"HELLO", "imported")
    t.ok("check", "-q", url)
    t.ok("prune", "-q", "--older-than", "2001-01-01", url)
    t.equal(t.ok("ls", "-R", url), b"a/b\na/c\n", "nothing is so old")
    t.ok("clear", "-q", "--yes", url)
    t.equal(t.ok("ls", "-R", url), b"", "clear")
    for command in ["reindex"], ["trim"]:
        done = t.run(*command, url)
        t.equal(done.returncode != 0, True, done)
    t.refused(t.DATAERR, "recovers by itself",
              args=["recover", "--rebuild", "--to", "new.blt", url])
    t.refused(t.USAGE, "--buckets: is for booklet stores; a store in PostgreSQL "
              "has", args=["create", "-b", "3", server.url(store="x")])
    t.refused(t.DATAERR, "has no databases in it; say store=NAME",
              args=["ls", "--db", "x", url])


def copies(server, where):
    """Both ways, with all times; what a copy holds does not depend on where."""
    url, path = server.url(store="copied"), os.path.join(where, "kv.blt")
    t.ok("create", "-k", "bytes", path)
    values = {key: b"v" * i for i, key in enumerate(KEYS)}
    values |= {b"n%d" % n: os.urandom(n)
               for n in (0, 1, 262144, 262145, 5 << 20, 20 << 20)}
    t.load(path, {k: v for k, v in values.items() if k != b"d/"} | {b"d/": b""})
    before = sorted(t.ok("dump", path).splitlines())
    t.ok("copy", "-q", path, url)
    t.equal(sorted(t.ok("dump", url).splitlines()), before, "a copy there")
    t.ok("check", "-q", url)
    t.refused(t.CANTCREAT, "exists already", args=["copy", path, url])
    t.ok("copy", "-q", "-f", path, url)
    back = os.path.join(where, "back.blt")
    t.ok("copy", "-q", url, back)
    t.equal(sorted(t.ok("dump", back).splitlines()), before, "and back")
    t.equal(server.sql("select count(*) from bltfs.store where name like '~%'",
                       "blt"), [("0",)], "nothing is left")
    again = server.url(store="again")
    t.ok("create", again)
    t.ok("load", "-q", again, stdin=b"\n".join(before) + b"\n")
    t.equal(sorted(t.ok("dump", again).splitlines()), before, "load")
    t.refused(t.DATAERR, "cannot be a store of the engine booklet",
              args=["copy", "-e", "booklet", path, server.url(store="z")])
    long = os.path.join(where, "long.blt")
    t.ok("create", "-k", "bytes", long)
    t.load(long, {b"k" * 2049: b"v"})
    t.refused(t.DATAERR, "of the engine postgresql takes",
              args=["copy", long, server.url(store="long")])
    t.refused(t.NOINPUT, "no store of the name long",
              args=["ls", server.url(store="long")])


def killed(server, where):
    """A copy that is killed leaves nothing under its name, and a prune finds what
    there is; a copy over a store leaves that."""
    path, url = os.path.join(where, "big.blt"), server.url(store="killed")
    t.ok("create", "-k", "bytes", path)
    t.load(path, {b"key %d" % i: b"v" * 3000 for i in range(20000)})
    for args in ([], ["-f"]):
        if args:
            t.ok("create", url)
            t.ok("put", url, "old", stdin=b"value")
        with subprocess.Popen([t.BLT, "copy", "-q", *args, path, url]) as copy:
            # of another transaction than that of its name
            pglib.until("rows of the copy", lambda: server.sql(
                "select 1 from bltfs.kv where store in (select id from "
                "bltfs.store where name like '~%') limit 1", "blt"))
            copy.kill()
        t.equal(copy.returncode, -signal.SIGKILL, "killed in the middle")
        if args:
            t.equal(t.items(url), {b"old": b"value"}, "what was there")
        else:
            t.refused(t.NOINPUT, "no store of the name killed", args=["ls", url])
        keep = server.url(store="keep")
        t.ok("create", keep)
        t.ok("prune", "-q", keep)
        left = "select count(*) from bltfs.store where name like '~%'"
        t.equal(server.sql(left, "blt"), [("1",)], "it may be made still")
        server.sql("update bltfs.store set created = 1 where name like '~%'",
                   "blt")
        server.sql("update bltfs.done set at = now() - interval '2 hours'", "blt")
        t.ok("prune", "-q", keep)
        t.equal(server.sql(left, "blt"), [("0",)], "nobody makes it")
        t.equal(server.sql("select count(*) from bltfs.kv where store not in "
                           "(select id from bltfs.store)", "blt"), [("0",)],
                "no rows of nobody's")


def orphans(server):
    """Chunks that no key names go behind a day."""
    url, day = server.url(store="orphans"), 86400
    t.ok("create", url)
    t.ok("put", url, "named", stdin=b"v" * 700000)
    now = int(server.sql("select extract(epoch from now())::int8")[0][0])
    for age in day // 2, 2 * day:
        server.sql(f"insert into bltfs.chunk values ({now - age << 29}, 0, 'x')",
                   "blt")
    server.sql(f"update bltfs.chunk set blob = blob - ({2 * day}::int8 << 29) "
               "where blob = (select blob from bltfs.kv where k = 'named')", "blt")
    server.sql(f"update bltfs.kv set blob = blob - ({2 * day}::int8 << 29) "
               "where k = 'named'", "blt")
    t.ok("prune", "-q", url)
    t.equal(server.sql("select count(*) from bltfs.chunk where v = 'x'", "blt"),
            [("1",)], "of two orphans one is old")
    t.equal(t.ok("get", url, "named"), b"v" * 700000, "what a key names")


def lengths(server):
    """Values and keys at the edges, one by one."""
    url = server.url(store="lengths")
    t.ok("create", url)
    for n in 0, 1, 262144, 262145, 20 << 20:
        value = os.urandom(n)
        t.ok("put", url, "v", stdin=value)
        t.equal(t.ok("get", url, "v") == value, True, f"{n} bytes")
        t.equal(t.mapped(url, "--builtin", "identity")[0][0], 1, "mapped")
        t.equal(t.ok("get", url, "v") == value, True, f"{n} bytes, mapped")
    for name in "k" * 2048, "k", "d/e", "d":
        t.ok("put", "--raw", url, name, stdin=name.encode())
        t.equal(t.ok("get", "--raw", url, name), name.encode(), "a key")
    done = t.run("put", "--raw", url, "k" * 2049, stdin=b"x")
    t.equal((done.returncode, b"has at most 2048 bytes" in done.stderr),
            (t.DATAERR, True), done)
    t.refused(t.NOT_FOUND, "no such key", args=["get", "--raw", url, "k" * 2049])
    t.ok("del", url, "d")
    t.equal(t.ok("get", url, "d/e"), b"d/e", "what stands below")


def many(server):
    """Names of a directory, beside keys that are directories, too."""
    url = server.url(store="many")
    t.ok("create", url)
    found = {b"d/f%d" % i: b"" for i in range(8500)}
    found |= {b"d/s%d/%d" % (i, j): b"x" for i in range(1500) for j in range(3)}
    found |= {b"d/f7/below": b"", b"d/f7!": b""}
    t.load(url, found)
    names = {k.split(b"/")[1] for k in found} | {b"f7%"}
    t.equal(sorted(t.ok("ls", url, "d").split()), sorted(names), "all names")
    t.equal(len(t.ok("ls", "-R", url).split()), len(found), "all keys")
    t.ok("create", "--force", url)
    t.equal(t.ok("ls", "-R", url), b"", "none of more than go at once")


def refusals(server):
    """Who: what: why; what to do; and no secret."""
    url = server.url(store="main")
    secret = t.refused(t.DATAERR, "holds a password", "~/.pgpass", args=[
        "ls", pglib.url(server, password="sEcReT")]).stderr
    assert b"sEcReT" not in secret, secret
    for bad, text in (("store=", "expected is a name"),
                      ("timeo=0", "expected are seconds"),
                      ("connections=x", "expected is a number"),
                      ("nonsense=1", "the URL cannot be understood")):
        t.refused(t.DATAERR, text, args=["ls", url + "&" + bad])
    t.refused(t.IOERR, "the server does not answer", "the server cannot be used",
              args=["ls", pglib.url(server, host="/nowhere", timeo="4")])
    t.refused(t.NOPERM, "the server refuses", "role \"stranger\" does not exist",
              args=["ls", pglib.url(server, role="stranger")])
    t.refused(t.NOINPUT, "the server has no such database", "createdb",
              args=["ls", pglib.url(server, database="nothing")])
    server.role("guest")
    t.refused(t.NOPERM, "permission denied",
              args=["ls", pglib.url(server, role="guest", store="main")])
    t.refused(t.NOPERM, "the server refuses", "SSL",
              args=["ls", pglib.url(server, tcp=True, sslmode="verify-full")])
    # one that may read, and no more
    server.sql("grant usage on schema bltfs to guest", "blt")
    server.sql("grant select on all tables in schema bltfs to guest", "blt")
    guest = pglib.url(server, role="guest", store="main")
    t.ok("put", url, "a", stdin=b"kept")
    t.equal(t.ok("get", guest, "a"), b"kept", "read")
    t.refused(t.NOPERM, "ermission denied", args=["put", guest, "a"])
    t.refused(t.NOPERM, "ermission denied", args=["clear", "--yes", guest])
    t.refused(t.NOPERM, "ermission denied", args=[
        "create", pglib.url(server, role="guest", store="guests")])
    t.equal(t.ok("get", url, "a"), b"kept", "nothing is lost")
    server.sql("update bltfs.store set version = 99 where name = 'many'", "blt")
    t.refused(t.DATAERR, "its tables are of version 99",
              args=["ls", server.url(store="many")])
    with open(server.tls(["DNS:elsewhere"]), "rb"):
        t.refused(t.NOPERM, "the server refuses", "certificate", args=[
            "ls", pglib.url(server, tcp=True, sslmode="verify-full")])
        for root, how, text in (("/nowhere", "verify-ca", "root certificate file"),
                                (server.path + "/root.crt", "verify-full",
                                 "does not match host name")):
            t.refused(t.NOPERM, "the server refuses", text, args=[
                "ls", pglib.url(server, tcp=True, sslmode=how, store="main",
                                sslrootcert=root)])
        t.ok("ls", pglib.url(server, tcp=True, sslmode="verify-ca", store="main",
                             sslrootcert=server.path + "/root.crt"))
    server.connection_limit(0)
    t.refused(t.IOERR, "too many connections",
              args=["ls", server.url(store="main", timeo="1")])
    server.connection_limit(-1)
    server.hba("local all all scram-sha-256")
    server.role("secretive", password="pw")
    t.refused(t.NOPERM, "the server refuses", "no password supplied",
              args=["ls", pglib.url(server, role="secretive")])
    done = t.run("ls", pglib.url(server, role="secretive"),
                 env={**os.environ, "PGPASSWORD": "wrong"})
    t.equal((done.returncode, b"authentication failed" in done.stderr),
            (t.NOPERM, True), done)


def damaged(server):
    """A chunk that is gone, and one too many."""
    url = server.url(store="damaged")
    t.ok("create", url)
    t.ok("put", url, "long", stdin=b"v" * 700000)
    t.ok("put", url, "short", stdin=b"v")
    server.sql("delete from bltfs.chunk where n = 1 and blob = (select blob "
               "from bltfs.kv where k = 'long')", "blt")
    server.sql("update bltfs.kv set len = 5 where k = 'short'", "blt")
    done = t.run("check", url)
    t.equal(done.returncode != 0, True, done)
    said = done.stdout.decode()
    assert "key long: its value has 437856 bytes in 2 chunks" in said, said
    assert "key short: its value is not as long as its row says" in said, said


def main():
    pglib.need()
    where = t.directory()
    server = pglib.Server(tcp=True)
    commands(server, where)
    copies(server, where)
    killed(server, where)
    orphans(server)
    lengths(server)
    many(server)
    damaged(server)
    refusals(server)


if __name__ == "__main__":
    sys.exit(main())
