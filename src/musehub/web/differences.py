"""Two versions of a file, line by line."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import NamedTuple

from musehub.web.highlight import split_lines

CONTEXT_LINES = 3
# Beyond it matching may take minutes; what is left is then shown as removed and added, which is true as well.
_MATCHED_PAIRS_MAX = 10_000_000


class DiffLine(NamedTuple):
    """`mark` is `+`, `-` or a space; a number is None on the side that lacks the line."""

    mark: str
    old_number: int | None
    new_number: int | None
    text: str


class Hunk(NamedTuple):
    header: str
    lines: list[DiffLine]


class TextDifference(NamedTuple):
    hunks: list[Hunk]
    added: int
    deleted: int
    ends_differ: bool
    """The versions differ in how lines end, or in the end of the last line, and perhaps nowhere else."""


def decode_text(data: bytes) -> str | None:
    """The text of a file, None if it is not one: it holds a NUL or many bytes that are not UTF-8."""
    if b"\0" in data[:8000]:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
        return text if text.count("�") <= len(text) // 10 else None


def compare_texts(old: str, new: str) -> TextDifference:
    """A unified diff with numbered lines."""
    a, b = split_lines(old), split_lines(new)
    head = 0
    shortest = min(len(a), len(b))
    while head < shortest and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < shortest - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    if head == len(a) == len(b):
        return TextDifference([], 0, 0, old != new)
    hunks = []
    added = deleted = 0
    for group in _groups(_opcodes(a, b, head, tail)):
        lines: list[DiffLine] = []
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                lines += [DiffLine(" ", i + 1, i - i1 + j1 + 1, a[i]) for i in range(i1, i2)]
                continue
            lines += [DiffLine("-", i + 1, None, a[i]) for i in range(i1, i2)]
            lines += [DiffLine("+", None, j + 1, b[j]) for j in range(j1, j2)]
            deleted += i2 - i1
            added += j2 - j1
        first, last = group[0], group[-1]
        hunks.append(Hunk(f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@", lines))
    return TextDifference(hunks, added, deleted, False)


_Opcode = tuple[str, int, int, int, int]


def _opcodes(a: list[str], b: list[str], head: int, tail: int) -> list[_Opcode]:
    """How `a` becomes `b`, with one equal stretch before and after all else; positions in the whole."""
    middle_a, middle_b = a[head : len(a) - tail], b[head : len(b) - tail]
    codes: list[_Opcode] = [("equal", 0, head, 0, head)]
    if len(middle_a) * len(middle_b) > _MATCHED_PAIRS_MAX:
        codes.append(("replace", head, len(a) - tail, head, len(b) - tail))
    else:
        for tag, i1, i2, j1, j2 in SequenceMatcher(None, middle_a, middle_b).get_opcodes():
            codes.append((tag, i1 + head, i2 + head, j1 + head, j2 + head))
    codes.append(("equal", len(a) - tail, len(a), len(b) - tail, len(b)))
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
