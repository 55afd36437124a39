"""The changes of one commit, worked out against a copy of what is committed."""

import form
from form import GROWTH, HEAD, State, p, u


def layout(v):
    """n_buckets, index position, first data block."""
    nb, unset = u(v, 21, 4), (0, 0x303030303030)
    io, first = u(v, 65, 6), u(v, 71, 6)
    return (nb, HEAD if io in unset else io,
            HEAD + 6 * nb if first in unset else first)


def entry(v, state, h, bugs=()):
    """Where the bucket of a hash is: while the index grows, in either."""
    nb, io, _ = layout(v)
    i = form.bucket(h, nb)
    if state.kind == GROWTH and i < state.moved and "one_index" not in bugs:
        return state.pos + 6 * form.bucket(h, state.n)
    return io + 6 * i


def find(v, state, h, bugs=()):
    """(position of the pointer, block), block 0 if there is none."""
    at = entry(v, state, h, bugs)
    while True:
        b = u(v, at, 6)
        if b <= 1:
            return at, 0
        if v[b:b + 13] == h:
            return at, b
        at = b + 13


class Plan:
    def __init__(self, store):
        self.s, self.geo, self.base = store, store.geo, len(store.view)
        self.v = bytearray(store.view)
        self.changes, self.n_keys = {}, store.n_keys
        self.state, self.hole = store.state, []

    def change(self, pos, b):
        self.v[pos:pos + len(b)] = b
        self.changes[pos] = bytes(b)

    def fields(self, pos, masked=True):
        """Next pointer and time of a block of this commit, or of one whose
        bytes are elsewhere: the record carries them."""
        if "unmasked_next" not in self.s.bugs or not masked:
            self.change(pos + 13, self.v[pos + 13:pos + 19])
        if self.geo.ts and ("unmasked_ts" not in self.s.bugs or not masked):
            self.change(pos + 25, self.v[pos + 25:pos + 32])

    def head(self, pos, b):
        """A block's head in place, in pieces that later changes meet."""
        for a, z in ((0, 13), (13, 19), (19, 25), (25, 32)):
            if b[a:z]:
                self.change(pos + a, b[a:z])

    # ---- operations ----

    def append(self, b):
        pos = len(self.v)
        self.v += b
        return pos

    def find(self, h):
        return find(self.v, self.state, h, self.s.bugs)

    def link(self, h, pos, masked=True):
        """Makes the block at pos the one of its key."""
        at, old = self.find(h)
        if old:
            nxt = u(self.v, old + 13, 6)
        else:
            at = entry(self.v, self.state, h, self.s.bugs)
            nxt = max(1, u(self.v, at, 6))
            self.n_keys += 1
        self.v[pos + 13:pos + 19] = p(nxt, 6)
        self.fields(pos, masked)
        self.change(at, p(pos, 6))
        if old:
            self.change(old + 13, p(0, 6))

    def put(self, key, value, ts):
        h = form.keyhash(key)
        self.link(h, self.append(
            self.geo.head(h, 1, len(key), len(value), ts) + key + value))

    def delete(self, key):
        at, pos = self.find(form.keyhash(key))
        self.change(at, p(max(1, u(self.v, pos + 13, 6)), 6))
        self.change(pos + 13, p(0, 6))
        self.n_keys -= 1
        return pos

    def touch(self, key, ts):
        if self.geo.ts:
            self.change(self.find(form.keyhash(key))[1] + 25, p(ts, 7))

    def rename(self, old, new):
        g, pos = self.geo, self.delete(old)
        klen, n = u(self.v, pos + 19, 2), g.length(self.v, pos)
        ts = u(self.v, pos + 25, 7) if g.ts else 0
        self.put(new, bytes(self.v[pos + g.hl + klen:pos + n]), ts)

    def rekey(self, old, new, pad):
        """The block of old becomes that of new, around the same value: the
        dead block in front gives way, or takes in what is left over."""
        g, h, v = self.geo, form.keyhash(new), self.v
        at, pos = self.find(form.keyhash(old))
        value, size = pos + g.hl + u(v, pos + 19, 2), u(v, pos + 21, 4)
        ts = u(v, pos + 25, 7) if g.ts else 0
        self.change(at, p(max(1, u(v, pos + 13, 6)), 6))
        to = value - len(new) - g.hl
        self.resize(pad, to - pad)
        at, over = self.find(h)
        if over:
            nxt = u(v, over + 13, 6)
            self.change(over + 13, p(0, 6))
            self.n_keys -= 1
        else:
            at = entry(v, self.state, h, self.s.bugs)
            nxt = max(1, u(v, at, 6))
        self.head(to, g.head(h, nxt, len(new), size, ts))
        self.change(to + g.hl, new)
        self.change(at, p(to, 6))

    def adopt(self, key, pos, ts):
        """A block that has been inside a dead one until now."""
        if self.geo.ts:
            self.v[pos + 25:pos + 32] = p(ts, 7)
        self.link(form.keyhash(key), pos, masked=False)

    def resize(self, pos, n):
        """A dead block has another length from now on."""
        self.change(pos + 19, self.geo.dead(n)[19:25])

    # ---- maintenance ----

    def now(self, state):
        self.state = state

    def raw(self, pos, b):
        self.change(pos, b)

    def cover(self, pos, n):
        for at, b in self.geo.cover(pos, n):
            self.head(at, b)

    def dead(self, n, hole):
        """Dead blocks at the end; hole: but for their heads the file has
        nothing there."""
        heads = self.geo.cover(self.append(bytes(n)), n)
        for pos, b in heads:
            self.v[pos:pos + len(b)] = b
            self.fields(pos)
        self.hole += heads if hole else []

    def away(self, pos):
        """What lives there makes room: its key, value and time stay."""
        if u(self.v, pos + 13, 6):
            to = self.append(bytes(
                self.v[pos:pos + self.geo.length(self.v, pos)]))
            self.link(bytes(self.v[to:to + 13]), to)

    def moved(self, src, dst, n, in_zone):
        """The bytes of the block at src are at dst, too: that is the one from
        now on, with next and time as they are now; dead, if it has died.  In
        the zone, the old one is no block any more; elsewhere it is dead."""
        self.v[dst:dst + n] = self.v[src:src + n]
        if not u(self.v, src + 13, 6):
            return self.change(dst + 13, p(0, 6))
        at, pos = self.find(bytes(self.v[src:src + 13]))
        assert pos == src, "a lookup finds another block"
        self.fields(dst, masked=False)
        self.change(at, p(dst, 6))
        if not in_zone:
            self.change(src + 13, p(0, 6))

    def move_buckets(self, count):
        nb, io, _ = layout(self.v)
        st = self.state
        end = min(nb, st.moved + count)
        for i in range(st.moved, end):
            at = u(self.v, io + 6 * i, 6)
            while at > 1:
                nxt = u(self.v, at + 13, 6)
                to = st.pos + 6 * form.bucket(bytes(self.v[at:at + 13]), st.n)
                self.change(at + 13, p(max(1, u(self.v, to, 6)), 6))
                self.change(to, p(at, 6))
                at = nxt
        if "moved_early" in self.s.bugs:
            end = min(nb, end + 1)
        self.state = State(GROWTH, st.pos, st.n, end)
