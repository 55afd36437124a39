#!/usr/bin/env python3
"""Checks a booklet file, or prints what it holds, without the engine.

Written from the description of the format alone; nothing here knows how the
engine works, so that the two can be held against each other.

    checker.py [--allow-open] [--loads] FILE...   prints faults, exits 1 on any
    checker.py --dump FILE                        items: key value timestamp
    checker.py --hidden FILE                      metadata and reserved slots
    checker.py --header FILE                      "# field value" lines

As a module: Store(bytes) has header, blocks, index and faults;
check(path) returns the faults as lines.
"""

import argparse
import hashlib
import io
import json
import pickletools
import subprocess
import sys

HEADER_LEN = 200
VARIABLE = bytes.fromhex("4f7e8a3fe75c4750ad430a728fe31cfe")
FIXED = bytes.fromhex("04d3b294f2104162958d0400738c9e0a")
SENTINEL = b"000000"
NOT_CLOSED = 0xFFFFFFFF
HASH_LEN = 13

HIDDEN = {
    b"adb01ebc1ba3433eb043527": "metadata",
    b"7c40d2ea915b4f3a8e6d201": "reserved1",
    b"f19a5c3d7e2b48069ab34c5": "reserved2",
}

# codes of uintN and intN: bytes, signed
INTEGERS = {
    6: (1, False), 7: (1, True), 8: (2, False), 9: (2, True),
    10: (4, False), 11: (4, True), 12: (5, False), 13: (5, True),
    14: (8, False), 15: (8, True),
}
# codes of one zstd frame around another form; 1 is plain bytes
ZSTD = {16: 3, 17: 5, 22: 19, 23: 20, 24: 21, 25: None, 26: None, 27: 1,
        29: 28, 31: 30}


def number(data):
    return int.from_bytes(data, "little")


def digest(key):
    return hashlib.blake2s(key, digest_size=HASH_LEN).digest()


class NotBooklet(Exception):
    """The file's header is none."""


class Header:
    def __init__(self, data):
        if len(data) < HEADER_LEN:
            raise NotBooklet(f"{len(data)} bytes are no header")
        if data[:16] not in (VARIABLE, FIXED):
            raise NotBooklet("no booklet file: the first 16 bytes differ")
        self.raw = data[:HEADER_LEN]
        self.fixed = data[:16] == FIXED
        self.version = number(data[16:18])
        self.position_len = data[18]
        self.key_len_len = data[19]
        self.value_len_len = data[20]
        self.n_buckets = number(data[21:25])
        self.deprecated = number(data[25:29])
        self.value_serializer = number(data[29:31])
        self.key_serializer = number(data[31:33])
        self.n_keys = number(data[33:37])
        self.value_len = number(data[37:41])
        self.timestamps_byte = data[41]
        self.file_timestamp = number(data[42:49])
        self.uuid = data[49:65]
        self.unused = data[77:200]
        self.timestamps = (self.timestamps_byte == 1 and not self.fixed
                           and self.version != 3)
        self.index_offset = self.position(data[65:71], HEADER_LEN)
        self.index_end = self.index_offset + 6 * self.n_buckets
        self.data_offset = self.position(data[71:77],
                                         HEADER_LEN + 6 * self.n_buckets)
        self.block_header_len = (HASH_LEN + 6 + 2 + (0 if self.fixed else 4)
                                 + (7 if self.timestamps else 0))

    @staticmethod
    def position(data, default):
        return default if data in (bytes(6), SENTINEL) else number(data)

    def faults(self):
        """Yields (position, text)."""
        if self.version == 0:
            yield 16, "version 0: the file is open, or its writer died"
        elif self.version < 3:
            yield 16, f"version {self.version}: Python refuses it"
        for at, name, have, want in (
                (18, "bytes of a position", self.position_len, 6),
                (19, "bytes of a key length", self.key_len_len, 2),
                (20, "bytes of a value length", self.value_len_len,
                 0 if self.fixed else 4),
                (25, "the deprecated field", self.deprecated, 0)):
            if have != want:
                yield at, f"{name}: {have}, should be {want}"
        if self.n_buckets == 0:
            yield 21, "no buckets"
        if self.fixed and self.value_serializer != 0:
            yield 29, "a value serializer in a fixed-length file"
        if self.value_serializer > 32:
            yield 29, f"no value serializer has code {self.value_serializer}"
        if self.key_serializer > 32:
            yield 31, f"no key serializer has code {self.key_serializer}"
        if self.fixed != (self.value_len != 0):
            yield 37, f"value_len is {self.value_len}"
        if self.timestamps_byte > (0 if self.fixed else 1):
            yield 41, f"the timestamp byte is {self.timestamps_byte}"
        if set(self.unused) not in ({0}, {0x30}):
            yield 77, "bytes 77-199 are neither all 0 nor all 0x30"

    def fields(self):
        """The fields as .expect files name them."""
        rows = {
            "first_data_block_pos": self.data_offset,
            "fixed": int(self.fixed),
            "index_offset": self.index_offset,
            "key_serializer": self.key_serializer,
            "n_buckets": self.n_buckets,
            "n_keys": self.n_keys,
            "timestamps": int(self.timestamps),
            "uuid": self.uuid.hex(),
            "value_serializer": self.value_serializer,
            "version": self.version,
        }
        if self.fixed:
            rows["value_len"] = self.value_len
        return rows


