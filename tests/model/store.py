"""The engine's commit protocol over a Disk: doc/durability.md, step by step.

view is the file as committed: what the mapping and the overlay show together.
A commit is appended to the disk at once; its in-place changes wait in unapplied
until a sync has made its record durable.
"""

import form
from disk import Failed
from form import GROWTH, HEAD, NONE, ZONE, Geo, Record, Slot, State, p, u

SIZES = (1, 3, 5, 100)      # the chain of index sizes, on the model's scale
CHECKPOINT = 1500           # bytes of log


class Hopeless(Exception):
    """Version 0 and no valid slot: blt recover --rebuild."""


class Plan:
    """The changes of one commit, worked out against a copy of the view."""

    def __init__(self, store, base):
        self.s, self.geo, self.base = store, store.geo, base
        self.v = bytearray(store.view)
        self.v.extend(bytes(base - len(self.v)))
        self.changes, self.n_keys = [], store.n_keys
        self.state, self.streams = store.state, []

    def change(self, pos, b):
        self.v[pos:pos + len(b)] = b
        self.changes.append((pos, bytes(b)))

    # ---- lookup ----

    def entry(self, h):
        """Where the bucket of a hash is."""
        nb, io, _ = self.s.layout(self.v)
        i, st = form.bucket(h, nb), self.state
        if st.kind == GROWTH and i < st.moved:
            return st.pos + 6 * form.bucket(h, st.n)
        return io + 6 * i

    def find(self, h, pos=None):
        """(position of the pointer, block), block 0 if there is none."""
        at = self.entry(h)
        while True:
            b = u(self.v, at, 6)
            if b <= 1:
                return at, 0
            if self.v[b:b + 13] == h and pos in (None, b):
                return at, b
            at = b + 13

    # ---- operations ----

    def append(self, b):
        pos = len(self.v)
        self.v += b
        return pos

    def link(self, h, pos, own):
        """Makes the block at pos the one of its key; own: where the part of it
        that may change later begins, and what follows there."""
        at, old = self.find(h)
        if old:
            nxt = u(self.v, old + 13, 6)
        else:
            at = self.entry(h)
            nxt = max(1, u(self.v, at, 6))
            self.n_keys += 1
        self.v[pos + 13:pos + 19] = p(nxt, 6)
        start, end = own
        if "unmasked_ts" in self.s.bugs:
            start, end = pos + 13, pos + 19
        self.change(start, self.v[start:end])
        self.change(at, p(pos, 6))
        if old:
            self.change(old + 13, p(0, 6))

    def put(self, key, value, ts, soft=False):
        """soft: a dead pad in front, so that a rename can rewrite the key."""
        h, g = form.keyhash(key), self.geo
        soft = soft and not self.s.behind   # there no length may change
        pad = g.least + 4 if soft else 0
        if soft:
            self.append(g.dead(pad) + bytes(pad - g.hl))
        pos = self.append(g.head(h, 1, len(key), len(value), ts) + key + value)
        if soft and "unmasked_soft" not in self.s.bugs:
            own = pos - pad, pos + g.hl + len(key)
        else:
            own = pos + 13, pos + g.hl
        self.link(h, pos, own)
        if soft:
            self.s.soft_new[pos] = pad

    def unlink(self, h):
        at, pos = self.find(h)
        self.change(at, p(max(1, u(self.v, pos + 13, 6)), 6))
        self.change(pos + 13, p(0, 6))
        self.n_keys -= 1
        return pos

    def delete(self, key):
        self.unlink(form.keyhash(key))

    def touch(self, key, ts):
        if self.geo.ts:
            pos = self.find(form.keyhash(key))[1]
            self.change(pos + 25, p(ts, 7))

    def rename(self, old, new):
        g = self.geo
        h, ho = form.keyhash(new), form.keyhash(old)
        pos = self.find(ho)[1]
        klen, n = u(self.v, pos + 19, 2), g.length(self.v, pos)
        value = bytes(self.v[pos + g.hl + klen:pos + n])
        ts = u(self.v, pos + 25, 7) if g.ts else 0
        pad = self.s.soft.get(pos, 0)
        left = pad + len(old) - len(new)
        self.unlink(ho)
        if not pad or not g.least <= left <= g.most or pos in self.s.moving:
            return self.put(new, value, ts)
        front = pos - pad
        to = front + left
        self.change(front, g.dead(left) + bytes(left - g.hl)
                    + g.head(h, 1, len(new), len(value), ts) + new)
        self.link(h, to, (to + 13, to + g.hl))
        self.s.soft_new[to] = left

    def stream_end(self, pos, size, key, value, ts):
        """The bytes are in their place already: give them their header."""
        g, h = self.geo, form.keyhash(key)
        b = g.head(h, 1, len(key), len(value), ts) + key
        self.change(pos, b)
        n = len(b) + len(value)
        self.v[pos + len(b):pos + n] = value
        for at, c in g.cover(pos + n, size - n):
            self.change(at, c)
        self.link(h, pos, (pos + 13, pos + g.hl))
        self.streams.append((pos + len(b), len(value), form.sum64(value)))

    def raw(self, changes):
        """Headers of dead blocks: they may swallow pads."""
        self.s.soft_new.update(dict.fromkeys(self.s.soft, 0))
        for pos, b in changes:
            self.change(pos, b)

    def move_to_end(self, pos):
        """A neighbour makes room: its key, value and time stay."""
        n = self.geo.length(self.v, pos)
        to = self.append(bytes(self.v[pos:pos + n]))
        self.relocated(pos, to)

    def relocated(self, src, dst):
        """The copy at dst takes over; next and time as they are now."""
        at = self.find(bytes(self.v[src:src + 13]), src)[0]
        self.change(dst + 13, self.v[src + 13:src + self.geo.hl])
        self.change(at, p(dst, 6))
        self.change(src + 13, p(0, 6))
        self.s.soft_new.update({src: 0, dst: 0})

    def relocate(self, chunk, covers):
        """Blocks whose bytes are at their targets; some may have died."""
        for src, dst, n in chunk:
            self.v[dst:dst + n] = self.v[src:src + n]
        for src, dst, n in chunk:
            if u(self.v, src + 13, 6):
                self.relocated(src, dst)
            else:
                self.change(dst + 13, p(0, 6))
                self.s.soft_new[dst] = 0
        self.raw(covers)

    def move_buckets(self, count):
        nb, io, _ = self.s.layout(self.v)
        st = self.state
        for i in range(st.moved, min(nb, st.moved + count)):
            at = u(self.v, io + 6 * i, 6)
            if st.n == nb:
                self.change(st.pos + 6 * i, p(max(1, at), 6))
                continue
            while at > 1:
                nxt = u(self.v, at + 13, 6)
                to = st.pos + 6 * form.bucket(bytes(self.v[at:at + 13]), st.n)
                self.change(at + 13, p(max(1, u(self.v, to, 6)), 6))
                self.change(to, p(at, 6))
                at = nxt
        self.state = State(GROWTH, st.pos, st.n, min(nb, st.moved + count))


