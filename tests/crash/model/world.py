"""Random workloads, crashes at every step, and what must be true after."""

import hashlib
import random

import form
import grow
import maintain
import plain
from disk import Disk, Failed
from form import p
from plan import find, layout
from store import CHECKPOINT, SIZES, Hopeless, Store

LARGEST = 30000     # bytes of a file; a world ends there
KEYS = [b"k%d" % i for i in range(9)] + [b"a-longer-key", b"d/e", b"d/f"]


def weights(**w):
    return tuple(w), tuple(w.values())


USUAL = dict(commit=40, sync=10, stream=10, job=20, view=10, checkpoint=2,
             prepare=2, short=2, close=2.5, cancel=0.5, power=1.5, kill=1.5,
             fail=1)
FLAVOURS = {
    "all": weights(**USUAL),
    "prune": weights(**{**USUAL, "job": 90}),
    "growth": weights(**{**USUAL, "job": 60, "close": 0.5}),
    "trim": weights(**{**USUAL, "job": 40, "view": 10}),
    "salt": weights(commit=40, sync=2, power=8),
    "stream": weights(**{**USUAL, "stream": 80, "job": 8, "sync": 3}),
    "packed": weights(commit=20, sync=3, job=70),
    "kills": weights(**{**USUAL, "kill": 12}),
    "beside": weights(commit=10, sync=30, checkpoint=30, job=5),
    "reserved": weights(commit=10, sync=5, stream=50, job=40),
    "tail": weights(commit=5, sync=3, stream=40, job=60),
    "header": weights(commit=20, sync=5, checkpoint=10, close=10, fail=30,
                      power=5, kill=5),
    "faults": weights(**{**USUAL, "fail": 10, "power": 5}),
    "rekey": weights(**{**USUAL, "rekey": 40, "stream": 30, "fail": 3}),
    "rekey_beside": weights(commit=30, sync=10, rekey=30, stream=10, power=3),
}
# What a job is, by flavour: prune, trim, growth.
JOBS = {"prune": (8, 1, 1), "growth": (1, 0, 8), "trim": (1, 8, 1),
        "packed": (8, 1, 3), "tail": (1, 0, 0),
        "reserved": (2, 5, 1)}


class Lost(Exception):
    """The promise is broken: what, and how to see it again."""


def new_file(rng, fixed, ts, fill):
    nb = rng.choice((1, 3, 60))
    head = bytearray(form.HEAD)
    head[:16] = form.MAGIC_FIX if fixed else form.MAGIC_VAR
    head[16:25] = p(rng.choice((4, 5)), 2) + bytes((6, 2, 0 if fixed else 4)) \
        + p(nb, 4)
    head[29:33] = bytes((0 if fixed else 32, 0, 2, 0))
    if fixed:
        head[37:41] = p(rng.choice((3, 8, 150)), 4)
    head[41] = ts and not fixed
    head[42:65] = rng.randbytes(23)
    head[65:] = bytes([fill]) * 135
    return bytes(head) + p(1, 6) * nb


class Count:
    """Figures over all worlds."""

    def __init__(self):
        self.images, self.seen, self.by = 0, set(), {}
        self.commits = 0

    def add(self, what):
        self.by[what] = self.by.get(what, 0) + 1


