"""The engine's commit protocol over a Disk: doc/durability.md, step by step.

view is the file as committed: what the mapping and the overlay show together.
A commit is appended to the disk at once; its in-place changes wait in recorded,
and in frozen while a sync makes their record durable and puts them in place.
Others commit beside a sync and a checkpoint: beside is where they may.
"""

import form
from disk import Failed
from form import GROWTH, HEAD, ZONE, Geo, Record, Slot, State, p, u
from plan import Plan, find, layout

SIZES = (1, 3, 5, 100)      # the chain of index sizes, on the model's scale
CHECKPOINT = 1500           # bytes of log


class Hopeless(Exception):
    """Version 0 and no valid slot: blt recover --rebuild."""


def put_change(changes, pos, b, strict):
    """Two changes of a set never overlap: nothing says in which order they
    are made."""
    if strict:
        for at in range(pos - 40, pos + len(b)):
            if at != pos and at in changes:
                assert at + len(changes[at]) <= pos, "changes overlap"
    changes[pos] = b


class Store:
    def __init__(self, disk, rng, bugs=()):
        self.disk, self.rng, self.bugs = disk, rng, frozenset(bugs)
        self.on_append = self.on_freeze = self.on_sync = self.beside = None
        self.latched = False
        self.recorded, self.frozen = {}, {}
        self.streams = {}       # position: length
        self.views, self.epoch = [], 0      # [(epoch, position, bytes)]
        self.state, self.slot, self.log = State(), None, 0
        self.geo = Geo(disk.cache, self.bugs)
        if u(disk.cache, 16, 2) == 0:
            self.recover()
        else:
            self.view = bytearray(disk.cache)
            self.n_keys = u(self.view, 33, 4)

    # ---- facts ----

    def holes(self):
        """Stretches that are no data, in order."""
        nb, io, first = layout(self.view)
        st, out = self.state, []
        if st.kind == GROWTH:
            # One in front (prune): nothing is between the two.
            end = io + 6 * nb if st.pos < io else st.pos + 6 * st.n
            out.append((st.pos, end))
        if st.kind == ZONE:
            out.append((st.pos, st.pos + st.n))
        if io >= first:
            out.append((io, io + 6 * nb))
        return sorted(out)

    def first(self):
        return layout(self.view)[2]

    def walk(self, at, end):
        """(position, length, whether it lives) of each block."""
        holes = self.holes()
        while True:
            for a, z in holes:
                if a <= at < z:
                    at = z
            if at >= end:
                return
            n = self.geo.length(self.view, at)
            assert not any(at < a < at + n for a, _ in holes), "walks astray"
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
        self.where, self.seq, self.log, self.fresh = 0, 1, 0, True
        self.durable_to = len(self.view)
        self.write_header(self.header(self.slot, 0))
        if "no_hot_sync" not in self.bugs:
            self.fdatasync()

    def fdatasync(self, start=0, end=None):
        """end: of these bytes alone."""
        try:
            self.disk.sync(start, end)
        except Failed:
            self.latched = True
            raise

    def others(self):
        if self.beside:
            self.beside()

    # ---- commit, sync, checkpoint ----

    def commit(self, ops, user=False):
        """ops: (name of a Plan method, arguments...).  Returns where its
        blocks begin."""
        if self.slot is None:
            self.hot()
        plan = Plan(self)
        for op in ops:
            getattr(plan, op[0])(*op[1:])
        batch = bytes(plan.v[plan.base:])
        rec = Record(self.slot.salt, self.seq, plan.base, plan.n_keys,
                     plan.state, bytes(self.header()) if self.fresh else b"",
                     plan.changes, len(batch))
        self.append(rec, rec.pack(self.geo, batch), batch, plan)
        if user and self.on_append:
            self.on_append()
        if "early_pointers" in self.bugs:
            for pos, b in rec.changes.items():
                self.disk.write(pos, b)
        return plan.base

    def append(self, rec, blocks, batch, plan):
        end, d = plan.base, self.disk
        try:
            if plan.hole:
                d.truncate(end + len(batch))
                for pos, b in plan.hole:
                    d.write(pos, b)
                d.write(end + len(batch), blocks)
            else:
                d.write(end, batch + blocks)
        except Failed:      # ENOSPC: back to the committed end
            d.truncate(end)
            raise
        plan.v += blocks
        self.view, self.n_keys, self.state = plan.v, rec.n_keys, rec.state
        for pos, b in rec.changes.items():
            put_change(self.recorded, pos, b, not self.bugs)
        self.seq, self.fresh = self.seq + 1, False
        self.log += len(blocks) + len(batch)

    def next_slot(self):
        """As things are now."""
        old = self.slot
        return Slot(old.seq + 1, old.salt, self.seq, len(self.view),
                    self.n_keys, old.version, old.fill, self.state)

    def sync(self, alone=False):
        """Makes durable what is committed, which is the log alone, and puts it
        in place; returns the slot that would begin the log behind it.  alone:
        nobody commits meanwhile."""
        self.frozen, self.recorded = self.recorded, {}
        if self.on_freeze:
            self.on_freeze()
        slot = self.next_slot()
        if not alone:
            self.others()
        self.fdatasync(self.durable_to, slot.start)
        if self.on_sync:
            self.on_sync()
        if not alone:
            self.others()
        self.durable_to = slot.start
        if "range_ahead" in self.bugs:
            self.durable_to = len(self.view)
        if "later_too" in self.bugs:
            self.frozen.update(self.recorded)
        for i, pos in enumerate(sorted(self.frozen)):
            self.disk.write(pos, self.frozen[pos])
            if not i and not alone:
                self.others()
        self.frozen = {}
        return slot

    def checkpoint(self, alone=False):
        if self.slot is None:
            self.hot()
        slot = self.sync(alone)
        self.begin_log(slot, alone)

    def begin_log(self, slot, alone=True):
        if "no_checkpoint_sync" not in self.bugs:
            self.fdatasync()
        if not alone:
            self.others()
        if "slot_ahead" in self.bugs:
            slot.n_keys, slot.state = self.n_keys, self.state
        self.write_slot(slot)
        self.log = len(self.view) - slot.start
        self.fresh = self.seq == slot.rec_seq

    def write_slot(self, slot):
        self.slot = slot
        if "slot_in_place" not in self.bugs:
            self.where = 1 - self.where
        self.write_header(self.header(slot, self.where))
        if "no_slot_sync" not in self.bugs:
            self.fdatasync()

    def clean(self):
        """A plain booklet file again; no job is under way any more."""
        if self.slot is None:
            return
        self.streams = {}
        self.sync(alone=True)
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
        self.slot = None

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
                                "no_checksum" not in self.bugs):
            recs.append(r)
            end, seq = r.end, seq + 1
        changes = self.redo(recs)
        # What was read may be in the cache alone: the last process was killed,
        # or its fsync failed and left the pages marked clean.  Pointers must
        # not reach the disk before it.
        if "no_header_rewrite" not in self.bugs:
            d.write(0, bytes(b[:HEAD]))
        for r in recs if "no_log_rewrite" not in self.bugs else ():
            d.write(r.start, bytes(b[r.start:r.end]))
        if "no_recovery_sync" not in self.bugs:
            d.sync()
        # Also where the bytes are there already, for the same reason.
        for pos in sorted(changes):
            d.write(pos, changes[pos])
        if "keep_tail" not in self.bugs:
            d.truncate(end)
        if "no_redo_sync" not in self.bugs:
            d.sync()
        self.view, self.seq = bytearray(b[:end]), seq
        slot = self.next_slot()
        if "keep_salt" not in self.bugs:
            slot.salt = self.rng.randbytes(8)
        self.log, self.fresh, self.durable_to = 0, True, end
        self.write_slot(slot)

    def redo(self, recs):
        """{position: bytes}: all changes of the log, and dead blocks over a
        zone that is open at its end."""
        out = {}
        self.state, self.n_keys = self.slot.state, self.slot.n_keys
        for r in reversed(recs) if "redo_order" in self.bugs else recs:
            for pos, c in r.changes.items():
                put_change(out, pos, c, not self.bugs)
        if recs:
            self.state, self.n_keys = recs[-1].state, recs[-1].n_keys
        st = self.state
        if st.kind != ZONE:
            return out
        self.state = State()
        if st.pos + st.n > self.slot.start and "zone_in_log" not in self.bugs:
            return out      # not vacated yet: the log stands there
        if "zone_left" in self.bugs:
            return out
        if "zone_redone" not in self.bugs:
            out = {pos: c for pos, c in out.items()
                   if not st.pos <= pos < st.pos + st.n}
        out.update(self.geo.cover(st.pos, st.n))
        return out

    # ---- streamed values: written inside a dead block of their own ----

    def front(self):
        """From there to the value: a pad, head and key."""
        return self.geo.least + self.geo.hl + 20

    def room(self, pos):
        return self.streams[pos] - self.front() - self.geo.least

    def stream_begin(self, room):
        n = self.front() + room + self.geo.least
        pos = self.commit([("dead", n, True)])
        self.streams[pos] = n
        return pos

    def never_lived(self, at):
        """From there to the end of the data all is dead, and was for ever."""
        return all(z <= at for _, z in self.holes()) and all(
            not live and at not in self.streams
            and self.view[at:at + 13] == bytes(13)
            for at, _, live in self.walk(at, len(self.view)))

    def stream_lengthen(self, pos, more):
        """The caller sees to it that no job is under way.  False: something is
        behind it."""
        self.checkpoint()
        if not self.never_lived(pos + self.streams[pos]):
            return False
        n = len(self.view) + more - pos
        self.commit([("dead", more, True), ("resize", pos, n)])
        if "lengthened_in_log" not in self.bugs:
            self.checkpoint()
        self.streams[pos] = n
        return True

    def stream_end(self, pos, key, value, ts, commits):
        """commits: called when the commit begins."""
        g, end = self.geo, pos + self.streams[pos]
        behind = pos + self.front() + len(value)
        head = g.head(form.keyhash(key), 0, len(key), len(value), ts) + key
        at = behind - len(value) - len(head)
        rest = g.dead(end - behind)
        self.disk.write(at, head)
        self.disk.write(behind, rest)
        self.view[at:behind + len(rest)] = head + value + rest
        if "stream_in_log" in self.bugs:
            self.sync()
        elif "no_stream_sync" not in self.bugs:
            self.checkpoint()
        commits()
        self.commit([("adopt", key, at, ts), ("resize", pos, at - pos)],
                    user=True)
        del self.streams[pos]

    def cut_unused(self, to):
        """What was never used behind a value is given back; no job is under
        way."""
        self.checkpoint()
        if self.never_lived(to):
            self.cut(to)

    def cut(self, to):
        """The file ends there, unless somebody was faster."""
        slot = self.sync(alone=True)
        if slot.start != self.slot.start:
            return
        slot.start = to
        if "early_cut" in self.bugs:
            self.disk.truncate(to)
        self.write_slot(slot)
        self.disk.truncate(to)
        del self.view[to:]
        self.log, self.fresh, self.durable_to = 0, True, to

    # ---- a block gets another key, and its value stays where it is ----

    def pad_of(self, pos):
        """The dead block right in front that never lived: nobody looks at it.
        """
        last = None
        for at, n, live in self.walk(self.first(), pos):
            last = at if at + n == pos and not live else None
        if last in self.streams or last is None or any(
                self.view[last:last + 13]):
            return None
        return last

    def rekey(self, old, new, commits):
        """The caller sees to it that no job is under way.  commits: called
        when the commit begins.  False: it has to be copied."""
        if "rekey_in_log" not in self.bugs:
            self.checkpoint()
            if (self.seq != self.slot.rec_seq
                    and "rekey_beside" not in self.bugs):
                self.checkpoint(alone=True)     # others have committed
        g, pos = self.geo, find(self.view, self.state, form.keyhash(old))[1]
        pad = self.pad_of(pos) if pos else None
        if g.fixed or pad is None or (
                pos + u(self.view, pos + 19, 2) - len(new) - pad < g.least):
            return False
        commits()
        self.commit([("rekey", old, new, pad)], user=True)
        if "rekey_early" in self.bugs:
            for at, b in self.recorded.items():
                self.disk.write(at, b)
        self.sync(alone=True)
        return True

    # ---- those who look at the file's bytes ----

    def look_at(self, pos, n):
        self.views.append((self.epoch, pos, bytes(self.view[pos:pos + n])))

    def retire(self):
        """Until whoever may have seen what is dead by now has left."""
        self.epoch += 1
        while "view_ignored" not in self.bugs and any(
                v[0] < self.epoch for v in self.views):
            yield