class Block:
    __slots__ = ("pos", "end", "hash", "next", "key", "value", "timestamp")

    @property
    def live(self):
        return self.next != 0


class Store:
    """A file's bytes, taken apart; faults holds (position, text)."""

    def __init__(self, data, allow_open=False):
        self.data = data
        self.header = Header(data)
        self.allow_open = allow_open
        self.blocks = []
        self.index = b""
        self.faults = list(self.header.faults())
        if self._check_layout():
            for start, end in self.regions():
                self._walk(start, end)
            self.live = {b.pos: b for b in self.blocks if b.live}
            self._check_blocks()
            self._check_chains()
            self._check_count()
        else:
            self.live = {}

    def fault(self, pos, text):
        self.faults.append((pos, text))

    def regions(self):
        """(start, end) of the data regions."""
        h = self.header
        if h.index_offset == HEADER_LEN:
            return [(h.data_offset, len(self.data))]
        return [(h.data_offset, h.index_offset), (h.index_end, len(self.data))]

    def items(self):
        """Live user blocks by key."""
        return {b.key: b for b in self.live.values() if b.key not in HIDDEN}

    def hidden(self):
        """Live hidden blocks by what they are."""
        return {HIDDEN[b.key]: b for b in self.live.values()
                if b.key in HIDDEN}

    def follow(self, pos):
        """The blocks of a chain that is sound, from the one at pos on."""
        chain = []
        while pos > 1:
            chain.append(self.live[pos])
            pos = chain[-1].next
        return chain

    def entry_of(self, block):
        """Where the index has the chain that a block belongs to."""
        h = self.header
        return h.index_offset + 6 * (number(block.hash) % h.n_buckets)

    def _check_layout(self):
        h, size, before = self.header, len(self.data), len(self.faults)
        if h.index_offset < HEADER_LEN:
            self.fault(65, f"the index begins at {h.index_offset}")
        elif h.index_end > size:
            self.fault(65, f"the index ends at {h.index_end}, "
                           f"the file at {size}")
        if h.index_offset == HEADER_LEN:
            if h.data_offset != h.index_end:
                self.fault(71, f"data begins at {h.data_offset}, the index in "
                               f"front of it ends at {h.index_end}")
        elif not HEADER_LEN <= h.data_offset <= h.index_offset:
            self.fault(71, f"data begins at {h.data_offset}, the index at "
                           f"{h.index_offset}")
        self.index = self.data[h.index_offset:h.index_end]
        return len(self.faults) == before

    def _walk(self, pos, end):
        h, data = self.header, self.data
        while pos < end:
            if pos + h.block_header_len > end:
                self.fault(pos, f"{end - pos} bytes are left of the region: "
                                "no room for a block")
                return
            b = Block()
            b.pos = pos
            b.hash = data[pos:pos + HASH_LEN]
            b.next = number(data[pos + 13:pos + 19])
            key_len = number(data[pos + 19:pos + 21])
            value_len = (h.value_len if h.fixed
                         else number(data[pos + 21:pos + 25]))
            b.timestamp = (number(data[pos + 25:pos + 32]) if h.timestamps
                           else None)
            key_at = pos + h.block_header_len
            b.end = key_at + key_len + value_len
            if b.end > end:
                self.fault(pos, f"a block with key length {key_len} and value "
                                f"length {value_len} ends at {b.end}, behind "
                                f"its region's end {end}")
                return
            b.key = data[key_at:key_at + key_len]
            b.value = data[key_at + key_len:b.end]
            self.blocks.append(b)
            pos = b.end

    def _check_blocks(self):
        by_key = {}
        for b in self.live.values():
            if digest(b.key) != b.hash:
                self.fault(b.pos, f"the hash is {b.hash.hex()}, that of its "
                                  f"key {shown(b.key)} {digest(b.key).hex()}")
            if b.key in by_key:
                self.fault(b.pos, f"key {shown(b.key)} is live at "
                                  f"{by_key[b.key]} too")
            by_key[b.key] = b.pos
            if self.header.fixed and b.key in HIDDEN:
                self.fault(b.pos, f"a {HIDDEN[b.key]} entry in a fixed-length "
                                  "file")

    def _entries(self):
        """(bucket, position) of the buckets that are not empty."""
        step = 6 * 4096
        empty = b"\x01\0\0\0\0\0" * 4096
        for at in range(0, len(self.index), step):
            part = self.index[at:at + step]
            if part == empty[:len(part)]:
                continue
            for i in range(0, len(part), 6):
                pos = number(part[i:i + 6])
                if pos > 1:
                    yield (at + i) // 6, pos

    def _check_chains(self):
        h = self.header
        reached = {}
        dead = {b.pos for b in self.blocks if not b.live}
        for bucket, pos in self._entries():
            came_from = h.index_offset + 6 * bucket
            while pos > 1:
                if pos not in self.live:
                    what = ("a dead block" if pos in dead
                            else "no block begins there")
                    self.fault(came_from, f"bucket {bucket} leads to {pos}: "
                                          f"{what}")
                    break
                if pos in reached:
                    what = ("its chain is a ring" if reached[pos] == bucket
                            else f"bucket {reached[pos]} does too")
                    self.fault(came_from, f"bucket {bucket} leads to {pos}: "
                                          f"{what}")
                    break
                reached[pos] = bucket
                right = number(self.live[pos].hash) % h.n_buckets
                if right != bucket:
                    self.fault(pos, f"reached from bucket {bucket}, belongs "
                                    f"to {right}")
                came_from = pos + HASH_LEN
                pos = self.live[pos].next
        for pos in self.live:
            if pos not in reached:
                self.fault(pos, f"live, but not in its chain: key "
                                f"{shown(self.live[pos].key)}")

    def _check_count(self):
        count = len(self.items())
        have = self.header.n_keys
        if have == NOT_CLOSED:
            if not self.allow_open:
                self.fault(33, "n_keys is 0xFFFFFFFF: not closed properly")
        elif have != count:
            self.fault(33, f"n_keys is {have}, live keys are {count}")

    def check_loads(self):
        """Adds a fault for every live user entry that does not load."""
        h = self.header
        for b in sorted(self.items().values(), key=lambda b: b.pos):
            for what, code, data in (
                    ("key", h.key_serializer, b.key),
                    ("value", h.value_serializer, b.value)):
                if h.fixed and what == "value":
                    continue
                why = why_not_loaded(code, data)
                if why:
                    self.fault(b.pos, f"the {what} of {shown(b.key)} does not "
                                      f"load (serializer {code}): {why}")
        metadata = self.hidden().get("metadata")
        if metadata and why_not_loaded(4, metadata.value):
            self.fault(metadata.pos, "the metadata is no JSON document")


