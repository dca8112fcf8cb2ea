"""Two texts compared line by line."""

from __future__ import annotations

from typing import NamedTuple

CONTEXT_LINES = 3
MATCHED_PAIRS_MAX = 10_000_000
"""Beyond so many pairs of lines matching may take minutes: all of them are then removed and added."""


class Line(NamedTuple):
    """`mark` is `+`, `-` or a space; a number, from 1, is None on the side that lacks the line."""

    mark: str
    old_number: int | None
    new_number: int | None
    text: str


class Hunk(NamedTuple):
    """Changes with up to three equal lines around them; `header` is that of a unified diff."""

    header: str
    lines: list[Line]


class TextDifference(NamedTuple):
    hunks: list[Hunk]
    added_lines: int
    deleted_lines: int


def compare_lines(old: list[str], new: list[str]) -> TextDifference:
    """Return the unified diff of two texts; equal heads and tails, most of any edit, cost one pass."""
    head = 0
    shortest = min(len(old), len(new))
    while head < shortest and old[head] == new[head]:
        head += 1
    if head == len(old) == len(new):
        return TextDifference([], 0, 0)
    tail = 0
    while tail < shortest - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    hunks = []
    added = deleted = 0
    for group in _groups(_opcodes(old, new, head, tail)):
        lines: list[Line] = []
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                lines += [Line(" ", i + 1, i - i1 + j1 + 1, old[i]) for i in range(i1, i2)]
                continue
            lines += [Line("-", i + 1, None, old[i]) for i in range(i1, i2)]
            lines += [Line("+", None, j + 1, new[j]) for j in range(j1, j2)]
            deleted += i2 - i1
            added += j2 - j1
        first, last = group[0], group[-1]
        hunks.append(Hunk(f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@", lines))
    return TextDifference(hunks, added, deleted)


_Opcode = tuple[str, int, int, int, int]


def _opcodes(old: list[str], new: list[str], head: int, tail: int) -> list[_Opcode]:
    """How `old` becomes `new`, with one equal stretch before and after all else; positions in the whole."""
    from difflib import SequenceMatcher

    middle_old, middle_new = old[head : len(old) - tail], new[head : len(new) - tail]
    codes: list[_Opcode] = [("equal", 0, head, 0, head)]
    if len(middle_old) * len(middle_new) > MATCHED_PAIRS_MAX:
        codes.append(("replace", head, len(old) - tail, head, len(new) - tail))
    else:
        for tag, i1, i2, j1, j2 in SequenceMatcher(None, middle_old, middle_new).get_opcodes():
            codes.append((tag, i1 + head, i2 + head, j1 + head, j2 + head))
    codes.append(("equal", len(old) - tail, len(old), len(new) - tail, len(new)))
    return [code for code in codes if code[1] < code[2] or code[3] < code[4]]


def _groups(codes: list[_Opcode]) -> list[list[_Opcode]]:
    """Cut where more lines are equal than the context of two changes."""
    groups: list[list[_Opcode]] = [[]]
    for position, (tag, i1, i2, j1, j2) in enumerate(codes):
        if tag != "equal":
            groups[-1].append((tag, i1, i2, j1, j2))
            continue
        after = CONTEXT_LINES if position > 0 else 0
        before = CONTEXT_LINES if position < len(codes) - 1 else 0
        if i2 - i1 <= after + before:
            groups[-1].append((tag, i1, i2, j1, j2))
            continue
        if after:
            groups[-1].append((tag, i1, i1 + after, j1, j1 + after))
        if before:
            if groups[-1]:
                groups.append([])
            groups[-1].append((tag, i2 - before, i2, j2 - before, j2))
    return [group for group in groups if group]


def _range(start: int, end: int) -> str:
    length = end - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"
