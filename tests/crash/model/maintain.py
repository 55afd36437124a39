"""Prune and trim, online: generators that yield wherever other commits may
come in between."""

import grow
from form import GROWTH, HEAD, NONE, ZONE, State, p, u
from plan import layout

CHUNK = 64      # bytes a step; 16 MiB in real files
PIECE = 100     # of a copy
LEG = 2         # blocks a commit


# ---- trim ----

def dead_runs(store):
    """[(start, length, blocks)] of neighbouring dead blocks."""
    run = None
    for at, n, live in store.walk(store.first(), len(store.view)):
        if "trim_reserved" not in store.bugs:
            live = live or at in store.streams
        if run and (live or run[0] + run[1] != at):
            yield run
            run = None
        if not live:
            run = (run[0], run[1] + n, run[2] + 1) if run else (at, n, 1)
    if run:
        yield run


def trim(store):
    """Merges dead blocks, then gives back what is under them.  What has died
    by now is looked for first: the checkpoint then takes their dying, too, out
    of the log.  A block that dies beside it is left to the next one."""
    if "trim_in_log" in store.bugs:
        store.checkpoint()
    runs = [r for r in dead_runs(store) if r[2] > 1]
    if not runs:
        return
    yield from store.retire()
    if "trim_in_log" not in store.bugs:
        store.checkpoint()
    store.commit([("cover", pos, n) for pos, n, _ in runs])
    yield
    if "early_punch" not in store.bugs:
        store.sync()
    for pos, n, _ in runs:
        for at, head in store.geo.cover(pos, n):
            a, k = at + len(head), store.geo.length(store.view, at) - len(head)
            store.disk.punch(a, k)
            store.view[a:a + k] = bytes(k)
        yield


# ---- the zone ----

def zone_open(store, pos, n):
    """From the next record or slot on these bytes are no blocks."""
    zone = State() if "no_zone" in store.bugs else State(ZONE, pos, n)
    if pos < store.first():
        # An index was there once: walks begin there from now on.
        _, io, _ = layout(store.view)
        store.commit([("now", zone), ("raw", 65, p(io, 6) + p(pos, 6))])
        store.checkpoint()
    store.state = zone


def zone_vacate(store):
    """Nobody looks at its bytes any more, and no record names them."""
    yield from store.retire()
    if "no_reuse_checkpoint" not in store.bugs:
        store.checkpoint()
    yield


def zone_cover(store):
    st = store.state
    if st.kind != ZONE:
        return
    if st.n:
        store.checkpoint()
        store.commit([("cover", st.pos, st.n)])
        store.checkpoint()
    store.state = State()


# ---- a step ----

class Steps:
    """What is planned: blocks that go to the front of the zone."""

    def __init__(self, store):
        self.s, self.geo = store, store.geo
        self.blocks, self.sum, self.end = [], 0, 0
        self.scratch = self.scratch_len = 0

    def skip(self, pos, to, live):
        """Behind the blocks that live, or do not."""
        for at, _, is_live in self.s.walk(pos, to):
            if is_live != live:
                return at
        return max(pos, to)

    def plan(self, pos, to, room):
        self.blocks, self.sum, self.end = [], 0, to
        for at, n, live in self.s.walk(pos, to):
            if live and self.sum + n > room:
                self.end = at
                break
            if live:
                self.blocks.append((at, n))
                self.sum += n

    def shorten(self, d, in_place):
        """Until the zone at d is a sum of dead blocks before and after."""
        fits = self.geo.fits
        while self.blocks and not (
                fits(self.end - d - self.sum)
                and (fits(self.end - d) or not in_place)):
            self.end, n = self.blocks.pop()
            self.sum -= n
        return bool(self.blocks)

    def copy(self, dst):
        s = self.s
        data = b"".join(bytes(s.view[at:at + n]) for at, n in self.blocks)
        for at in range(0, len(data), PIECE):
            s.disk.write(dst + at, data[at:at + PIECE])
            yield
        s.view[dst:dst + len(data)] = data

    def slide(self, follows):
        """To the zone's front.  follows: they stand right behind it, and it
        takes their places in."""
        s = self.s
        dst, end = s.state.pos, s.state.pos + s.state.n
        if "no_zone" in s.bugs:
            dst, end = self.dst, self.dst_end
        yield from zone_vacate(s)
        yield from self.copy(dst)
        if "no_copy_sync" not in s.bugs:
            s.fdatasync()
        i = 0
        while i < len(self.blocks):
            ops, k = [], 0
            while i < len(self.blocks):
                at, n = self.blocks[i]
                ops.append(("moved", at, dst, n,
                            follows or "left_alive" in s.bugs))
                dst, i, k = dst + n, i + 1, k + 1
                if follows:
                    end = (self.blocks[i][0] if i < len(self.blocks)
                           else self.end)
                if k >= LEG and self.geo.fits(end - dst):
                    break
            zone = State(ZONE, dst, end - dst)
            if "zone_stays" in s.bugs:
                zone = s.state
            if "no_zone" in s.bugs:
                zone = State()
            s.commit([("now", zone)] + ops)
            yield

    def open(self, pos, n):
        self.dst, self.dst_end = pos, pos + n
        zone_open(self.s, pos, n)

    # ---- packing: the gap [d, next live block) moves up ----

    def straight(self, n, d, at, to):
        self.plan(at, to, max(n, min(at - d, CHUNK)))
        if not self.shorten(d, False):
            return None
        self.open(d, at - d)
        yield from self.slide(True)
        return d + self.sum, self.end

    def by_scratch(self, n, d, at, to):
        s, geo = self.s, self.geo
        zone_cover(s)
        spare = geo.any_dead()
        if self.scratch_len < n + spare:
            self.scratch, k = len(s.view), max(n, CHUNK) + spare
            s.commit([("dead", k, False)])
            self.scratch_len = k
        self.plan(at, to, self.scratch_len - spare)
        if not self.shorten(d, True):
            return None
        self.open(self.scratch, self.scratch_len)
        yield from self.slide(False)
        zone_cover(s)
        pos, moved = self.scratch, []
        for _, n in self.blocks:
            moved.append((pos, n))
            pos += n
        end, self.blocks, self.end = self.end, moved, pos
        self.open(d, end - d)
        yield from self.slide(False)
        return d + self.sum, end

    def pack(self, d, at, to):
        s = self.s
        while at < to:
            n, gap = s.geo.length(s.view, at), at - d
            straight = n <= gap and s.geo.fits(gap) and (
                gap >= CHUNK / 4 or to - at <= 4 * gap)
            step = self.straight if straight else self.by_scratch
            done = yield from step(n, d, at, to)
            if not done:        # the gap stays
                zone_cover(s)
                d = self.skip(at, to, True)
                done = d, self.skip(d, to, False)
            d, at = done
            yield
        return d

    def pack_from(self, pos, to):
        d = self.skip(pos, to, True)
        return (yield from self.pack(d, self.skip(d, to, False), to))

    def pack_front(self, d, to):
        first = self.s.first()
        if first > d:
            return (yield from self.pack(d, self.skip(first, to, False), to))
        return (yield from self.pack_from(d, to))


