"""The tree part of an import: directories bottom up, from the objects of one commit at a time."""

from __future__ import annotations

from collections.abc import Callable

from muse.git.forgetting import forget_oldest
from muse.git.known import KnownObjects, Mapped, unknown_object
from muse.git.trees import (
    DIRECTORY_MODE,
    FILE_MODE,
    MODE_OF,
    MODES,
    SUBMODULE_MODE,
    RawItem,
    decode_name,
    escape_name,
    is_canonical,
    parse_tree,
    submodule_id,
    usual_mode,
)
from muse.history.directory import Directory, Load, Nodes, Put, build_directory, edit_directory
from muse.objects.ids import Kind
from muse.objects.paging import SMALL_DIRECTORY
from muse.objects.references import KIND_OF_ENTRY
from muse.objects.tree import SUBMODULE, Entry, encode_entries

MAX_PATHS = 50_000
MAX_ENTRIES = 150_000
"""Entries kept in memory, about 500 bytes each: most of a directory is as it was in its last version."""

Report = Callable[[bytes, str, str], None]
"""report(path, reason, what became of it): notes a loss, or raises where losses are not allowed."""

_ENTRY_KINDS = {(mode, KIND_OF_ENTRY[kind]): kind for kind, mode in MODE_OF.items() if kind in KIND_OF_ENTRY}
"""The kind of an entry by its mode in Git and what it is in muse."""


