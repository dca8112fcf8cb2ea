"""What stands where a checkout wants to write, and whether it is anybody's work."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator

from muse.errors import MuseError
from muse.history.directory import Load
from muse.objects.names import RESERVED
from muse.objects.tree import DIRECTORY, FILE_KINDS, SUBMODULE, SYMLINK, Entry
from muse.store.failure import os_failure
from muse.store.repository import Repository
from muse.worktree.paths import parent_of
from muse.worktree.reading import digest_file, digest_of, kind_of_mode
from muse.worktree.statrow import StatRow, Stats, decode_row, stats_of
from muse.worktree.status import differ_in_executable_bit, same_class

_IS_DIRECTORY, _IS_ABSENT = True, False


class OnDisk:
    """Looks at the files of a work tree, at each once if possible, and compares them with entries.

    `rows` is the stat cache; `present` is what reading showed of files, with stats that can be trusted. What
    `also_known` is, says `Planner`.
    """

    def __init__(self, repository: Repository, also_known: dict[str, list[Entry]] | None) -> None:
        self._load: Load = repository.objects.load
        self._objects = repository.objects
        self._root = str(repository.work_dir)
        self._decoded: dict[str, StatRow | None] = {}
        self._places: dict[str, bool] = {"": _IS_DIRECTORY}
        self._blocked: set[str] = set()
        self._also_known = also_known or {}
        self._interrupted = also_known is not None
        self.rows = repository.stat_cache.load_all()
        self.present: dict[str, tuple[Stats, Entry]] = {}

    def find_blocked(self, directory: str) -> str | None:
        """Return the nearest parent that is there and is no directory."""
        while directory:
            if self._place(directory):
                return None
            if directory in self._blocked:
                return directory
            directory = parent_of(directory)
        return None

    def _place(self, directory: str) -> bool:
        """Say whether this is a directory on disk, reached without following a link."""
        known = self._places.get(directory)
        if known is not None:
            return known
        place = _IS_ABSENT
        if self._place(parent_of(directory)):
            try:
                mode = os.lstat(f"{self._root}/{directory}").st_mode
            except FileNotFoundError:
                pass
            except OSError as error:
                raise os_failure(error, directory) from error
            else:
                place = stat.S_ISDIR(mode)
                if not place:
                    self._blocked.add(directory)
        self._places[directory] = place
        return place

    def look(self, path: str) -> Stats | None:
        """Return what stands at a path, None for nothing, or nothing that is reached without a link."""
        if not self._place(parent_of(path)):
            return None
        try:
            return stats_of(os.lstat(f"{self._root}/{path}"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise os_failure(error, path) from error

    def is_known(self, path: str, stats: Stats, old: Entry | None, new: Entry | None = None) -> bool:
        """Say whether the file is as some checkout left it, and nobody's work."""
        if old is not None and self.holds(path, stats, old):
            return True
        also_known = self._also_known.get(path, [])
        if any(self.holds(path, stats, entry) for entry in also_known):
            return True
        return self._interrupted and any(
            self._begins(path, stats, entry) for entry in (old, new, *also_known) if entry is not None
        )

    def _begins(self, path: str, stats: Stats, entry: Entry) -> bool:
        """Say whether the file is the beginning of what the entry says: a checkout was killed writing it."""
        kind, left = kind_of_mode(stats[0]), stats[1]
        if kind is None or kind == SYMLINK or entry.kind not in FILE_KINDS or left >= entry.size_bytes:
            return False
        digest = hashlib.sha256()
        try:
            for piece in self._objects.open_file(entry.kind, entry.id):
                digest.update(memoryview(piece)[:left])
                left -= min(left, len(piece))
                if not left:
                    break
            found, read = digest_file(f"{self._root}/{path}", path, kind)
        except MuseError:
            return False  # being written, unreadable, or of an object that is not here: not ours to overwrite
        return read.stats == stats and found == digest.digest()

    def holds(self, path: str, stats: Stats, entry: Entry) -> bool:
        """Say whether the file on disk is what the entry says: content, type and executable bit."""
        kind = kind_of_mode(stats[0])
        if kind is None or entry.kind in (DIRECTORY, SUBMODULE) or not same_class(kind, entry):
            return False
        if kind != SYMLINK and differ_in_executable_bit(kind, entry.kind):
            return False
        directory, _, name = path.rpartition("/")
        row = self._row(directory)
        if row is not None and row.stats.get(name) == stats:
            known = row.find_entry(name)
            if known is not None and known.kind == entry.kind:
                if known.id == entry.id:
                    self.present[path] = (stats, entry)
                return known.id == entry.id
        if kind != SYMLINK and stats[1] != entry.size_bytes:
            return False  # so that most files need not be read
        try:
            digest, read = digest_file(f"{self._root}/{path}", path, kind)
        except MuseError:
            return False  # being written, or unreadable: not ours to overwrite
        if read.stats != stats or digest != digest_of(entry, self._load):
            return False
        if read.trusted and stats[1] == entry.size_bytes:
            self.present[path] = (stats, entry)
        return True

    def _row(self, directory: str) -> StatRow | None:
        if directory not in self._decoded:
            self._decoded[directory] = decode_row(self.rows.get(directory))
        return self._decoded[directory]

    def iter_files(self, path: str) -> Iterator[str]:
        """Yield what lies below a directory; a repository is not looked into, its `.git` or `.muse` named."""
        try:
            with os.scandir(f"{self._root}/{path}") as found:
                entries = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
        except OSError as error:
            raise os_failure(error, path) from error
        for name, is_directory in entries:
            if is_directory and name not in RESERVED:
                yield from self.iter_files(f"{path}/{name}")
            else:
                yield f"{path}/{name}"


def confuses_names(repository: Repository) -> bool:
    """Say whether the work tree's file system takes names that differ by case for the same."""
    try:
        upper = os.stat(repository.work_dir / ".MUSE")
    except OSError:
        return False
    return os.path.samestat(upper, os.stat(repository.muse_dir))
