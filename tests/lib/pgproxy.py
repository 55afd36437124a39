"""pgproxy - a proxy between clients and a PostgreSQL server: it counts what goes
over the wire, and breaks it.

    proxy = Proxy(server)                    a pglib.Server
    proxy.url(store="kv")                    what the client is given
    with proxy.counting() as count:
        ...
    count.round_trips, count.messages["Q"], count.connections

A round trip: the client sent something that is answered, and waits for the server.
While it counts, the proxy keeps the answers until all are there and the client has
been silent for QUIET seconds, so that a pipeline counts as one however its packets
meet those of the server; the start of a connection is not counted.  counting(hold=False)
keeps nothing and counts changes of direction: no fewer than round trips.

    proxy.cut()             resets all connections; new ones are taken
    proxy.refuse()          ... and refuses new ones; accept() ends that
    proxy.blackhole()       forwards nothing more, as a cut cable does; forward()
    proxy.delay = 0.01      seconds that each packet takes
    proxy.lose_answer(b"COMMIT")    forwards a message of a client that has these bytes,
                            resets the connection when the server answers, and sets
                            proxy.lost, an Event

Everything is done by a thread of its own; all functions are for any thread.
"""

import collections
import contextlib
import os
import selectors
import shutil
import socket
import struct
import tempfile
import threading
import time
import urllib.parse

from pgwire import Messages, connect

QUIET = 0.02
GIVE_UP = 0.3  # seconds of silence after which answers go although some are missing

# Messages of a client that the server answers at once; of those, the ones after
# which it says that it is ready.
ASKS = (b"Q", b"S", b"H", b"F", b"c", b"f")
ENDS = (b"Q", b"S", b"F")
RESET = struct.pack("ii", 1, 0)


class Count:
    """What was counted; messages: of clients, by their kind, but for the last one
    of a connection."""

    def __init__(self, hold):
        self.hold = hold
        self.round_trips = 0
        self.connections = 0
        self.messages = collections.Counter()
        self.sent = self.received = 0  # bytes of the clients

    def __repr__(self):
        return (f"{self.round_trips} round trips, {self.connections} connections,"
                f" {dict(self.messages)}")


class Pipe:
    """One direction: the bytes that wait to be written, and when they may be."""

    def __init__(self, sock):
        self.sock = sock
        self.parts = collections.deque()
        self.ended = self.done = False

    def add(self, data, due):
        self.parts.append((due, memoryview(data)))

    def flush(self, now):
        """Writes what is due; the time when more is, or None."""
        while self.parts:
            due, data = self.parts[0]
            if due > now:
                return due
            try:
                count = self.sock.send(data)
            except BlockingIOError:
                return now + 0.001
            self.parts.popleft()
            if count < len(data):
                self.parts.appendleft((due, data[count:]))
        if self.ended and not self.done:
            self.done = True
            self.sock.shutdown(socket.SHUT_WR)
        return None


