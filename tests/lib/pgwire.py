"""pgwire - PostgreSQL's protocol, version 3, as far as the tests need it.

    with Client(socket_path, "postgres", "blt") as admin:
        rows = admin.query("select 1")       # [("1",)]

Client is for a role that the server trusts: it sends no password.  It speaks the
simple protocol, and every value is text.  Messages is what a proxy sees: it cuts a
stream of bytes into messages.  Neither is for more than one thread.
"""

import socket
import struct

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102


class ServerError(Exception):
    """An error that the server reported; sqlstate is its code."""

    def __init__(self, fields):
        super().__init__(f"{fields.get('C')}: {fields.get('M')}")
        self.sqlstate = fields.get("C")
        self.message = fields.get("M")


def connect(address, timeout=None):
    """A connected socket; address is the path of a socket or (host, port)."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    try:
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def message(kind, body=b""):
    """A message; that which starts a connection has no kind (b"")."""
    return kind + struct.pack(">I", len(body) + 4) + body


def startup(user, database):
    names = (b"user", user.encode(), b"database", database.encode())
    return message(b"", struct.pack(">I", 3 << 16) +
                   b"".join(name + b"\0" for name in names) + b"\0")


class Messages:
    """Cuts a stream into messages.  starts: the first ones have no kind, as a
    client's; they are given with the kind b"" and their code as text."""

    def __init__(self, starts):
        self.starts = starts
        self.rest = bytearray()

    def feed(self, data):
        """[(kind, body)] of the messages that data completes."""
        self.rest += data
        found, at = [], 0
        while True:
            head = at + (0 if self.starts else 1)
            if len(self.rest) < head + 4:
                break
            size, = struct.unpack_from(">I", self.rest, head)
            end = head + size
            if len(self.rest) < end:
                break
            kind = b"" if self.starts else bytes(self.rest[at:head])
            body = bytes(self.rest[head + 4:end])
            if self.starts:
                code, = struct.unpack_from(">I", body)
                self.starts = code in (SSL_REQUEST, GSS_REQUEST)
            found.append((kind, body))
            at = end
        del self.rest[:at]
        return found


class Client:
    """A connection of a trusted role."""

    def __init__(self, address, user, database, timeout=60):
        self.sock = connect(address, timeout)
        self.messages = Messages(starts=False)
        self.waiting = []
        try:
            self.sock.sendall(startup(user, database))
            self._answer()
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.sock.sendall(message(b"X"))
        except OSError:
            pass  # the server ended first
        self.sock.close()

    def query(self, sql):
        """The rows of the last statement, as tuples of str or None."""
        self.send(sql)
        return self._answer()

    def send(self, sql):
        """Only sends it; answer() waits for the rows."""
        self.sock.sendall(message(b"Q", sql.encode() + b"\0"))

    def answer(self):
        return self._answer()

    def _next(self):
        while not self.waiting:
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError("the server closed the connection")
            self.waiting = self.messages.feed(data)
        return self.waiting.pop(0)

    def _answer(self):
        """Reads until the server is ready for the next statement."""
        rows, error = [], None
        while True:
            kind, body = self._next()
            if kind == b"T":
                rows = []
            elif kind == b"D":
                rows.append(row_of(body))
            elif kind == b"E":
                error = ServerError(fields_of(body))
                if body.startswith((b"SFATAL", b"SPANIC")):
                    raise error
            elif kind == b"R" and body[:4] != b"\0\0\0\0":
                raise AssertionError("the server does not trust this role")
            elif kind == b"Z":
                if error:
                    raise error
                return rows


def row_of(body):
    """The columns of a DataRow."""
    count, = struct.unpack_from(">H", body)
    at, columns = 2, []
    for _ in range(count):
        size, = struct.unpack_from(">i", body, at)
        at += 4
        columns.append(None if size < 0 else
                       body[at:at + size].decode(errors="surrogateescape"))
        at += max(size, 0)
    return tuple(columns)


def fields_of(body):
    """The fields of an ErrorResponse, by their letters."""
    return {field[:1].decode(): field[1:].decode(errors="replace")
            for field in body.split(b"\0") if field}
