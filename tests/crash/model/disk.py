"""A disk that forgets.

A file as the kernel shows it (cache), as the platter holds it (durable), and
the list of changes in between.  A power cut leaves the durable bytes with any
part of those changes: each write is kept, dropped or torn at SECTOR bytes,
whatever its order, and a change of size happened or did not.  A killed process
leaves the cache as it is, and the list too.
"""

SECTOR = 512
SLOT_UNIT = 8   # a header write that leaves the version alone tears here too


class Failed(Exception):
    """A system call that the test made fail."""


class Disk:
    def __init__(self, data=b""):
        self.cache = bytearray(data)
        self.durable = bytes(data)
        # ("w", pos, bytes, unit), ("t", size), ("p", pos, length)
        self.pending = []
        self.hook = None        # called after every change and every sync
        self.fail_sync = 0      # 1: the next sync fails, 2: the one after, ...
        self.short_write = None  # the next write stops after so many bytes
        self.before = None      # the cache before the last write, if no sync
        #                         has come since
        self.rng = None         # decides what a failed sync loses
        self.lost = False       # pages that look clean are not on the platter

    def clone(self):
        d = Disk()
        d.cache, d.durable = bytearray(self.cache), self.durable
        d.pending, d.lost = list(self.pending), self.lost
        return d

    def _did(self):
        if self.hook:
            self.hook()

    # ---- system calls ----

    def write(self, pos, data):
        short = self.short_write
        if short is not None:
            self.short_write = None
            data = data[:short % max(1, len(data))]
        self.before = bytes(self.cache)
        same_mark = pos == 0 and self.cache[:77] == data[:77] \
            == self.durable[:77]
        unit = SLOT_UNIT if same_mark else SECTOR
        self._put(self.cache, pos, data)
        self.pending.append(("w", pos, bytes(data), unit))
        self._did()
        if short is not None:
            raise Failed("short write")

    def truncate(self, size):
        self._size(self.cache, size)
        self.pending.append(("t", size))
        self._did()

    def punch(self, pos, n):
        self.cache[pos:pos + n] = bytes(n)
        self.pending.append(("p", pos, n))
        self._did()

    def sync(self, start=0, end=None):
        """end: that part of the file alone, and that the file reaches to
        there."""
        if self.fail_sync:
            self.fail_sync -= 1
            if not self.fail_sync:
                return self._lose()
        now = self.cache
        if self.lost:
            now = bytearray(self.durable)
            self._replay(now, self.pending)
        if end is None:
            self.durable, self.pending = bytes(now), []
        else:
            self._sync_part(now, start - start % SECTOR, end)
        self.before = None
        self._did()

    def _sync_part(self, now, start, end):
        b = bytearray(self.durable)
        self._put(b, start, now[start:end])
        self.durable, rest = bytes(b), []
        for op in self.pending:
            if op[0] == "t":
                rest += [op] if op[1] >= end else []
                continue
            pos = op[1]
            to = pos + (len(op[2]) if op[0] == "w" else op[2])
            for a, z in ((pos, min(to, start)), (max(pos, end), to)):
                if a < z and op[0] == "w":
                    rest.append(("w", a, op[2][a - pos:z - pos], op[3]))
                elif a < z:
                    rest.append(("p", a, z - a))
        self.pending = rest

    def _lose(self):
        """The kernel reports the error once and forgets what was dirty."""
        self.durable = self._some(self.rng)
        self.pending = [("t", len(self.cache))]
        self.lost = True
        self._did()
        raise Failed("fdatasync")

    # ---- what a crash leaves ----

    @staticmethod
    def _size(b, size):
        if size < len(b):
            del b[size:]
        else:
            b.extend(bytes(size - len(b)))

    @classmethod
    def _put(cls, b, pos, data):
        if not data:
            return
        if len(b) < pos + len(data):
            cls._size(b, pos + len(data))
        b[pos:pos + len(data)] = data

    @classmethod
    def _replay(cls, b, ops):
        for op in ops:
            if op[0] == "w":
                cls._put(b, op[1], op[2])
            elif op[0] == "t":
                cls._size(b, op[1])
            else:
                b[op[1]:op[1] + op[2]] = bytes(op[2])

    def _some(self, rng):
        """The durable bytes and a random part of what is pending."""
        b = bytearray(self.durable)
        p = rng.choice((0.15, 0.5, 0.85))
        for op in self.pending:
            if op[0] == "t":
                if rng.random() < p:
                    self._size(b, op[1])
                continue
            pos = op[1]
            end = pos + (len(op[2]) if op[0] == "w" else op[2])
            unit = op[3] if op[0] == "w" else SECTOR
            if rng.random() < 0.3:      # the size alone
                if end > len(b):
                    self._size(b, end)
            at = pos
            while at < end:
                to = min(end, (at // unit + 1) * unit)
                if rng.random() < p:
                    if op[0] == "w":
                        self._put(b, at, op[2][at - pos:to - pos])
                    else:
                        n = min(to, len(b)) - at
                        if n > 0:
                            b[at:at + n] = bytes(n)
                at = to
        return bytes(b)

    def power_cut(self, rng, mode):
        """mode: "drop" all that was not synced, or keep "some" of it."""
        return self.durable if mode == "drop" else self._some(rng)

    def killed(self, rng, part):
        """The process dies: a disk as the next process finds it.  part: in
        the middle of the last write (one within a page happens or not)."""
        d = self.clone()
        torn = part and self.before is not None and d.pending
        if torn and d.pending[-1][0] == "w" and d.pending[-1][1]:
            kind, pos, data, unit = d.pending.pop()
            cut = data[:rng.randrange(len(data) + 1)]
            d.cache = bytearray(self.before)
            self._put(d.cache, pos, cut)
            d.pending.append((kind, pos, cut, unit))
        return d
