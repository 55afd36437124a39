"""The rule of names (doc/names.md) as a program: components and names of a
directory, for every set of components that are a key and a directory at once.
Run, it prints vectors for tests/unit/name.c."""

import itertools
import random
import re

WHOLE = re.compile(rb"%(25)*(2E|2E%2E)?\Z")
NULS = re.compile(rb"%((?:25)*)00")
SYMBOLS = [b"a", b"%", b"25", b"00", b"2E", b"."]


def static(comp):
    """The name of a component where nothing is both."""
    if comp == b"":
        return b"%"
    if comp in (b".", b".."):
        return b"%2E" * len(comp)
    if WHOLE.match(comp):
        return b"%25" + comp[1:]
    return re.sub(rb"%(?=(25)*00)", b"%25", comp).replace(b"\0", b"%00")


def component(name):
    """The component of such a name."""
    if name == b"%":
        return b""
    if name in (b"%2E", b"%2E%2E"):
        return b"." * name.count(b"%")
    if WHOLE.match(name):
        return b"%" + name[3:]
    return NULS.sub(lambda m: b"%" + m[1][2:] + b"00" if m[1] else b"\0", name)


def split(name):
    """What a name has in front of its last group, and the group's length."""
    m = re.match(rb"(.+)%((?:25)*)\Z", name, re.S)
    return (m[1], len(m[2]) // 2) if m else (name, -1)


def shown(comp, both):
    """The name of a component."""
    name = static(comp)
    front, k = split(name)
    if k < 0 or WHOLE.match(name):
        return name
    base = component(front)
    if static(base) != front:  # "." and ".." are no names
        return name
    return shown(base, both) + b"%" + b"25" * (k + (base in both))


def meant(name, both):
    """The component of a name, None where it is nothing; and whether it is
    the key beside the directory."""
    front, k = split(name)
    if k < 0 or WHOLE.match(name) or front in (b".", b".."):
        return component(name), False
    base, beside = meant(front, both)
    if beside or base is None:
        return None, False
    if base in both and k == 0:
        return base, True
    k -= base in both
    return component(static(base) + b"%" + b"25" * k), False


def words(longest, symbols=tuple(SYMBOLS)):
    """All words of up to that many symbols, but for "." and ".."."""
    return sorted({b"".join(t) for n in range(1, longest + 1)
                   for t in itertools.product(symbols, repeat=n)}
                  - {b".", b".."})


def main():
    rnd = random.Random(1)
    names = words(5)
    comps = words(4, SYMBOLS + [b"\0"]) + [b"", b".", b".."]
    comps += [bytes(rnd.choice(b"%\0.250E\xffab") for _ in range(rnd.randrange(1, 60)))
              for _ in range(3000)]
    comps += [rnd.randbytes(rnd.randrange(1, 80)).replace(b"/", b"%")
              for _ in range(1000)]
    line = lambda kind, *what: print(kind, *(w.hex() or "-" for w in what))
    for comp in comps:
        line("N", shown(comp, ()), comp)
    for name in names:
        line("N", name, meant(name, ())[0])
    small = [c for c in comps if len(c) <= 8]
    odd = [b"a", b"a%", b"%", b"a%25", b"", b".", b"%25", b"a%%"]
    for _ in range(60):
        both = set(rnd.sample(small, 3)) | set(rnd.sample(odd, 3))
        line("B", *sorted(both))
        for comp in (rnd.sample(small, 300) + sorted(both) +
                     [b + s for b in sorted(both)
                      for s in (b"%", b"%25", b"%2525", b"%%", b"%25%")]):
            line("N", shown(comp, both), comp)
            if comp in both:
                line("F", shown(comp, both) + b"%", comp)
        for name in rnd.sample(names, 400):
            comp, beside = meant(name, both)
            if comp is None:
                line("X", name)
            else:
                line("F" if beside else "N", name, comp)


if __name__ == "__main__":
    main()
