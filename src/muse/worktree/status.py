"""What differs between the work tree and the current commit."""

from __future__ import annotations

from typing import NamedTuple

from muse.errors import Conflict, Environment, MuseError
from muse.history.lookup import iter_files
from muse.history.treediff import Change, find_renames
from muse.objects.names import find_collisions
from muse.objects.tree import (
    DIRECTORY,
    EXECUTABLE_KINDS,
    FILE_KINDS,
    SUBMODULE,
    SYMLINK,
    Entry,
)
from muse.store.progress import Progress
from muse.store.repository import Repository
from muse.worktree.paths import Selection, join
from muse.worktree.progress import Meter
from muse.worktree.reading import digest_file, digest_of
from muse.worktree.scan import scan
from muse.worktree.state import UNREADABLE, Folder, Problem, Suspect, WorkTreeState


class Modified(NamedTuple):
    """A path that both sides have, and what about it differs."""

    path: str
    content: bool
    executable: bool
    type: bool
    """File, link or submodule became another of these."""


class Renamed(NamedTuple):
    """A file that moved with its exact content."""

    old: str
    new: str


class Status(NamedTuple):
    """Paths are sorted. `ignored` is None unless asked for; a folder in it ends with a slash and counts once.

    `collisions` are pairs of paths that file systems without case or Unicode distinctions cannot keep apart.
    """

    added: list[str]
    modified: list[Modified]
    deleted: list[str]
    renamed: list[Renamed]
    collisions: list[tuple[str, str]]
    problems: list[Problem]
    ignored: list[str] | None

    @property
    def is_clean(self) -> bool:
        """Whether a snapshot would give the current commit's tree."""
        return not (self.added or self.modified or self.deleted or self.renamed)


def status(
    repository: Repository,
    paths: list[str] | None = None,
    *,
    with_ignored: bool = False,
    progress: Progress | None = None,
) -> Status:
    """Return what differs, in the whole work tree or in `paths` (slash paths from its root) alone.

    Reads only files whose stats changed and whose size did not, and added files as large as a deleted one.
    What it learns goes to the stat cache, unless the repository may not be written.
    """
    selection = Selection(paths) if paths is not None else None
    state = scan(repository, progress, selection)
    result = _Comparison(state, progress).run()
    _save_rows(repository, state)
    return result._replace(ignored=sorted(state.ignored) if with_ignored else None)


def same_class(kind: str, base: Entry) -> bool:
    """Say whether both are files, or both links."""
    return base.kind in FILE_KINDS if kind != SYMLINK else base.kind == SYMLINK


def differ_in_executable_bit(one: str, other: str) -> bool:
    """Say whether only one of two kinds of entry is executable."""
    return (one in EXECUTABLE_KINDS) != (other in EXECUTABLE_KINDS)


