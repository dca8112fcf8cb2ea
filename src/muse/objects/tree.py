"""Trees: one directory each, or one page of a large directory (docs/formats/objects.md, "Trees").

The encoding is columnar: all kinds, all ids, all sizes, all file counts, then all names. Fixed-width
columns have exactly one encoding, decode at the speed of `struct`, and compress well side by side.
"""

from __future__ import annotations

import operator
import struct
from typing import NamedTuple

from muse.errors import InvalidData
from muse.objects.ends import equal_back, equal_front
from muse.objects.ids import ID_BYTES
from muse.objects.names import check_names, is_plain_column

TYPE_LINE = b"muse tree 1\n"
HEADER = struct.Struct("<BI")
MAX_LEVEL = 8
MAX_ENTRIES = 1 << 20
WORTH_COMPARING = 12
"""Entries from which looking for the changed ones costs less than looking each of them up."""
MAX_KEPT_COLUMN = 256

FILE = "f"
EXECUTABLE = "x"
CHUNKED_FILE = "c"
CHUNKED_EXECUTABLE = "k"
SYMLINK = "l"
SUBMODULE = "s"
DIRECTORY = "d"
PAGE = "p"

BLOB_KINDS = frozenset("fxl")
CHUNKED_KINDS = frozenset("ck")
FILE_KINDS = frozenset("fxck")
EXECUTABLE_KINDS = frozenset("xk")
_ENTRY_KIND_BYTES = b"fxcklsd"

_id_columns: dict[int, struct.Struct] = {}
"""Layouts of the ids of nodes with so many entries: making one costs as much as using it twice."""


class Entry(NamedTuple):
    """One name in a directory.

    `id` names a blob (file, executable, symlink target), a chunk list (chunked kinds), a tree (directory) or,
    for a submodule, holds a Git commit id padded with zero bytes to 32. `size_bytes` is the size of the
    content, for a directory of everything below it; `files` counts what is below (1 for anything but a
    directory).
    """

    name: str
    kind: str
    id: bytes
    size_bytes: int
    files: int = 1


class Page(NamedTuple):
    """A page of a large directory as its index node sees it; `entries` counts names, `files` recursively."""

    last_name: str
    id: bytes
    size_bytes: int
    files: int
    entries: int


class Tree(NamedTuple):
    """A decoded node: level 0 has entries, a higher level has pages of the level below."""

    level: int
    entries: list[Entry]
    pages: list[Page]


def encode_entries(entries: list[Entry]) -> bytes:
    """Encode a leaf: entries sorted by name, names unique and valid."""
    names, kinds, ids, sizes, files = zip(*entries, strict=True) if entries else ((), (), (), (), ())
    check_names(list(names))
    n = len(entries)
    return b"".join(
        (
            TYPE_LINE,
            HEADER.pack(0, n),
            "".join(kinds).encode("ascii"),
            *ids,
            struct.pack(f"<{2 * n}Q", *sizes, *files),
            "\0".join(names).encode(),
        )
    )


def encode_pages(level: int, pages: list[Page]) -> bytes:
    """Encode an index node over `pages`, which are nodes of `level - 1` in order."""
    names, ids, sizes, files, entries = zip(*pages, strict=True)
    n = len(pages)
    return b"".join(
        (
            TYPE_LINE,
            HEADER.pack(level, n),
            PAGE.encode() * n,
            *ids,
            struct.pack(f"<{3 * n}Q", *sizes, *files, *entries),
            "\0".join(names).encode(),
        )
    )


def _bad(reason: str) -> InvalidData:
    return InvalidData("bad-object", f"not a canonical tree: {reason}")


def read_columns(data: bytes) -> tuple[int, str, list[bytes], list[str]]:
    """Return level, kinds, ids and names of a node that was validated before; far cheaper than decoding."""
    level, n = HEADER.unpack_from(data, len(TYPE_LINE))
    start = len(TYPE_LINE) + HEADER.size
    id_start = start + n
    number_start = id_start + ID_BYTES * n
    ids = [data[i : i + ID_BYTES] for i in range(id_start, number_start, ID_BYTES)]
    text = data[number_start + (24 if level else 16) * n :].decode()
    return level, data[start:id_start].decode("ascii"), ids, text.split("\0") if n else []


