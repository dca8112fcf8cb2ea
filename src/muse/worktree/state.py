"""What a scan finds: folders in which something may differ, and what cannot be part of a tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from muse.history.directory import Load, iter_entries
from muse.objects.tree import Entry
from muse.worktree.ignore import NO_RULES, IgnoreRules
from muse.worktree.statrow import StatRow, Stats, encode_row, pack_stats

BAD_NAME = "bad-name"
SPECIAL_FILE = "special-file"
NESTED_REPOSITORY = "nested-repository"
UNREADABLE = "unreadable"


class Problem(NamedTuple):
    """Something that a snapshot cannot hold, and why; `path` may hold surrogates for invalid UTF-8."""

    path: str
    reason: str

    @property
    def blocks(self) -> bool:
        """Whether a snapshot that covers it is refused: it would silently leave out somebody's work."""
        return self.reason == BAD_NAME or self.reason == UNREADABLE

    @property
    def message(self) -> str:
        shown = self.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        return f'"{shown}" {_REASONS[self.reason]}'


_REASONS = {
    BAD_NAME: "has a name that no tree can hold (not valid UTF-8, too long, or reserved)",
    SPECIAL_FILE: "is neither a file nor a link nor a folder",
    NESTED_REPOSITORY: "is a repository of its own and left out",
    UNREADABLE: "cannot be read",
}


class Suspect(NamedTuple):
    """A file that may differ from `base`, the entry expected there. `kind` is FILE, EXECUTABLE or SYMLINK.

    `known` is the entry that the stat cache vouches for, if any: then nothing needs to be read.
    """

    name: str
    kind: str
    stats: Stats
    base: Entry | None
    known: Entry | None


class Folder:
    """A directory of the work tree in which something may differ, or whose row is worth writing anew.

    `tree_id` is the tree expected there, None where none is. `files` are the stats of everything found except
    what is left out. `verified` collects what reading showed: name → (stats that can be trusted, entry).
    """

    __slots__ = (
        *("_entries", "deleted", "files", "ignored", "parent", "path", "row", "rules", "stale", "suspects"),
        *("tree_id", "verified"),
    )

    def __init__(
        self,
        path: str,
        parent: Folder | None,
        tree_id: bytes | None,
        row: StatRow | None,
        files: dict[str, Stats],
    ) -> None:
        self.path = path
        self.parent = parent
        self.tree_id = tree_id
        self.row = row
        self.files = files
        self.rules: IgnoreRules | None = None
        self.suspects: list[Suspect] = []
        self.deleted: dict[str, Entry] = {}
        self.ignored: set[str] = set()
        self.verified: dict[str, tuple[Stats, Entry]] = {}
        self.stale = False
        self._entries: dict[str, Entry] | None = None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    def fits(self) -> bool:
        """Say whether the row is about the tree that is expected."""
        return self.row is not None and self.row.tree_id == self.tree_id

    def entries(self, load: Load) -> dict[str, Entry]:
        """Return what the expected tree holds, with all totals."""
        if self._entries is None:
            self._entries = (
                {}
                if self.tree_id is None
                else {entry.name: entry for entry in iter_entries(load, self.tree_id)}
            )
        return self._entries

    def known(self, name: str) -> Entry | None:
        """Return what the row says a file is, if the file still looks as it did then."""
        row = self.row
        if row is None or row.stats.get(name) != self.files.get(name):
            return None
        return row.find_entry(name)

    def encode(self, tree_id: bytes, entries: Mapping[str, Entry]) -> bytes:
        """Encode the row that says what of `entries`, those of the tree `tree_id`, is on disk."""
        files, verified = self.files, self.verified
        row_stats: Mapping[str, Stats] = self.row.stats if self.row is not None else {}
        fits = self.row is not None and self.row.tree_id == tree_id
        trusted: dict[str, bytes] = {}
        for name, entry in entries.items():
            found = files.get(name)
            if found is None:
                continue
            if name in verified:
                stats, read = verified[name]
                if read.id == entry.id and read.kind == entry.kind and stats[1] == entry.size_bytes:
                    trusted[name] = pack_stats(stats)
            elif row_stats.get(name) == found:
                known = entry if fits else self.row.find_entry(name)  # type: ignore[union-attr]
                if known is not None and known.id == entry.id and known.kind == entry.kind:
                    trusted[name] = pack_stats(found)
        key = self.rules.key if self.rules is not None and self.ignored else NO_RULES
        return encode_row(tree_id, entries.values(), trusted, key, sorted(self.ignored))


class WorkTreeState:
    """What a scan found. `folders` are those with suspects, deletions or a row worth writing, parents first.

    `ignored` are the paths left out by rules, a folder with a slash at its end. Nothing has been read yet.
    """

    def __init__(self, work_dir: str, tree_id: bytes | None, load: Load, rows: dict[str, bytes]) -> None:
        self.work_dir = work_dir
        self.tree_id = tree_id
        self.load = load
        self.rows = rows
        self.folders: list[Folder] = []
        self.problems: list[Problem] = []
        self.ignored: list[str] = []

    def disk_path(self, path: str) -> str:
        return f"{self.work_dir}/{path}" if path else self.work_dir
