"""Bytes of a booklet file and of what the commit protocol adds to it:
doc/durability.md has the tables.  No I/O, no state."""

import hashlib

MAGIC_VAR = bytes.fromhex("4f7e8a3fe75c4750ad430a728fe31cfe")
MAGIC_FIX = bytes.fromhex("04d3b294f2104162958d0400738c9e0a")
HEAD = 200
SLOT_AT, SLOT_LEN = 77, 60
MARK = b"\x89bltlog\n"
RECORD_LEN = 80         # before the lists
NONE, GROWTH, ZONE = 0, 1, 2
HAS_HEADER = 1
SPAN = 110      # extra bytes of a dead block in a fixed-length file; 65,535 in
#                 real files: small here, so that records span blocks


def u(b, pos, n):
    return int.from_bytes(b[pos:pos + n], "little")


def p(value, n):
    return value.to_bytes(n, "little")


def sum64(*parts):
    """Stands in for XXH3-64."""
    h = hashlib.blake2s(digest_size=8)
    for part in parts:
        h.update(part)
    return h.digest()


def keyhash(key):
    return hashlib.blake2s(key, digest_size=13).digest()


def bucket(h, n_buckets):
    return int.from_bytes(h, "little") % n_buckets


class Geo:
    """What follows from the header's fixed fields."""

    def __init__(self, head, bugs=()):
        self.bugs = bugs
        self.fixed = head[:16] == MAGIC_FIX
        self.value_len = u(head, 37, 4) if self.fixed else 0
        self.ts = not self.fixed and head[41] == 1
        self.hl = 21 if self.fixed else 32 if self.ts else 25
        # Python gives a dead block a key of at least one byte; so do we.
        self.least = self.hl + 1 + self.value_len
        self.most = self.least - 1 + SPAN if self.fixed else 1 << 32

    def length(self, b, pos):
        n = self.hl + u(b, pos + 19, 2)
        return n + (self.value_len if self.fixed else u(b, pos + 21, 4))

    def head(self, h, nxt, key_len, value_len, ts):
        b = h + p(nxt, 6) + p(key_len, 2)
        if not self.fixed:
            b += p(value_len, 4) + (p(ts, 7) if self.ts else b"")
        return b

    def dead(self, n):
        """Header of one dead block of n bytes."""
        if self.fixed:
            return self.head(bytes(13), 0, n - self.hl - self.value_len, 0, 0)
        return self.head(bytes(13), 0, 1, n - self.hl - 1, 0)

    def cover(self, pos, n):
        """[(pos, header)] of dead blocks that fill n bytes; None: no sum of
        legal ones."""
        if n == 0:
            return []
        k = -(-n // self.most)
        if k * self.least > n:
            return None
        out, extra = [], n - k * self.least
        for _ in range(k):
            more = min(extra, self.most - self.least)
            out.append((pos, self.dead(self.least + more)))
            pos, extra = pos + self.least + more, extra - more
        return out

    def fits(self, n):
        return self.cover(0, n) is not None

    def any_dead(self):
        """From here on every length is a sum of legal dead blocks."""
        return (self.least // (self.most - self.least) + 1) * self.least

    def carry(self, payload):
        """A record's payload as dead blocks."""
        if not self.fixed:
            return self.dead(self.hl + len(payload)) + payload
        out, step = b"", SPAN + self.value_len
        for at in range(0, len(payload), step):
            part = payload[at:at + step]
            part += bytes(max(0, self.value_len + 1 - len(part)))
            out += self.dead(self.hl + len(part)) + part
        return out


class State:
    """What a maintenance step leaves half done in the file."""

    def __init__(self, kind=NONE, pos=0, n=0, moved=0):
        self.kind, self.pos, self.n, self.moved = kind, pos, n, moved

    def pack(self):
        return (p(self.kind, 1) + p(self.pos, 6) + p(self.n, 4)
                + p(self.moved, 4))

    @classmethod
    def unpack(cls, b, at):
        return cls(b[at], u(b, at + 1, 6), u(b, at + 7, 4), u(b, at + 11, 4))


class Slot:
    def __init__(self, seq, salt, rec_seq, start, n_keys, version, fill, state):
        self.seq, self.salt, self.rec_seq = seq, salt, rec_seq
        self.start = start
        self.n_keys, self.version, self.fill = n_keys, version, fill
        self.state = state

    def pack(self):
        b = (p(self.seq, 8) + self.salt + p(self.rec_seq, 8) + p(self.start, 6)
             + p(self.n_keys, 4) + p(self.version, 2) + p(self.fill, 1)
             + self.state.pack())
        return sum64(b) + b

    @classmethod
    def unpack(cls, head, which):
        b = bytes(head[SLOT_AT + which * SLOT_LEN:][:SLOT_LEN])
        if sum64(b[8:]) != b[:8]:
            return None
        return cls(u(b, 8, 8), b[16:24], u(b, 24, 8), u(b, 32, 6), u(b, 38, 4),
                   u(b, 42, 2), b[44], State.unpack(b, 45))


class Record:
    """One commit: what it appended, and what it changes in place.  start is
    where its batch begins; the record follows."""

    def __init__(self, salt, seq, start, n_keys, state, header, changes,
                 batch_len):
        self.salt, self.seq, self.start = salt, seq, start
        self.n_keys, self.state, self.header = n_keys, state, header
        self.changes, self.batch_len = changes, batch_len
        self.end = 0    # of batch and record; set by pack, parse

    def _payload(self):
        tail = self.header
        tail += b"".join(p(a, 6) + p(len(c), 2) + c
                         for a, c in self.changes.items())
        b = (MARK + bytes(8) + self.salt + p(self.seq, 8) + p(self.start, 6)
             + p(self.batch_len, 6) + p(self.n_keys, 4)
             + p(RECORD_LEN + len(tail), 4) + p(len(self.changes), 4)
             + p(HAS_HEADER if self.header else 0, 1) + self.state.pack()
             + bytes(8))
        assert len(b) == RECORD_LEN, len(b)
        return b + tail

    def size(self, geo):
        return len(geo.carry(self._payload()))

    def pack(self, geo, batch):
        blocks = bytearray(geo.carry(self._payload()))
        self.end = self.start + len(batch) + len(blocks)
        blocks[geo.hl + 8:geo.hl + 16] = self._sum(geo, blocks, batch)
        return bytes(blocks)

    def _sum(self, geo, blocks, batch):
        """Over the record and the batch, without the bytes of the batch that
        the change list carries, and what dead blocks hold that never lived:
        only those may ever change."""
        b, at = bytearray(batch), 0
        while at < len(b) and "sum_all" not in geo.bugs:
            n = geo.length(b, at)
            if b[at:at + 13] == bytes(13):
                b[at + geo.hl:at + n] = bytes(n - geo.hl)
            at += n
        for pos, c in self.changes.items():
            a = max(pos - self.start, 0)
            z = min(pos - self.start + len(c), len(b))
            if a < z:
                b[a:z] = bytes(z - a)
        return sum64(blocks, b)

    @classmethod
    def _find(cls, geo, b, start, salt, seq):
        """(position, payload so far) of the record behind the batch at start:
        over blocks, whose lengths never change while they are in the log."""
        at = start
        while at + geo.hl <= len(b):
            n = geo.length(b, at)
            if at + n > len(b):
                return None
            payload = b[at + geo.hl:at + n]
            if (b[at:at + 19] == bytes(19) and len(payload) >= RECORD_LEN
                    and payload[:8] == MARK and payload[16:24] == salt
                    and u(payload, 24, 8) == seq
                    and u(payload, 32, 6) == start
                    and u(payload, 38, 6) == at - start):
                return at, payload
            at += n
        return None

    @classmethod
    def _gather(cls, geo, b, at, payload):
        """(all of the payload, where its blocks end)"""
        at, want = at + geo.length(b, at), u(payload, 48, 4)
        while len(payload) < want:
            n = geo.length(b, at) if at + geo.hl <= len(b) else 0
            if not n or at + n > len(b) or b[at:at + 19] != bytes(19):
                return None
            payload, at = payload + b[at + geo.hl:at + n], at + n
        return payload, at

    @classmethod
    def parse(cls, geo, b, start, salt, seq, check=True):
        """The commit at start, or None: the log ends here."""
        found = cls._find(geo, b, start, salt, seq)
        whole = found and cls._gather(geo, b, *found)
        if not whole:
            return None
        (record, _), (payload, at) = found, whole
        r = cls._lists(payload, salt, seq, start)
        if r is None:
            return None
        r.end = at
        blocks = bytearray(b[record:at])
        said = bytes(blocks[geo.hl + 8:geo.hl + 16])
        blocks[geo.hl + 8:geo.hl + 16] = bytes(8)
        if check and r._sum(geo, blocks, b[start:record]) != said:
            return None
        if any(a + len(c) > r.end for a, c in r.changes.items()):
            return None
        return r

    @classmethod
    def _lists(cls, b, salt, seq, start):
        at, header, want = RECORD_LEN, b"", u(b, 48, 4)
        if b[56] & HAS_HEADER:
            header, at = b[at:at + HEAD], at + HEAD
        changes = {}
        for _ in range(u(b, 52, 4)):
            n = u(b, at + 6, 2)
            if at + 8 + n > want:
                return None
            changes[u(b, at, 6)] = b[at + 8:at + 8 + n]
            at += 8 + n
        if at != want:
            return None
        return cls(salt, seq, start, u(b, 44, 4), State.unpack(b, 57), header,
                   changes, u(b, 38, 6))
