"""Prune and trim, online: generators that yield wherever other commits may
come in between."""

from form import HEAD, NONE, ZONE, State, u

CHUNK = 64      # bytes a step; 64 MiB in real files


def dead_runs(store):
    """[(start, end, blocks)] of neighbouring dead blocks."""
    for a, z in store.regions():
        run = None
        for at, n, live in store.walk(a, z):
            if live or at in store.streams:
                if run:
                    yield run
                run = None
            else:
                run = (run[0] if run else at, at + n, run[2] + 1 if run else 1)
        if run:
            yield run


def trim(store):
    """Merges dead blocks, then gives back what is under them."""
    if store.state.kind != NONE or store.slot is None:
        return
    store.checkpoint()
    covers = []
    for start, end, count in dead_runs(store):
        if count > 1:
            covers += store.geo.cover(start, end - start)
    if not covers:
        return
    store.commit([("raw", covers)])
    if "early_punch" not in store.bugs:
        store.sync()
    for pos, head in covers:
        n = store.geo.length(store.view, pos) - len(head)
        if n and not live(store, pos):
            store.disk.punch(pos + len(head), n)
            store.view[pos + len(head):pos + len(head) + n] = bytes(n)
    yield


def live(store, pos):
    return u(store.view, pos + 13, 6) != 0


def slide(store, src, dst, n, gap_end):
    """Live blocks [src, src + n) to the zone [dst, gap_end); what is left of
    it, and of the source where that follows, becomes dead."""
    blocks = [(at, at - src + dst, k) for at, k, _ in
              store.walk(src, src + n)]
    store.moving = {at for at, _, _ in blocks}
    if "no_zone" in store.bugs:
        store.sync()
    elif "no_reuse_checkpoint" in store.bugs:
        store.commit([], state=lambda at: State(ZONE, dst, gap_end - dst))
        store.sync()
    else:
        store.checkpoint(state=State(ZONE, dst, gap_end - dst))
    yield
    store.disk.write(dst, store.view[src:src + n])
    yield
    if "no_copy_sync" not in store.bugs:
        store.fdatasync()
    rest = src + n if src == gap_end else gap_end
    covers = store.geo.cover(dst + n, rest - dst - n)
    store.commit([("relocate", blocks, covers)], state=lambda at: State())
    store.moving = set()
    yield
    if "no_reuse_checkpoint" in store.bugs:
        store.sync()
    else:
        store.checkpoint()


def to_scratch(store, src, n):
    """The same with new space at the end as the target."""
    pos = store.commit([], n, state=lambda at: State(ZONE, at, n))
    blocks = [(at, at - src + pos, k) for at, k, _ in store.walk(src, src + n)]
    store.moving = {at for at, _, _ in blocks}
    yield
    store.disk.write(pos, store.view[src:src + n])
    yield
    if "no_copy_sync" not in store.bugs:
        store.fdatasync()
    store.commit([("relocate", blocks, [])], state=lambda at: State())
    store.moving = set()
    yield
    store.checkpoint()
    return pos


def reindex(store, nb, pos=None):
    store.growth_begin(nb, pos)
    while store.state.kind != NONE:
        yield
        store.growth_step(2)


def claim_front(store):
    """An original index at 200 that was left behind becomes a gap."""
    first = store.layout(store.view)[2]
    if first > HEAD:
        store.checkpoint()
        ops = store.hole(HEAD, first)
        if ops is None:
            return False
        now = store.view[65:71] + HEAD.to_bytes(6, "little")
        store.commit(ops + [("raw", [(65, now)])])
        store.checkpoint()
    return True


def pack(store):
    """Slides all live blocks below the index down; returns the gap's start."""
    dst = HEAD
    while True:
        io = store.layout(store.view)[1]
        run = list(store.walk(dst, io))
        k = 0
        while k < len(run) and run[k][2]:
            k += 1
        if k == len(run):
            return io
        dst, gap = run[k][0], k
        while k < len(run) and not run[k][2] and run[k][0] not in store.streams:
            k += 1
        if k == len(run):
            return dst
        src, n = run[k][0], 0
        if not run[k][2]:
            return None         # a reservation: the gap stays
        while k < len(run) and run[k][2] and (not n or n + run[k][1] <= CHUNK):
            n, k = n + run[k][1], k + 1
        if src - dst < n:
            scratch = yield from to_scratch(store, src, n)
            yield from slide(store, scratch, dst, n, src + n)
        else:
            yield from slide(store, src, dst, n, src)
        yield


def prune(store):
    if store.state.kind != NONE:
        return
    if store.slot is None:
        store.hot()
    nb = store.layout(store.view)[0]
    yield from reindex(store, nb)
    if not claim_front(store):
        return
    dst = yield from pack(store)
    for _ in range(2):      # the index goes down; by way of the end if need be
        io = store.layout(store.view)[1]
        if dst is None or dst == io:
            break
        if io - dst >= 6 * nb:
            if not any(b[2] for b in store.walk(dst, io)):
                # Another size now and then, as "reindex --buckets" asks for.
                more = io - dst >= 6 * nb + 6 and store.rng.random() < 0.5
                yield from reindex(store, nb + more, dst)
            break
        yield from reindex(store, nb)
    yield
    cut_tail(store)


def cut_tail(store):
    """Nothing alive behind the index: the file ends there."""
    nb, io, first = store.layout(store.view)
    end = io + 6 * nb
    if store.streams or store.state.kind != NONE:
        return
    store.checkpoint()
    if io >= first or io == HEAD:
        if any(b[2] for b in store.walk(end, len(store.view))):
            return
        if "early_cut" in store.bugs:
            store.disk.truncate(end)
        store.checkpoint(end)
        store.disk.truncate(end)
        del store.view[end:]