def shown(key):
    return repr(key if len(key) <= 60 else key[:60] + b"...")[1:]


def no_constant(name):
    raise ValueError(f"{name} is no JSON")


def unzstd(data):
    run = subprocess.run(["zstd", "-dcq"], input=data, capture_output=True,
                         check=False)
    if run.returncode != 0 or not data:
        raise ValueError(run.stderr.decode(errors="replace").strip()
                         or "no zstd frame")
    return run.stdout


def load(code, data):
    """Raises ValueError where data cannot be what the serializer wrote."""
    if code in ZSTD:
        inner = unzstd(data)
        if ZSTD[code] is not None:
            load(ZSTD[code], inner)
    elif code in (0, 1, 32):
        pass
    elif code == 2:
        data.decode("utf-8")
    elif code in (4, 5):
        # orjson takes UTF-8 without a byte order mark and no NaN
        json.loads(data if code == 4 else data.decode("utf-8"),
                   parse_constant=None if code == 4 else no_constant)
    elif code in INTEGERS:
        width, _ = INTEGERS[code]
        if len(data) != width:
            raise ValueError(f"{len(data)} bytes, not {width}")
    elif code == 3:
        # reads the opcodes and executes nothing
        stream = io.BytesIO(data)
        for _ in pickletools.genops(stream):
            pass
    elif not data:
        raise ValueError("empty")