class World:
    """One store, one history of states, and a crash wherever the disk
    changes."""

    def __init__(self, seed, count, bugs=(), rate=0.5, flavour="all"):
        self.rng = rng = random.Random(seed)
        self.seed, self.count, self.bugs, self.rate = seed, count, bugs, rate
        self.flavour = flavour
        fixed = rng.random() < 0.3
        data = new_file(rng, fixed, rng.random() < 0.8,
                        rng.choice((0, 0x30)))
        self.fixed_bytes = data[:16] + data[16:21] + data[25:33] + data[37:65]
        self.fill = data[199]
        self.geo = form.Geo(data)
        self.history, self.synced, self.appended = [{}], 0, 0
        self.phase, self.job, self.streams = "put", None, {}
        self.boot(Disk(data))

    def boot(self, disk):
        self.disk = disk
        disk.rng, disk.hook, disk.fail_sync = self.rng, self.crash, 0
        disk.short_write = None
        self.job, self.streams, self.store = None, {}, None
        self.frozen, self.others = 0, False
        self.store = s = Store(disk, self.rng, self.bugs)
        s.on_append, s.on_freeze = self.did_append, self.did_freeze
        s.on_sync, s.beside = self.did_sync, self.beside

    def did_append(self):
        self.appended = len(self.history) - 1

    def did_freeze(self):
        self.frozen = self.appended

    def did_sync(self):
        self.synced = self.frozen

    def beside(self):
        """Somebody commits in the middle of another's sync."""
        rate = 0.8 if self.flavour.endswith("beside") else 0.1
        if self.others or self.rng.random() >= rate:
            return
        phase, self.others = self.phase, True
        try:
            self.commit()
        finally:
            self.phase, self.others = phase, False

    # ---- crashes ----

    def crash(self):
        """Called after every change of the disk."""
        rng = self.rng
        for _, pos, b in self.store.views if self.store else ():
            if self.disk.cache[pos:pos + len(b)] != b:
                raise Lost("%s, world %s: bytes change under a view" %
                           (self.phase, self.seed))
        rate = self.rate if self.store else self.rate / 10
        for mode in ("kill", "part", "drop", "some", "some", "some"):
            if rng.random() < rate:
                self.crash_once(mode)

    def crash_once(self, mode):
        rng = self.rng
        hi = len(self.history) - 1
        if mode in ("kill", "part"):
            d = self.disk.killed(rng, mode == "part")
            lo = self.appended if mode == "kill" else self.synced
        else:
            d, lo = Disk(self.disk.power_cut(rng, mode)), self.synced
        if not self.fresh(d, lo, hi):
            return
        phase = "recovery" if self.store is None else self.phase
        self.count.add(phase)
        nested = rng.random() < (0.03 if self.store else 0)
        self.verify(d, lo, hi, phase + "/" + mode, nested)

    def fresh(self, d, lo, hi):
        key = hashlib.blake2s(d.cache + b"%d %d" % (lo, hi) + d.durable,
                              digest_size=8).digest()
        if key in self.count.seen:
            return False
        self.count.seen.add(key)
        self.count.images += 1
        return True

    def verify(self, d, lo, hi, what, nested=False):
        """Recovers a crashed disk; returns which state it held."""
        base = Disk(d.durable) if not nested else d
        if nested:
            base.hook = lambda: self.within(base, hi, what)
        try:
            if not nested:
                base = d
            s = Store(base, self.rng, self.bugs)
            base.hook = None
            maintain.settle(s)
            s.clean()
            got = plain.read(base.cache)
            self.same_header(base.cache)
        except (plain.Damaged, Hopeless, AssertionError, IndexError,
                ValueError, TypeError, ArithmeticError) as e:
            raise Lost("%s, world %s: %s: %s" % (what, self.seed,
                                                 type(e).__name__, e)) from e
        for j in range(hi, lo - 1, -1):
            if got == self.history[j]:
                return j
        raise Lost("%s, world %s: is none of states %d..%d" %
                   (what, self.seed, lo, hi))

    def within(self, base, hi, what):
        """A crash inside a recovery: until that has ended, a power cut may
        still take back what only the dead process had promised."""
        rng, lo = self.rng, self.synced
        for mode in ("kill", "drop", "some"):
            d = (base.killed(rng, False) if mode == "kill"
                 else Disk(base.power_cut(rng, mode)))
            if rng.random() < 0.1 and self.fresh(d, lo, hi):
                self.count.add("recovery")
                self.verify(d, lo, hi, what + "/recovery/" + mode)

    def same_header(self, b):
        now = bytes(b[:16] + b[16:21] + b[25:33] + b[37:65])
        plain.need(now == self.fixed_bytes, "a header field changed")
        plain.need(b[77:200] == bytes([self.fill]) * 123, "bytes 77-199")

    def go_on_after(self, mode):
        """The crash is real: the next process goes on from it."""
        rng = self.rng
        if mode == "power":
            d = Disk(self.disk.power_cut(rng, rng.choice(("drop", "some"))))
            lo = self.synced
        else:
            d, lo = self.disk.killed(rng, False), self.appended
        hi = len(self.history) - 1
        j = self.verify(d.clone() if mode != "power" else Disk(d.durable),
                        lo, hi, "go on/" + mode)
        # Within recovery a power cut may still lose what a kill had kept.
        self.history = self.history[self.synced:j + 1]
        self.synced, self.appended = 0, len(self.history) - 1
        self.boot(d)
        self.synced = self.appended

    # ---- the workload ----

    def value(self):
        if self.geo.fixed:
            return self.rng.randbytes(self.geo.value_len)
        if self.flavour == "salt":
            return self.rng.randbytes(8)
        return self.rng.randbytes(self.rng.choice((0, 1, 7, 20, 60, 600)))

    def stamp(self):
        return self.rng.randrange(1, 1 << 48) if self.geo.ts else 0

    def random_op(self, now):
        """(op, its effect on now)"""
        rng = self.rng
        kind = rng.choice(("put", "put", "put", "delete", "touch", "rename"))
        if self.flavour == "salt":
            kind = rng.choice(("put", "touch"))
        if not now or kind == "put":
            few = 5 if self.flavour == "salt" else None
            key, val, ts = rng.choice(KEYS[:few]), self.value(), self.stamp()
            now[key] = (val, ts)
            return ("put", key, val, ts)
        key = rng.choice(sorted(now))
        if kind == "delete":
            del now[key]
            return ("delete", key)
        if kind == "touch":
            ts = self.stamp()
            now[key] = (now[key][0], ts)
            return ("touch", key, ts)
        to = rng.choice([k for k in KEYS if k != key])
        now[to] = now.pop(key)
        return ("rename", key, to)

    def commit(self):
        now = dict(self.history[-1])
        ops = []
        most = 1 if self.flavour == "salt" else 4
        for _ in range(min(most, self.rng.choice((1, 1, 1, 2, 4)))):
            ops.append(self.random_op(now))
        self.history.append(now)
        self.phase = "batch" if len(ops) > 1 else ops[0][0]
        self.count.commits += 1
        try:
            self.store.commit(ops, user=True)
        except Failed:
            self.history.pop()
            if self.store.latched:
                raise

    def stream(self):
        rng, s = self.rng, self.store
        self.phase = "stream"
        if self.geo.fixed:
            return
        done = [k for k, v in self.streams.items() if v[3] >= len(v[1])]
        if done:
            key, val, ts, _ = self.streams.pop(done[0])

            def commits():
                self.history.append({**self.history[-1], key: (val, ts)})
                self.count.commits += 1

            s.stream_end(done[0], key, val, ts, commits)
            if self.job is None and rng.random() < 0.5:
                s.cut_unused(done[0] + s.front() + len(val))
        elif self.streams and rng.random() < 0.7:
            self.write_stream(rng.choice(sorted(self.streams)))
        elif len(self.streams) < 2:
            key, val = rng.choice(KEYS), rng.randbytes(
                rng.choice((30, 700, 1300)))
            room = rng.choice((0, len(val), len(val) + 300))
            self.streams[s.stream_begin(room)] = key, val, self.stamp(), 0

    def write_stream(self, pos):
        s = self.store
        key, val, ts, at = self.streams[pos]
        n = self.rng.randrange(1, len(val) - at + 1)
        if at + n > s.room(pos) and (
                self.job or not s.stream_lengthen(pos, len(val) + 60)):
            del self.streams[pos], s.streams[pos]   # given up
            return
        self.disk.write(pos + s.front() + at, val[at:at + n])
        self.streams[pos] = key, val, ts, at + n

    def rekey(self):
        """A rename that leaves the value where it is."""
        now, rng, s = self.history[-1], self.rng, self.store
        if self.job or not now or s.state.kind != form.NONE:
            return
        old = rng.choice(sorted(now))
        new = rng.choice([k for k in KEYS if k != old])

        def commits():
            now = dict(self.history[-1])
            now[new] = now.pop(old)
            self.history.append(now)
            self.count.commits += 1

        s.rekey(old, new, commits)

    def new_job(self):
        s, rng = self.store, self.rng
        nb = layout(s.view)[0]
        sizes = [n for n in SIZES if n > nb and s.n_keys > nb] or SIZES
        if s.state.kind != form.NONE:       # a recovery's, or cut short
            return "prune", maintain.prune(s)
        return rng.choices((
            ("prune", maintain.prune(s)), ("trim", maintain.trim(s)),
            ("growth", grow.grow(s, rng.choice(sizes)))),
            JOBS.get(self.flavour, (3, 1, 2)))[0]

    def op_job(self):
        if self.job is None:
            self.name, self.job = self.new_job()
        self.phase = self.name
        for _ in range(self.rng.choice((1, 3, 12, 40))):
            if self.store.state.kind == form.GROWTH:
                self.phase = "growth"
            if next(self.job, self) is self:
                self.job = None
                return

    def op_cancel(self):
        """A job stops, where it is allowed to."""
        if self.store.state.kind != form.GROWTH:
            self.job = None
            maintain.zone_cover(self.store)

    def op_view(self):
        """Somebody looks at a value, for a while."""
        s, rng, now = self.store, self.rng, self.history[-1]
        if s.views and rng.random() < 0.5:
            return s.views.pop(rng.randrange(len(s.views)))
        if not now:
            return None
        key = rng.choice(sorted(now))
        pos = find(s.view, s.state, form.keyhash(key))[1]
        return s.look_at(pos + self.geo.hl + len(key), len(now[key][0]))

    def look(self):
        """Lookups find what is committed, and nothing else."""
        s, now = self.store, self.history[-1]
        for key in KEYS:
            h = form.keyhash(key)
            pos = find(s.view, s.state, h, s.bugs)[1]
            at = pos + self.geo.hl + len(key)
            b = bytes(s.view[at:at + len(now.get(key, (b"",))[0])])
            if (pos != 0) != (key in now) or pos and b != now[key][0]:
                raise Lost("%s, world %s: a lookup of %r" %
                           (self.phase, self.seed, key))

    # ---- one step, chosen by the flavour's weights ----

    def op_sync(self):
        if self.store.slot:
            self.store.sync()

    def op_checkpoint(self):
        self.store.checkpoint()

    def op_prepare(self):
        """Space past the end, ready for appends."""
        if self.store.slot:
            size = len(self.store.view) + self.rng.choice((100, 600))
            self.disk.truncate(size)

    def op_short(self):
        """The disk is full: a commit fails half way."""
        if self.store.slot:
            self.disk.short_write = self.rng.randrange(1 << 20)
            self.commit()
            self.disk.short_write = None

    def op_close(self):
        s = self.store
        self.job, self.streams, s.views, s.streams = None, {}, [], {}
        s.beside = None
        maintain.settle(s)
        s.clean()
        s.beside = self.beside

    def op_power(self):
        self.go_on_after("power")

    def op_kill(self):
        self.go_on_after("kill")

    def op_fail(self):
        self.disk.fail_sync = self.rng.randrange(1, 4)

    op_commit, op_stream, op_rekey = commit, stream, rekey

    def step(self):
        names, weights = FLAVOURS[self.flavour]
        name = self.rng.choices(names, weights)[0]
        self.phase = name
        getattr(self, "op_" + name)()
        if self.store.log > CHECKPOINT and self.store.slot:
            self.phase = "checkpoint"
            self.store.checkpoint()
        if self.rng.random() < 0.3:
            self.look()

    def run(self, steps):
        for _ in range(steps):
            if len(self.disk.cache) > LARGEST:
                return
            try:
                self.step()
            except Failed:
                self.go_on_after("kill")
            except (AssertionError, IndexError, ValueError, TypeError,
                    ArithmeticError) as e:
                if not self.bugs:
                    raise
                raise Lost("%s, world %s: %s" % (self.phase, self.seed, e)) \
                    from e