class TreeImporter:
    """Collects Git trees and stores them once all that they name is known."""

    def __init__(self, load: Load, put: Put, known: KnownObjects, id_bytes: int, report: Report) -> None:
        self._load = load
        self._put = put
        self._known = known
        self._id_bytes = id_bytes
        self._report = report
        self._pending: dict[bytes, tuple[bytes, bytes]] = {}
        self._entries: dict[RawItem, Entry] = {}
        self._last: dict[bytes, bytes] = {}
        self._large: dict[bytes, list[Entry]] = {}

    def add(self, git_id: bytes, path: bytes, data: bytes) -> None:
        """Take a tree; those in it may follow in any order before `store_all`."""
        self._pending[git_id] = (path, data)

    def store_all(self) -> None:
        """Store every tree taken since the last call; the blobs and older trees in them are known by now."""
        pending = self._pending
        # They came parents first: backwards, children are first, except for trees met in several places.
        for last in reversed(list(pending)):
            waiting = [last]
            while waiting:
                git_id = waiting[-1]
                if git_id not in pending:
                    waiting.pop()
                    continue
                path, data = pending[git_id]
                items = parse_tree(data, self._id_bytes)
                inner = [
                    item[2]
                    for item in items
                    if item[2] in pending and item[0] not in (SUBMODULE_MODE, FILE_MODE)
                ]
                if inner:
                    waiting += inner
                else:
                    self._known.add(git_id, self._store(git_id, path, items))
                    del pending[git_id]

    def _store(self, git_id: bytes, path: bytes, items: list[RawItem]) -> Mapped:
        exact = is_canonical(items)
        entries = list(map(self._entries.get, items))
        if None in entries:
            exact = self._make_entries(path, items, entries) and exact
        inexact = self._known.inexact
        if exact:
            if inexact and any(item[2] in inexact for item in items):
                exact = False
            directory: list[Entry] = entries  # type: ignore[assignment]
        else:
            directory = self._repair(path, items, entries)
        directory.sort()
        last = self._last.pop(path, None)
        if len(directory) <= SMALL_DIRECTORY:
            tree_id = self._put(Kind.TREE, encode_entries(directory), last)
            size_bytes, files = sum([entry[3] for entry in directory]), sum([entry[4] for entry in directory])
        else:
            tree_id, size_bytes, files, _ = self._store_large(path, directory, last)
        self._last[path] = tree_id
        return Mapped(Kind.TREE, tree_id, size_bytes, files, exact)

    def _store_large(self, path: bytes, directory: list[Entry], last: bytes | None) -> Directory:
        """Store a paged directory; where its previous version is at hand, only the pages that changed."""
        before = self._large.pop(path, None)
        self._large[path] = directory
        while sum(map(len, self._large.values())) > MAX_ENTRIES and len(self._large) > 1:
            del self._large[next(iter(self._large))]
        if before is None or last is None:
            old = Nodes(self._load, last) if last is not None else None
            return build_directory(directory, self._put, old)
        now, then = set(directory), set(before)
        changes: dict[str, Entry | None] = {entry.name: None for entry in then - now}
        changes.update((entry.name, entry) for entry in now - then)
        return edit_directory(self._load, last, changes, self._put)

    def _make_entries(self, path: bytes, items: list[RawItem], entries: list[Entry | None]) -> bool:
        """Fill in what was not in memory; False if something has no counterpart and stays None."""
        new = [position for position, entry in enumerate(entries) if entry is None]
        found = self._known.find_many(
            [items[position][2] for position in new if items[position][0] != SUBMODULE_MODE]
        )
        complete = True
        for position in new:
            entry = self._make_entry(items[position], found)
            if entry is None:
                complete = False
            else:
                entries[position] = self._entries[items[position]] = entry
        return complete

    def _make_entry(self, item: RawItem, found: dict[bytes, Mapped]) -> Entry | None:
        mode, raw_name, git_id = item
        name = decode_name(raw_name)
        if name is None or mode not in MODES:
            return None
        return _entry(name, mode, git_id, found)

    def _repair(self, path: bytes, items: list[RawItem], entries: list[Entry | None]) -> list[Entry]:
        """Return what of a directory muse can hold, and report the rest; the report may raise."""
        by_name: dict[str, Entry] = {}
        if sorted(items, key=_git_order) != items:
            self._report(path, "its entries are out of order", "sorted")
        names = {item[1] for item in items}
        for (mode, raw_name, git_id), known_entry in zip(items, entries, strict=True):
            inner = path + b"/" + raw_name if path else raw_name
            entry = known_entry
            if entry is None:
                name = decode_name(raw_name)
                if name is None:
                    name = escape_name(raw_name)
                    if name is None or name.encode() in names:
                        self._report(inner, "its name is not allowed", "left out")
                        continue
                    self._report(inner, "its name is not allowed or not UTF-8", f'renamed to "{name}"')
                if mode not in MODES:
                    usual = usual_mode(mode)
                    self._report(inner, f"its mode is {mode.decode()}", f"mode {usual.decode()}")
                    mode = usual
                entry = _entry(name, mode, git_id, self._known.find_many((git_id,)))
                if entry is None:
                    self._report(inner, "its mode does not fit its content", "left out")
                    continue
            if entry.name in by_name:
                self._report(inner, "its directory has the name twice", "left out")
                continue
            by_name[entry.name] = entry
        return list(by_name.values())

    def trim(self) -> None:
        """Forget the oldest half of what is kept in memory where it is too much."""
        forget_oldest(self._entries, MAX_ENTRIES)
        forget_oldest(self._last, MAX_PATHS)


def _git_order(item: RawItem) -> bytes:
    mode, name, _ = item
    return name + b"/" if usual_mode(mode) == DIRECTORY_MODE else name


def _entry(name: str, mode: bytes, git_id: bytes, found: dict[bytes, Mapped]) -> Entry | None:
    """Return the entry; None when muse has none of that mode and content."""
    if mode == SUBMODULE_MODE:
        return Entry(name, SUBMODULE, submodule_id(git_id), 0)
    mapped = found.get(git_id)
    if mapped is None:
        raise unknown_object(git_id)
    kind = _ENTRY_KINDS.get((mode, mapped.kind))
    if kind is None:
        return None
    return Entry(name, kind, mapped.id, mapped.size_bytes, mapped.files)