def why_not_loaded(code, data):
    try:
        load(code, data)
    except FileNotFoundError:
        return "the zstd command is missing, cannot tell"
    except (ValueError, RecursionError) as error:
        return str(error) or type(error).__name__
    return None


def read(path):
    with open(path, "rb") as f:
        return f.read()


def check(path, allow_open=False, loads=False):
    """The faults of a file, as lines; none where it is a sound booklet."""
    try:
        store = Store(read(path), allow_open)
    except NotBooklet as error:
        return [f"{path}: {error}"]
    if loads:
        store.check_loads()
    return [f"{path}: at {pos}: {text}" for pos, text in store.faults]


def hex_or_dash(data):
    return data.hex() or "-"


def dump(store):
    """The items' lines, sorted as the C locale sorts them."""
    return sorted(
        f"{hex_or_dash(b.key)} {hex_or_dash(b.value)} "
        f"{'-' if b.timestamp is None else b.timestamp}"
        for b in store.items().values())


def hidden(store):
    rows = []
    for name, b in sorted(store.hidden().items()):
        # the document, however it is spaced
        value = (json.dumps(json.loads(b.value)) if name == "metadata"
                 else b.value.hex())
        rows.append(f"# {name} {value}")
    return rows


def header(store):
    return [f"# {name} {value}"
            for name, value in sorted(store.header.fields().items())]


def print_lines(lines):
    sys.stdout.writelines(line + "\n" for line in lines)


def main():
    parser = argparse.ArgumentParser(
        description="Checks booklet files, or prints what one holds.")
    what = parser.add_mutually_exclusive_group()
    for name, text in (("dump", "print the items, sorted"),
                       ("hidden", "print metadata and reserved slots"),
                       ("header", "print the header's fields")):
        what.add_argument("--" + name, dest="what", action="store_const",
                          const=name, help=text)
    parser.add_argument("--allow-open", action="store_true",
                        help="n_keys of 0xFFFFFFFF is no fault")
    parser.add_argument("--loads", action="store_true",
                        help="every key and value must load in Python too")
    parser.add_argument("file", nargs="+")
    args = parser.parse_args()

    found = False
    for path in args.file:
        try:
            if args.what:
                store = Store(read(path), args.allow_open)
                print_lines({"dump": dump, "hidden": hidden,
                             "header": header}[args.what](store))
                # what was printed came from a file with faults: say so
                faults = [f"{path}: at {pos}: {text}"
                          for pos, text in store.faults]
                for line in faults:
                    print(line, file=sys.stderr)
            else:
                faults = check(path, args.allow_open, args.loads)
                print_lines(faults)
        except (NotBooklet, OSError, ValueError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            faults = [error]
        found = found or bool(faults)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