def read_ids(data: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """Return kinds and ids of a node that was validated before: half the cost of `read_columns`."""
    n = HEADER.unpack_from(data, len(TYPE_LINE))[1]
    id_start = len(TYPE_LINE) + HEADER.size + n
    column = _id_columns.get(n)
    if column is None:
        column = struct.Struct(f"{ID_BYTES}s" * n)
        if n < MAX_KEPT_COLUMN:
            _id_columns[n] = column
    return data[id_start - n : id_start], column.unpack_from(data, id_start)


def read_changed_ids(data: bytes, before: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """Return kinds and ids as `read_ids` does, but nothing of what `before` begins and ends with, too.

    Of an edited directory of fifty entries a tenth is left to be looked up.
    """
    start = len(TYPE_LINE) + HEADER.size
    n = HEADER.unpack_from(data, len(TYPE_LINE))[1]
    m = HEADER.unpack_from(before, len(TYPE_LINE))[1]
    kinds, old_kinds = data[start : start + n], before[start : start + m]
    same = min(n, m)
    if same < WORTH_COMPARING or kinds[:same] != old_kinds[:same] or kinds[-same:] != old_kinds[-same:]:
        return read_ids(data)
    ids = data[start + n : start + n + ID_BYTES * n]
    old_ids = before[start + m : start + m + ID_BYTES * m]
    first = equal_front(ids, old_ids, same, ID_BYTES)
    stop = n - equal_back(ids, old_ids, same - first, ID_BYTES)
    changed = range(ID_BYTES * first, ID_BYTES * stop, ID_BYTES)
    return kinds[first:stop], tuple([ids[i : i + ID_BYTES] for i in changed])


def find_columns(data: bytes) -> tuple[int, int, int, int]:
    """Return level and count of a node, and where kinds and names begin; raises `bad-object`.

    Only that the columns lie within the data is checked.
    """
    start = len(TYPE_LINE)
    if data[:start] != TYPE_LINE or len(data) < start + HEADER.size:
        raise _bad("wrong type line or too short")
    level, n = HEADER.unpack_from(data, start)
    kind_start = start + HEADER.size
    name_start = kind_start + (1 + ID_BYTES + 8 * _numbers_per_entry(level)) * n
    if level > MAX_LEVEL or n > MAX_ENTRIES or name_start > len(data):
        raise _bad("more levels or entries than allowed, or truncated")
    return level, n, kind_start, name_start


def check_kinds(level: int, kinds: bytes) -> None:
    """Raise `bad-object` unless a node of this level may have entries of these kinds."""
    if level:
        if not kinds or kinds != PAGE.encode() * len(kinds):
            raise _bad("an index node holds pages, and nothing else")
    elif kinds.translate(None, _ENTRY_KIND_BYTES):
        raise _bad("unknown entry kind")


def parse_names(column: bytes, count: int) -> list[str]:
    """Return the names of a node; raises `bad-object`, `bad-path`."""
    try:
        text = column.decode()
    except UnicodeDecodeError:
        raise _bad("a name is not valid UTF-8") from None
    names = text.split("\0") if count else []
    if len(names) != count or (not count and text):
        raise _bad("the names do not fit the count")
    if any(map(operator.ge, names, names[1:])):
        raise _bad("names out of order")
    if not is_plain_column(column):
        check_names(names)
    return names


def decode_columns(data: bytes) -> tuple[int, str, list[bytes], list[str]]:
    """Validate one node and return level, kinds, ids and names; raises `bad-object` or `bad-path`.

    Half the cost of `decode_tree`, for those who want to know what a tree names.
    """
    level, n, kind_start, name_start = find_columns(data)
    id_start = kind_start + n
    number_start = id_start + ID_BYTES * n
    kinds = data[kind_start:id_start]
    names = parse_names(data[name_start:], n)
    check_kinds(level, kinds)
    ids = [data[i : i + ID_BYTES] for i in range(id_start, number_start, ID_BYTES)]
    return level, kinds.decode("ascii"), ids, names


def _numbers_per_entry(level: int) -> int:
    return 3 if level else 2


def decode_tree(data: bytes) -> Tree:
    """Decode and validate one node; raises `bad-object` or `bad-path`. About 0.5 µs per entry."""
    level, kinds, ids, names = decode_columns(data)
    n = len(ids)
    number_start = len(TYPE_LINE) + HEADER.size + (1 + ID_BYTES) * n
    numbers = struct.unpack_from(f"<{_numbers_per_entry(level) * n}Q", data, number_start)
    columns = (numbers[:n], numbers[n : 2 * n])
    if level:
        pages = list(map(Page._make, zip(names, ids, *columns, numbers[2 * n :], strict=True)))
        return Tree(level, [], pages)
    return Tree(0, list(map(Entry._make, zip(names, kinds, ids, *columns, strict=True))), [])