class _Comparison:
    """Tells by stats and sizes what it can, then reads the rest, then looks for files that moved."""

    def __init__(self, state: WorkTreeState, progress: Progress | None) -> None:
        self._state = state
        self._progress = progress
        self._added: list[tuple[Folder, Suspect]] = []
        self._modified: list[Modified] = []
        self._deleted: list[tuple[str, Entry]] = []

    def run(self) -> Status:
        to_read: list[tuple[Folder, Suspect, Entry]] = []
        for folder in self._state.folders:
            for suspect in folder.suspects:
                base = suspect.base
                if base is None:
                    self._added.append((folder, suspect))
                elif not same_class(suspect.kind, base):
                    self._add_type_change(folder, suspect, base)
                elif suspect.known is not None or suspect.stats[1] != base.size_bytes:
                    content = suspect.known is None or not self._has_content(suspect.known, base)
                    self._add_modified(folder, suspect, base, content)
                else:
                    to_read.append((folder, suspect, base))
            for name, entry in folder.deleted.items():
                self._add_deleted(join(folder.path, name), entry)
        meter = Meter(
            self._progress, "comparing files", len(to_read), sum(item[1].stats[1] for item in to_read)
        )
        for folder, suspect, base in to_read:
            self._read(folder, suspect, base)
            meter.add_bytes(suspect.stats[1])
            meter.add_file()
        renamed = self._find_renames()
        moved = {old for old, _ in renamed} | {new for _, new in renamed}
        added = [join(folder.path, suspect.name) for folder, suspect in self._added]
        return Status(
            added=sorted(path for path in added if path not in moved),
            modified=sorted(self._modified),
            deleted=sorted(path for path, _ in self._deleted if path not in moved),
            renamed=sorted(renamed),
            collisions=self._find_collisions(),
            problems=sorted(self._state.problems),
            ignored=None,
        )

    def _has_content(self, entry: Entry, base: Entry) -> bool:
        load = self._state.load
        return entry.id == base.id or digest_of(entry, load) == digest_of(base, load)

    def _add_type_change(self, folder: Folder, suspect: Suspect, base: Entry) -> None:
        if base.kind == DIRECTORY:
            self._added.append((folder, suspect))
            self._add_deleted(join(folder.path, suspect.name), base)
        else:
            self._modified.append(Modified(join(folder.path, suspect.name), True, False, True))

    def _add_modified(self, folder: Folder, suspect: Suspect, base: Entry, content: bool) -> None:
        executable = differ_in_executable_bit(suspect.kind, base.kind)
        self._modified.append(Modified(join(folder.path, suspect.name), content, executable, False))

    def _add_deleted(self, path: str, entry: Entry) -> None:
        if entry.kind == DIRECTORY:
            self._deleted += iter_files(self._state.load, entry.id, f"{path}/")
        else:
            self._deleted.append((path, entry))

    def _read(self, folder: Folder, suspect: Suspect, base: Entry) -> None:
        path = join(folder.path, suspect.name)
        try:
            digest, read = digest_file(self._state.disk_path(path), path, suspect.kind)
        except Conflict:
            self._add_modified(folder, suspect, base, True)  # being written right now
            return
        except Environment:
            self._state.problems.append(Problem(path, UNREADABLE))
            return
        content = digest != digest_of(base, self._state.load)
        if content or differ_in_executable_bit(suspect.kind, base.kind):
            self._add_modified(folder, suspect, base, content)
        elif read.trusted:
            folder.verified[suspect.name] = (read.stats, base)
            folder.stale = True

    def _find_renames(self) -> list[Renamed]:
        """Match added with deleted files by content; only sizes that occur on both sides are read."""
        load = self._state.load
        sizes = {entry.size_bytes for _, entry in self._deleted if entry.kind != SUBMODULE}
        changes = [
            Change(path, entry._replace(id=_content_key(entry.kind, digest_of(entry, load))), None)
            for path, entry in self._deleted
            if entry.kind != SUBMODULE
        ]
        candidates = [item for item in self._added if item[1].stats[1] in sizes and item[1].stats[1]]
        meter = Meter(
            self._progress, "finding renames", len(candidates), sum(item[1].stats[1] for item in candidates)
        )
        for folder, suspect in candidates:
            path = join(folder.path, suspect.name)
            meter.add_bytes(suspect.stats[1])
            meter.add_file()
            try:
                if suspect.known is not None:
                    digest = digest_of(suspect.known, load)
                else:
                    digest = digest_file(self._state.disk_path(path), path, suspect.kind)[0]
            except MuseError:
                continue  # changing or unreadable: simply added
            key = _content_key(suspect.kind, digest)
            changes.append(Change(path, None, Entry(suspect.name, suspect.kind, key, suspect.stats[1])))
        return [Renamed(old, new) for new, old in find_renames(changes).items()]

    def _find_collisions(self) -> list[tuple[str, str]]:
        """Look in the folders that have something new: elsewhere it was reported before."""
        folders = {id(folder): folder for folder, _ in self._added}
        for folder in self._state.folders:
            if folder.parent is not None and folder.tree_id is None:
                folders[id(folder.parent)] = folder.parent
        pairs = []
        for folder in folders.values():
            names = sorted(name for name in folder.files if name not in folder.ignored)
            pairs += [
                (join(folder.path, first), join(folder.path, second))
                for first, second in find_collisions(names)
            ]
        return sorted(pairs)


def _content_key(kind: str, digest: bytes) -> bytes:
    """A link and a file that holds the link's target are not the same thing."""
    return b"link" + digest if kind == SYMLINK else digest


def _save_rows(repository: Repository, state: WorkTreeState) -> None:
    """Keep what was learnt; status may be asked for where nothing can be written."""
    stale = [folder for folder in state.folders if folder.stale and folder.tree_id is not None]
    if not stale:
        return
    try:
        with repository.transaction() as transaction:
            for folder in stale:
                assert folder.tree_id is not None
                row = folder.encode(folder.tree_id, folder.entries(state.load))
                repository.stat_cache.save_directory(transaction, folder.path, row)
    except Environment:
        pass