class Store:
    def __init__(self, disk, rng, bugs=(), behind=False):
        """behind: a record follows its batch, else it stands in front."""
        self.disk, self.rng, self.bugs = disk, rng, frozenset(bugs)
        self.behind = behind
        self.on_append = self.on_sync = self.on_phase = None
        self.latched = False
        self.unapplied, self.soft, self.soft_new = [], {}, {}
        self.streams, self.moving = {}, set()   # position: length; positions
        self.state, self.slot, self.log = State(), None, 0
        self.geo = Geo(disk.cache)
        if u(disk.cache, 16, 2) == 0:
            self.recover()
        else:
            self.view = bytearray(disk.cache)
            self.n_keys = u(self.view, 33, 4)

    # ---- facts ----

    @staticmethod
    def layout(v):
        """n_buckets, index position, first data block."""
        nb, unset = u(v, 21, 4), (0, 0x303030303030)
        io, first = u(v, 65, 6), u(v, 71, 6)
        return (nb, HEAD if io in unset else io,
                HEAD + 6 * nb if first in unset else first)

    def regions(self):
        nb, io, first = self.layout(self.view)
        cut = [(io, io + 6 * nb)] if io >= first else []
        if self.state.kind == GROWTH:
            cut.append((self.state.pos, self.state.pos + 6 * self.state.n))
        at, out = first, []
        for a, z in sorted(cut):
            out.append((at, a))
            at = z
        return out + [(at, len(self.view))]

    def walk(self, at, end):
        while at < end:
            n = self.geo.length(self.view, at)
            yield at, n, u(self.view, at + 13, 6) != 0
            at += n

    # ---- the header ----

    def header(self, slot=None, where=None, version=0):
        head = bytearray(self.view[:HEAD])
        head[16:18] = p(version, 2)
        if slot:
            at = form.SLOT_AT + form.SLOT_LEN * where
            head[at:at + form.SLOT_LEN] = slot.pack()
        return head

    def write_header(self, head):
        self.disk.write(0, head)
        self.view[:HEAD] = head

    def hot(self):
        """Before the first append: from here on Python refuses the file."""
        fill = self.view[77]
        if fill not in (0, 0x30) or bytes(self.view[77:HEAD]) != bytes(
                [fill]) * 123:
            fill = 0
        self.slot = Slot(1, self.rng.randbytes(8), 1, len(self.view),
                         self.n_keys, u(self.view, 16, 2), fill, State())
        self.where, self.seq, self.log, self.first = 0, 1, 0, True
        self.write_header(self.header(self.slot, 0))
        if "no_hot_sync" not in self.bugs:
            self.fdatasync()

    def fdatasync(self):
        try:
            self.disk.sync()
        except Failed:
            self.latched = True
            raise

    # ---- commit, sync, checkpoint ----

    def commit(self, ops, reserve=0, tail=None, state=None, user=False):
        """ops: (name of a Plan method, arguments...).  tail(position): what
        stands at the start of the reserved space.  state(position)."""
        if self.slot is None:
            self.hot()
        rec_len = 0
        while True:     # positions depend on the record's length: twice
            self.soft_new = {}
            front = 0 if self.behind else rec_len
            plan = Plan(self, len(self.view) + front)
            for op in ops:
                getattr(plan, op[0])(*op[1:])
            batch = bytes(plan.v[plan.base:])
            at = len(self.view) + rec_len + len(batch)
            extra = tail(at) if tail else b""
            if extra and not state:
                plan.changes.append((at, extra))    # a reservation's cover
            st = state(at) if state else plan.state
            rec = Record(self.slot.salt, self.seq, len(self.view), plan.n_keys,
                         st, bytes(self.header()) if self.first else b"",
                         plan.streams, plan.changes, len(batch), reserve,
                         self.behind)
            if rec.size(self.geo) == rec_len:
                break
            rec_len = rec.size(self.geo)
        self.append(rec, rec.pack(self.geo, batch), batch, extra, plan)
        if user and self.on_append:
            self.on_append()
        if "early_pointers" in self.bugs:
            self.apply()
        return at

    def append(self, rec, blocks, batch, extra, plan):
        end = len(self.view)
        try:
            both = batch + blocks if self.behind else blocks + batch
            self.disk.write(end, both + extra)
            if rec.reserve > len(extra) or len(self.disk.cache) < rec.end:
                self.disk.truncate(max(rec.end, len(self.disk.cache)))
        except Failed:      # ENOSPC: back to the committed end
            self.disk.truncate(end)
            raise
        if self.behind:
            plan.v[end + len(batch):] = blocks
        else:
            plan.v[end:end + len(blocks)] = blocks
        plan.v.extend(bytes(max(0, rec.end - len(plan.v))))
        if extra:
            a = rec.end - rec.reserve
            plan.v[a:a + len(extra)] = extra
        self.view, self.n_keys, self.state = plan.v, rec.n_keys, rec.state
        self.unapplied += rec.changes
        self.soft.update(self.soft_new)
        self.seq, self.first = self.seq + 1, False
        self.log += len(blocks) + len(batch)

    def apply(self):
        """In-place changes, sorted; all their records are durable."""
        for pos, n in sorted({(a, len(c)) for a, c in self.unapplied}):
            self.disk.write(pos, self.view[pos:pos + n])
        self.unapplied = []

    def sync(self):
        self.fdatasync()
        if self.on_sync:
            self.on_sync()
        self.apply()

    def checkpoint(self, start=None, state=None):
        if self.slot is None:
            return
        if state:
            self.state = state
        self.sync()
        if "no_checkpoint_sync" not in self.bugs:
            self.fdatasync()
        self.next_slot(self.slot.salt,
                       len(self.view) if start is None else start)
        self.log, self.first = 0, True

    def next_slot(self, salt, start):
        old = self.slot
        self.slot = Slot(old.seq + 1, salt, self.seq, start, self.n_keys,
                         old.version, old.fill, self.state)
        if "slot_in_place" not in self.bugs:
            self.where = 1 - self.where
        self.write_header(self.header(self.slot, self.where))
        if "no_slot_sync" not in self.bugs:
            self.fdatasync()

    def clean(self):
        """A plain booklet file again."""
        if self.slot is None:
            return
        self.streams = {}
        while self.state.kind == GROWTH:
            self.growth_step(99)
        if self.state.kind == ZONE:
            self.drop_zone()
        self.sync()
        self.disk.truncate(len(self.view))
        if "no_clean_sync" not in self.bugs:
            self.fdatasync()
        hot = bytes(self.view[:HEAD])
        head = self.header(version=self.slot.version)
        head[33:37] = p(self.n_keys, 4)
        head[77:HEAD] = bytes([self.slot.fill]) * 123
        self.write_header(head)
        try:
            self.fdatasync()
        except Failed:      # the disk may still say hot: so must the cache
            self.disk.write(0, hot)
            raise
        self.slot, self.soft = None, {}

    # ---- recovery ----

    def recover(self):
        d, b = self.disk, self.disk.cache
        slots = [(s.seq, i, s) for i in (0, 1) if (s := Slot.unpack(b, i))]
        if not slots:
            raise Hopeless
        _, self.where, self.slot = max(slots, key=lambda t: t[0])
        s = self.slot
        assert s.start <= len(b), "the log begins past the end"
        recs, end, seq = [], s.start, s.rec_seq
        while r := Record.parse(self.geo, b, end, s.salt, seq,
                                "no_checksum" not in self.bugs, self.behind):
            recs.append(r)
            end, seq = r.end, seq + 1
        # What was read may be in the cache alone: the last process was killed,
        # or its fsync failed and left the pages marked clean.  Pointers must
        # not reach the disk before it.
        for r in recs:
            if "no_log_rewrite" not in self.bugs:
                at = r.end - r.reserve
                d.write(r.start, bytes(b[r.start:at]))
        if "no_header_rewrite" not in self.bugs:
            d.write(0, bytes(b[:HEAD]))
        if "no_recovery_sync" not in self.bugs:
            d.sync()
        if len(b) < end:
            d.truncate(end)
        if "redo_order" in self.bugs:
            recs.reverse()
        self.redo(recs)
        if "keep_salt" not in self.bugs:
            d.truncate(end)
        if "no_redo_sync" not in self.bugs:
            d.sync()
        self.view, self.seq, self.log, self.first = (bytearray(b[:end]), seq,
                                                     0, True)
        self.next_slot(s.salt if "keep_salt" in self.bugs
                       else self.rng.randbytes(8), end)

    def redo(self, recs):
        """Writes every change, also where the bytes are there already: a page
        can be marked clean and not be on the disk."""
        st = self.state = self.slot.state
        self.n_keys = self.slot.n_keys
        self.refill(st)
        for r in recs:
            if r.state.kind == GROWTH and r.state.pos != st.pos:
                self.refill(r.state)
            for pos, c in r.changes:
                self.disk.write(pos, c)
            st = self.state = r.state
            self.n_keys = r.n_keys
        if st.kind == ZONE:
            for pos, c in self.geo.cover(st.pos, st.n):
                self.disk.write(pos, c)
            self.state = State()

    def refill(self, st):
        if st.kind == GROWTH and not st.moved and "no_refill" not in self.bugs:
            self.disk.write(st.pos, p(1, 6) * st.n)

    # ---- streamed values ----

    def stream_begin(self, size):
        pos = self.commit([], size, lambda at: self.geo.dead(size))
        self.streams[pos] = size
        return pos

    def stream_end(self, pos, key, value, ts, cut):
        size, n = self.streams[pos], self.geo.hl + len(key) + len(value)
        last = pos + size == len(self.view)
        if "no_stream_sync" not in self.bugs:
            self.fdatasync()
        if cut and last and n < size:
            self.cut_reservation(pos, n)
            size = n
        if self.geo.cover(pos + n, size - n) is None:
            return False
        self.commit([("stream_end", pos, size, key, value, ts)], user=True)
        del self.streams[pos]
        return True

    def cut_reservation(self, pos, n):
        """Gives back what the value did not take.  From the new slot on the
        log begins where the value ends, so nothing beyond counts."""
        head = self.geo.dead(n)
        self.sync()
        self.disk.write(pos, head)
        self.view[pos:pos + len(head)] = head
        self.checkpoint(pos + n)
        self.disk.truncate(pos + n)
        del self.view[pos + n:]
        self.streams[pos] = n

    # ---- growth ----

    def growth_begin(self, nb, pos=None):
        """pos: in a gap in front of the index (prune), else at the end."""
        self.checkpoint()
        if pos is None:
            self.commit([], 6 * nb, lambda at: p(1, 6) * nb,
                        lambda at: State(GROWTH, at, nb))
        else:
            self.commit([], state=lambda at: State(GROWTH, pos, nb))
            if "early_index" not in self.bugs:
                self.sync()
            fresh = p(1, 6) * nb
            self.disk.write(pos, fresh)
            self.view[pos:pos + len(fresh)] = fresh
        self.checkpoint()

    def growth_step(self, count):
        nb = self.layout(self.view)[0]
        if self.state.moved < nb:
            self.commit([("move_buckets", count)])
        else:
            self.growth_finish()

    def hole(self, start, end):
        """Ops that make [start, end) dead blocks; live ones behind it move
        until that is possible.  None: a reservation is in the way."""
        ops = []
        while self.geo.cover(start, end - start) is None:
            if end in self.streams or end == self.layout(self.view)[1]:
                return None
            n = self.geo.length(self.view, end)
            if u(self.view, end + 13, 6):
                ops.append(("move_to_end", end))
            end += n
        return ops + [("raw", self.geo.cover(start, end - start))]

    def growth_finish(self):
        self.checkpoint()
        nb, io, first = self.layout(self.view)
        st = self.state
        if st.pos < io:
            ops = self.hole(st.pos + 6 * st.n, io + 6 * nb)
        elif io >= first:
            ops = self.hole(io, io + 6 * nb)
        else:
            ops = []        # the original index stays in front of the data
        if ops is None:
            return False
        fields = p(st.pos, 6) + p(first, 6)
        if st.pos == HEAD:
            fields = bytes(12)
        ops.append(("raw", [(21, p(st.n, 4)), (65, fields)]))
        self.commit(ops, state=lambda at: State())
        self.checkpoint()
        return True

    def drop_zone(self):
        st = self.state
        self.commit([("raw", self.geo.cover(st.pos, st.n))],
                    state=lambda at: State())
