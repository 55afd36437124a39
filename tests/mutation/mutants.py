"""Random single-line mistakes in C, as people make them.

    mutants(path, text)    every mutant of a file: Mutant objects
    mutant.apply(text)     the text with the mistake in it

A mutant never changes the number of lines, so that only the code of its own
line differs in the object file.  Comments, strings, preprocessor lines and
declarations without code are left alone.  Whether a mutant compiles, and
whether the compiler makes the same code of it, is for the caller to find out.
"""

import re

# A kind, and what replaces what; the pattern sees code with its comments and
# the insides of its strings blanked out, so that positions stay as they are.
COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
LOGICAL = {"&&": "||", "||": "&&"}
ARITHMETIC = {"+": "-", "-": "+"}
ERRORS = ["EIO", "EINVAL", "ENOENT", "EAGAIN", "ENOSPC", "EUCLEAN", "EBUSY"]
BLANKED = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
                     re.S)
LOCK = re.compile(r"^(\s*)((?:pthread_(?:mutex|rwlock)|\w+?)_(?:rd|wr)?lock)"
                  r"\((.+)\);$")


class Mutant:
    """One mistake: lines, by number from 0, and what they become."""

    def __init__(self, path, kind, lines, old, new):
        self.path, self.kind, self.lines = path, kind, lines
        self.old, self.new = old.strip(), new.strip()

    def apply(self, text):
        rows = text.split("\n")
        for number, row in self.lines.items():
            rows[number] = row
        return "\n".join(rows)

    def place(self):
        return f"{self.path}:{min(self.lines) + 1}"

    def __str__(self):
        return f"{self.kind}: {self.old}  ->  {self.new}"


def blank(text):
    """The code alone: comments and what is quoted become spaces."""
    def spaces(found):
        inside = found.group(0)
        if inside[0] in "\"'":
            return inside[0] + "_" * (len(inside) - 2) + inside[0]
        return re.sub(r"[^\n]", " ", inside)
    return BLANKED.sub(spaces, text)


def replaced(row, start, end, new):
    return row[:start] + new + row[end:]


def conditions(row, code):
    """if (X), while (X) and the like become if (!(X))."""
    found = re.match(r"\s*(?:\} else )?(?:if|while) \(", code)
    if not found:
        return
    depth, start = 1, found.end()
    for i in range(start, len(code)):
        depth += {"(": 1, ")": -1}.get(code[i], 0)
        if depth == 0:
            yield replaced(row, start, i, f"!({row[start:i]})")
            return


def operators(table, pattern):
    def found(row, code):
        for hit in re.finditer(pattern, code):
            yield replaced(row, hit.start(1), hit.end(1), table[hit.group(1)])
    return found


def constants(row, code):
    """A number is one too large; a shift, a size and an index may notice."""
    if re.match(r"\s*(?:case|#|static const|enum|\[)", code):
        return
    for hit in re.finditer(r"(?<![\w.\"])(\d+)(u|U|ul|UL|ull|ULL)?(?![\w.])", code):
        yield replaced(row, hit.start(1), hit.end(1), str(int(hit.group(1)) + 1))


def returns(row, code):
    """What is returned: nothing wrong where something was, and the reverse."""
    hit = re.match(r"\s*return (.+);$", code)
    if not hit:
        return
    value = row[hit.start(1):hit.end(1)]
    opposite = {"true": "false", "false": "true", "0": "1", "NULL": None}
    new = opposite.get(value, "0")
    if new and not value.startswith(("-E", "\"")):
        yield replaced(row, hit.start(1), hit.end(1), new)


def errors(row, code):
    """One error for another."""
    for hit in re.finditer(r"-(E[A-Z0-9]{2,})\b", code):
        for other in ERRORS:
            if other != hit.group(1):
                yield replaced(row, hit.start(1), hit.end(1), other)
                break


def statements(row, code):
    """A call or an assignment that is left out; what stays is an empty one."""
    if re.match(r"\t+(?:[\w>.\[\]-]+(?: [|&+-]?= |\+\+|--)|\w+\().*;$", code) \
            and not re.match(r"\s*(?:return|goto|break|continue|else)\b", code) \
            and not LOCK.match(code) and "unlock" not in code:
        yield re.match(r"\s*", row).group(0) + ";"


KINDS = {
    "condition": conditions,
    "comparison": operators(COMPARISONS, r"(?<![<>=!-])\s(<=|>=|==|!=|<|>)\s"),
    "logical": operators(LOGICAL, r"\s(&&|\|\|)(?=\s|$)"),
    "arithmetic": operators(ARITHMETIC, r"[\w)\]] ([+-]) (?=[\w(])"),
    "constant": constants,
    "return": returns,
    "error": errors,
    "statement": statements,
}


def locks(path, rows, codes):
    """A lock that nobody takes: its line and the unlocks of the same thing, to
    the end of the function."""
    for i, code in enumerate(codes):
        hit = LOCK.match(code)
        if not hit or "unlock" in hit.group(2) or "try" in hit.group(2):
            continue
        gone = {i: hit.group(1) + ";"}
        unlock = re.compile(r"^(\s*)\w*unlock\w*\(" + re.escape(hit.group(3)) +
                            r"\);$")
        for j in range(i + 1, len(codes)):
            if codes[j].startswith("}"):
                break
            other = unlock.match(codes[j])
            if other:
                gone[j] = other.group(1) + ";"
        if len(gone) > 1:
            yield Mutant(path, "lock", gone, rows[i], "not locked")


def mutants(path, text):
    """All mutants of a file."""
    rows, codes = text.split("\n"), blank(text).split("\n")
    found = list(locks(path, rows, codes))
    inside = False
    for i, (row, code) in enumerate(zip(rows, codes)):
        if code.startswith(("{", "}")):
            inside = code.startswith("{")
        if not inside or not code.startswith("\t") or code.lstrip().startswith("#"):
            continue
        for kind, make in KINDS.items():
            found += [Mutant(path, kind, {i: new}, row, new)
                      for new in make(row, code) if new != row]
    return found
