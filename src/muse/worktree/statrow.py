"""Rows of the stat cache: what a directory looked like when its files were known to be those of a tree.

A row says: the directory with the tree `tree_id` was on disk, and these of its files had these stats while
their content was the tree's. It is a fact that stays true, so an old or unwanted row is never wrong, only
useless, and the whole cache may be dropped at any time. One row per directory, little-endian:

    version 1; tree id, 32 bytes; key of the ignore rules, 16 bytes         u8, bytes
    number of files, of directories and submodules, of ignored names        3 × u32
    of each file: mode, size, mtime in ns, ctime in ns, inode               u64 u64 i64 i64 u64
    of each file, then of each directory and submodule: kind                1 letter
    of each of these: id                                                    32 bytes
    names of all of these, then the ignored names                           UTF-8, NUL between them
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter

from muse.objects.ids import ID_BYTES
from muse.objects.tree import DIRECTORY, SUBMODULE, Entry

Stats = tuple[int, int, int, int, int]
"""mode, size, mtime in ns, ctime in ns, inode: when none of them changed, the content has not."""

stats_of: Callable[[os.stat_result], Stats] = attrgetter(
    "st_mode", "st_size", "st_mtime_ns", "st_ctime_ns", "st_ino"
)

VERSION = 1
_HEADER = struct.Struct("<B32s16sIII")
_STATS = struct.Struct("<QQqqQ")
STATS_BYTES = _STATS.size

RACY_NS = 100_000_000
"""Time stamps of files move in steps of up to 10 ms (the kernel's tick), more on network file systems."""
RACY_COARSE_NS = 2_000_000_000
"""FAT counts in steps of two seconds."""


def is_settled(stats: Stats, read_at_ns: int) -> bool:
    """Say whether any later change must show in the stats, for a file read at `read_at_ns`.

    A file written twice within one step of the clock has the same time stamp and perhaps the same size after
    both; if it was read in between, its stats say "unchanged" for ever. So stats count only when the file was
    last modified clearly before it was read. They count as well when the inode changed after the content did
    (mtime before ctime, by the file system's own clock): whatever is written later gets an mtime not before
    that ctime. Checkout makes its files so.
    """
    mtime_ns = stats[2]
    if mtime_ns % 1_000_000_000 == 0:
        return mtime_ns + RACY_COARSE_NS <= read_at_ns
    return mtime_ns < stats[3] or mtime_ns + RACY_NS <= read_at_ns


def pack_stats(stats: Stats) -> bytes:
    """Return stats in the form in which rows keep them, a fifth of the size."""
    return _STATS.pack(*stats)


def packed_size(packed: bytes) -> int:
    """Return the size in packed stats."""
    return int.from_bytes(packed[8:16], "little")


class StatRow:
    """A decoded row. `stats` maps files to their stats, `ignored` are names left out under `rules_key`."""

    __slots__ = (
        "_ids",
        "_index",
        "_kinds",
        "_names",
        "directories",
        "ignored",
        "rules_key",
        "stats",
        "tree_id",
    )

    def __init__(self, data: bytes) -> None:
        version, self.tree_id, self.rules_key, files, others, ignored = _HEADER.unpack_from(data)
        if version != VERSION:
            raise ValueError("a row of another version")
        total = files + others
        kind_start = _HEADER.size + files * _STATS.size
        id_start = kind_start + total
        name_start = id_start + total * ID_BYTES
        names = data[name_start:].decode("utf-8", "surrogateescape").split("\0") if total + ignored else []
        if len(names) != total + ignored:
            raise ValueError("a row with more or fewer names than it says")
        self.stats: dict[str, Stats] = dict(
            zip(names, _STATS.iter_unpack(data[_HEADER.size : kind_start]), strict=False)
        )
        self._names = names
        self._kinds = data[kind_start:id_start].decode("ascii")
        self._ids = data[id_start:name_start]
        self._index: dict[str, int] | None = None
        self.directories = {names[i] for i in range(files, total)}
        self.ignored = frozenset(names[total:])

    def find_entry(self, name: str) -> Entry | None:
        """Return the tree's entry; for a directory without its totals, which are not kept here."""
        if name not in self.stats and name not in self.directories:
            return None
        size = self.stats[name][1] if name in self.stats else 0
        position = self._position(name)
        object_id = self._ids[position * ID_BYTES : (position + 1) * ID_BYTES]
        return Entry(name, self._kinds[position], object_id, size)

    def _position(self, name: str) -> int:
        if self._index is None:
            self._index = {name: i for i, name in enumerate(self._names[: len(self._kinds)])}
        return self._index[name]


def decode_row(data: bytes | None) -> StatRow | None:
    """Decode a row; None when there is none or it cannot be understood, which only costs time."""
    if data is None:
        return None
    try:
        return StatRow(data)
    except (struct.error, ValueError):
        return None


def encode_row(
    tree_id: bytes,
    entries: Iterable[Entry],
    stats: Mapping[str, bytes],
    rules_key: bytes,
    ignored: Iterable[str] = (),
) -> bytes:
    """Encode the row of a directory with these entries.

    `stats` holds packed stats by name; a file without any gets such as no file has, so its content must be
    looked at.
    """
    files: list[Entry] = []
    others: list[Entry] = []
    for entry in entries:
        (others if entry.kind == DIRECTORY or entry.kind == SUBMODULE else files).append(entry)
    left_out = list(ignored)
    head = _HEADER.pack(VERSION, tree_id, rules_key, len(files), len(others), len(left_out))
    get, pack = stats.get, _STATS.pack
    columns = [head, b"".join(get(entry.name) or pack(0, entry.size_bytes, 0, 0, 0) for entry in files)]
    files += others
    columns.append("".join([entry.kind for entry in files]).encode("ascii"))
    columns.append(b"".join([entry.id for entry in files]))
    names = "\0".join([*[entry.name for entry in files], *left_out])
    columns.append(names.encode("utf-8", "surrogateescape"))
    return b"".join(columns)