class Link:
    """A connection of a client, and ours to the server."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        for sock in (client, server):
            sock.setblocking(False)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.up, self.down = Pipe(server), Pipe(client)
        self.asked = Messages(starts=True)
        self.answered = Messages(starts=False)
        self.opaque = False     # TLS: nothing can be read
        self.plain_byte = False  # the server answers with a byte that is no message
        self.ready = False      # the start is over
        self.expected = 0       # how often the server will say that it is ready
        self.waits = False      # the client's turn is counted already
        self.last = 0.0         # when the client sent something
        self.kept = []          # answers
        self.losing = False


class Proxy:
    """See above.  server: a pglib.Server; tcp: clients connect by TCP, and so
    does the proxy; listen: on this address."""

    def __init__(self, server, tcp=False, listen="127.0.0.1"):
        self.where = server
        self.tcp = tcp
        self.host = listen
        self.delay = 0.0
        self.lost = threading.Event()
        self.lock = threading.RLock()
        self.links = []
        self.count = None
        self.dark = False
        self.pattern = None
        self.port = server.port
        self.path = None
        self.listener = None
        self.selector = selectors.DefaultSelector()
        self.wake_r, self.wake_w = os.pipe()
        os.set_blocking(self.wake_w, False)
        self.selector.register(self.wake_r, selectors.EVENT_READ, None)
        if not tcp:
            self.path = tempfile.mkdtemp(prefix="proxy.", dir=server.base.path)
            os.chmod(self.path, 0o755)
        else:
            self.port = 0
        self.ending = False
        self.accept()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def url(self, role="blt", database="blt", password=None, **parameters):
        who = role if password is None else f"{role}:{password}"
        host = f"{self.host}:{self.port}" if self.tcp else ""
        if not self.tcp:
            parameters = {"host": self.path, "port": self.port, **parameters}
        query = urllib.parse.urlencode(parameters, safe="/,")
        return (f"postgresql://{who}@{host}/{database}"
                + (query and "?" + query))

    def redirect(self, server):
        """Connects new clients with another server."""
        with self.lock:
            self.where = server

    # ---- what a test does to it ----

    def accept(self):
        """Takes new connections."""
        with self.lock:
            if self.listener:
                return
            family = socket.AF_INET if self.tcp else socket.AF_UNIX
            self.listener = socket.socket(family, socket.SOCK_STREAM)
            if self.tcp:
                self.listener.setsockopt(socket.SOL_SOCKET,
                                         socket.SO_REUSEADDR, 1)
                self.listener.bind((self.host, self.port))
                self.port = self.listener.getsockname()[1]
            else:
                name = f"{self.path}/.s.PGSQL.{self.port}"
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)
                self.listener.bind(name)
                os.chmod(name, 0o777)
            self.listener.listen(64)
            self.listener.setblocking(False)
            self.selector.register(self.listener, selectors.EVENT_READ, None)
            self._wake()

    def refuse(self):
        with self.lock:
            if self.listener:
                self.selector.unregister(self.listener)
                self.listener.close()
                self.listener = None
        self.cut()

    def cut(self):
        with self.lock:
            for link in list(self.links):
                self._close(link)

    def blackhole(self):
        with self.lock:
            self.dark = True

    def forward(self):
        """Ends blackhole(); what was kept goes on."""
        with self.lock:
            self.dark = False
            self._wake()

    def lose_answer(self, pattern):
        with self.lock:
            self.lost.clear()
            self.pattern = pattern

    @contextlib.contextmanager
    def counting(self, hold=True):
        with self.lock:
            self.count = count = Count(hold)
            for link in self.links:
                link.waits = False
        try:
            yield count
        finally:
            with self.lock:
                self.count = None
                for link in self.links:
                    self._release(link, time.monotonic())
                self._wake()

    def close(self):
        self.refuse()
        with self.lock:
            self.ending = True
            self._wake()
        self.thread.join()
        os.close(self.wake_w)
        os.close(self.wake_r)
        self.selector.close()
        if self.path:
            shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- the thread; its functions run under the lock ----

    def _wake(self):
        with contextlib.suppress(BlockingIOError):
            os.write(self.wake_w, b".")

    def _run(self):
        timeout = None
        while True:
            ready = self.selector.select(timeout)
            with self.lock:
                if self.ending:
                    return
                for key, _ in ready:
                    if key.fd == self.wake_r:
                        os.read(self.wake_r, 4096)
                    elif key.fileobj is self.listener:
                        self._take()
                    elif key.data:
                        self._read(key.data, key.fileobj)
                timeout = self._write(time.monotonic())

    def _take(self):
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        try:
            server = connect(("127.0.0.1", self.where.port) if self.tcp
                             else self.where.socket, timeout=5)
        except OSError:
            client.close()  # as a server that is down, more or less
            return
        link = Link(client, server)
        self.links.append(link)
        for sock in (client, server):
            self.selector.register(sock, selectors.EVENT_READ, link)
        if self.count:
            self.count.connections += 1

    def _close(self, link):
        if link not in self.links:
            return
        self.links.remove(link)
        for sock in (link.client, link.server):
            with contextlib.suppress(KeyError, ValueError):
                self.selector.unregister(sock)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            sock.close()

    def _read(self, link, sock):
        if link not in self.links:
            return
        try:
            data = sock.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            self._close(link)
            return
        if not data:
            self.selector.unregister(sock)
            (link.up if sock is link.client else link.down).ended = True
        elif sock is link.client:
            self._from_client(link, data)
        else:
            self._from_server(link, data)

    def _from_client(self, link, data):
        now = time.monotonic()
        link.last = now
        if self.pattern and self.pattern in data:
            self.pattern, link.losing = None, True
        found = [] if link.opaque else link.asked.feed(data)
        for kind, _ in found:
            if kind == b"":
                # a request for TLS is answered with one byte
                link.plain_byte = link.asked.starts
            if not link.ready:
                continue
            link.expected += kind in ENDS
            if self.count and kind != b"X":
                self.count.messages[kind.decode()] += 1
                if kind in ASKS and not link.waits:
                    link.waits = True
                    self.count.round_trips += 1
        if self.count:
            self.count.sent += len(data)
        link.up.add(data, now + self.delay)

    def _from_server(self, link, data):
        if link.losing:
            self._close(link)
            self.lost.set()
            return
        now = time.monotonic()
        self._understand(link, data)
        if self.count:
            self.count.received += len(data)
        link.kept.append((now, data))
        if not (self.count and self.count.hold and link.ready):
            self._release(link, now)

    def _understand(self, link, data):
        if link.opaque:
            return
        if link.plain_byte:
            link.plain_byte = False
            link.opaque = data[:1] in b"SG"
            data = data[1:]
        for kind, _ in [] if link.opaque else link.answered.feed(data):
            if kind == b"Z" and not link.ready:
                link.ready = True
            elif kind == b"Z":
                link.expected -= 1

    def _release(self, link, now):
        """Lets the client have its answers: its turn is over."""
        if link.kept:
            link.waits = False
        for when, data in link.kept:
            link.down.add(data, max(when + self.delay, now))
        link.kept = []

    def _write(self, now):
        """Forwards what is due; how long until more may be."""
        if self.dark:
            return None
        times = []
        for link in list(self.links):
            if link.kept:
                quiet = QUIET if link.expected <= 0 else GIVE_UP
                since = max(link.last, link.kept[-1][0] if link.expected > 0
                            else 0)
                if now - since >= quiet or link.down.ended:
                    self._release(link, now)
                else:
                    times.append(since + quiet)
            try:
                times += [due for due in (link.up.flush(now),
                                          link.down.flush(now)) if due]
            except OSError:
                self._close(link)
                continue
            if link.up.done and link.down.done:
                self._close(link)
        return max(min(times) - time.monotonic(), 0) if times else None