# ---- prune ----

def clear_front(store):
    """What is in front of the first live block, where an index was once,
    becomes a sum of dead blocks, unless it reaches to the index."""
    _, io, first = layout(store.view)
    while io != HEAD and first != HEAD:
        at = Steps(store).skip(first, io, False)
        if at >= io or store.geo.fits(at - HEAD):
            return
        store.commit([("away", at)])
        yield


def index_down(steps, pos):
    s = steps.s
    nb, io, _ = layout(s.view)
    steps.open(pos, io - pos)
    yield from zone_vacate(s)
    s.disk.write(pos, p(1, 6) * nb)
    s.view[pos:pos + 6 * nb] = p(1, 6) * nb
    if "down_unsynced" not in s.bugs:
        s.fdatasync()
    s.state = State(GROWTH, pos, nb)
    yield from grow.resume(s)


def cut(store, to):
    """Nothing alive behind: the file ends there."""
    zone_cover(store)
    yield from zone_vacate(store)
    if any(at >= to for at in store.streams):
        return
    if any(b[2] for b in store.walk(to, len(store.view))):
        return
    store.cut(to)


def prune_relocated(store, steps, end):
    nb, io, _ = layout(store.view)
    d = yield from steps.pack_front(HEAD, io)
    if d != io and (io - d < 6 * nb or not store.geo.fits(io - d)):
        zone_cover(store)
        yield from grow.grow(store, nb)     # by way of the end
        if layout(store.view)[1] == io:
            return                          # a reservation is in the way
        steps.scratch_len = 0
        io = layout(store.view)[1]
        if any(at < io for at in store.streams):
            # Opened meanwhile: it comes down at another time.
            at = max(d, store.first())
            return (yield from pack_between(steps, at, io))
        d = yield from steps.pack_front(d, io)
        if not store.geo.fits(io - d):
            return
        yield from index_down(steps, d)
        return (yield from cut(store, d + 6 * nb))
    if d != io:
        yield from index_down(steps, d)
    d = yield from steps.pack_from(d + 6 * nb, end)
    yield from cut(store, d)


def pack_between(steps, pos, to):
    """Each stretch between the streams' reservations by itself."""
    s = steps.s
    while True:
        stop, n = min(((a, n) for a, n in s.streams.items()
                       if pos <= a < to), default=(to, 0))
        if "prune_reserved" in s.bugs:
            stop, n = to, 0
        d = yield from steps.pack_from(pos, stop)
        zone_cover(s)
        if stop == to:
            return d
        pos = stop + n


def prune_between(store, steps, end):
    """The index stays where it is."""
    nb, io, first = layout(store.view)
    if io > first:
        yield from pack_between(steps, first, io)
    d = yield from pack_between(steps, max(first, io + 6 * nb), end)
    yield from cut(store, d)


def prune(store):
    yield from grow.resume(store)
    zone_cover(store)
    yield from clear_front(store)
    store.checkpoint()
    end, steps = len(store.view), Steps(store)
    if store.streams:
        yield from prune_between(store, steps, end)
    elif layout(store.view)[1] == HEAD:
        d = yield from steps.pack_from(store.first(), end)
        yield from cut(store, d)
    else:
        yield from prune_relocated(store, steps, end)
    zone_cover(store)


def settle(store):
    """What was cut short, so that the file can be plain."""
    for _ in grow.resume(store):
        pass
    zone_cover(store)
    assert store.state.kind == NONE
