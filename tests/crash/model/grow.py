"""An index of another size, online: generators that yield wherever other
commits and syncs may come in between."""

from form import GROWTH, HEAD, State, p
from plan import layout

FILL = 100      # bytes written and synced at a time; 4 MiB in real files


def neighbours(store, n_pos, n):
    """Live blocks behind the old index's place that stand in the way of a
    legal cover, and what the cover is without them.  None: a reservation is
    among them."""
    geo, out = store.geo, []
    while not geo.fits(n):
        at = n_pos + n
        if at in store.streams:
            return None
        if at >= len(store.view):
            return out + [("dead", geo.least, False)]
        out.append(("away", at))
        n += geo.length(store.view, at)
    return out


def vacate(store):
    """False: not now."""
    nb, io, _ = layout(store.view)
    if io == HEAD or store.geo.fits(6 * nb):
        return True
    ops = neighbours(store, io, 6 * nb)
    if ops is None:
        return False
    store.commit(ops)
    return True


def place(store, nb):
    """Dead blocks over the place of the new index and a rest."""
    n = 6 * nb
    while not store.geo.fits(n):
        n += store.geo.least
    pos = len(store.view)
    store.commit([("dead", n, True)])
    if "place_in_log" not in store.bugs:
        store.checkpoint()
    return pos, n


def bodies(store, pos, n):
    """What of the place is a key or a value, in pieces."""
    for at, head in store.geo.cover(pos, n):
        end = at + store.geo.length(store.view, at)
        at += len(head)
        while at < end:
            yield at, min(FILL, end - at)
            at += FILL


def fill(store, pos, n):
    """Empty entries, but where a dead block's head stands."""
    ones = p(1, 6) * (n // 6 + 1)
    for at, k in bodies(store, pos, n):
        b = ones[at - pos:at - pos + k]
        store.disk.write(at, b)
        store.view[at:at + k] = b
        store.fdatasync()
        yield


def declare(store, pos, n, nb):
    end, ops = pos + 6 * nb, []
    for at, head in store.geo.cover(pos, n):
        a = at - (at - pos) % 6
        z = min(at + len(head), end)
        ops += [("raw", e, p(1, 6)) for e in range(a, z, 6)]
    if "heads_kept" in store.bugs:
        ops = []
    ops += [("cover", end, pos + n - end), ("now", State(GROWTH, pos, nb))]
    store.commit(ops)


def grow(store, nb):
    yield from resume(store)
    if not vacate(store):
        return
    yield
    pos, n = place(store, nb)
    yield
    yield from fill(store, pos, n)
    declare(store, pos, n, nb)
    yield
    yield from resume(store)


def resume(store):
    """What is under way."""
    while store.state.kind == GROWTH:
        if store.state.moved < layout(store.view)[0]:
            store.commit([("move_buckets", store.rng.choice((1, 2, 5)))])
        else:
            land(store)
        yield


def old_place(store):
    """What is covered when the old index goes: dead blocks behind it, too,
    until that is possible; they made way before."""
    nb, io, _ = layout(store.view)
    st = store.state
    if st.pos < io:
        pos = st.pos + 6 * st.n
        n = io + 6 * nb - pos
    elif io != HEAD:
        pos, n = io, 6 * nb
    else:
        return []       # the original stays in front of the data
    while not store.geo.fits(n):
        n += store.geo.length(store.view, pos + n)
    return [("cover", pos, n)]


def land(store):
    if "land_in_log" not in store.bugs:
        store.checkpoint()
    first, st = layout(store.view)[2], store.state
    fields = bytes(12) if st.pos == HEAD else p(st.pos, 6) + p(first, 6)
    store.commit(old_place(store) + [
        ("raw", 21, p(st.n, 4)), ("raw", 65, fields), ("now", State())])
    store.checkpoint()
