"""seqlib - for tests of blt seq, on a store and on a mount: what it prints, and
the same random changes to a sequence and to a list."""

import json
import os
import random


def parsed(lines):
    """The items that iter or slice has printed."""
    return [json.loads(line) for line in lines.split(b"\n") if line]


def changes(seq, model, other, usual):
    """Changes a sequence with seq(VERB, *args, stdin=...) and the list model
    the same way, and yields the number of each change once it is made.  One in
    six is made, to both, by other(at, text, args): at is a position; args are
    the fields of a record or [], for a value that is text.  SEQ_CHANGES sets
    how many there are, SEQ_SEED which."""
    rng = random.Random(int(os.environ.get("SEQ_SEED", "1")))
    for i in range(int(os.environ.get("SEQ_CHANGES", str(usual)))):
        n, what, text = len(model), rng.randrange(6), str(i)
        at = rng.randrange(-n, n) if n else 0
        record = rng.random() < 0.5
        value = {"v": text} if record else text
        args = [f"v={text}"] if record else []
        if what < 2 or n < 3:
            seq("insert", str(at), *args, stdin=text.encode())
            model.insert(at, value)
        elif what == 2:
            seq("delete", str(at))
            del model[at]
        elif what == 3:
            to = rng.randrange(-n, n)
            seq("move", str(at), str(to))
            model.insert(to % n, model.pop(at))
        elif what == 4:
            seq("set", str(at), *args, stdin=text.encode())
            model[at] = value
        else:
            other(at, text, args)
        yield i
