"""What a checkout would do, worked out and checked before anything is touched."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from typing import NamedTuple

from muse.errors import Conflict, InvalidData
from muse.history.directory import Load, iter_entries
from muse.history.treediff import Change
from muse.objects.ids import Kind
from muse.objects.names import RESERVED, check_collisions
from muse.objects.references import KIND_OF_ENTRY
from muse.objects.tree import DIRECTORY, SUBMODULE, SYMLINK, Entry
from muse.store.repository import Repository
from muse.worktree.ondisk import OnDisk
from muse.worktree.paths import check_writable_path, join, parent_of
from muse.worktree.statrow import Stats

MAX_LINK_BYTES = 4095
SHOWN_PATHS = 100


class Write(NamedTuple):
    """A path to be written; `seen` is what stood there when it was checked, None for nothing."""

    path: str
    entry: Entry
    seen: Stats | None


class Plan(NamedTuple):
    """`clear` are directories to be removed with all they hold, `replace` those that `deletes` leave empty.

    `links` are the targets of all symlinks to be written. `present` is what reading showed of files, with
    stats that can be trusted. `touched` are the directories with changes, and all above them; `unchanged`
    counts files that have the wanted content already.
    """

    deletes: list[tuple[str, Stats]]
    writes: list[Write]
    submodules: list[str]
    clear: list[str]
    replace: list[str]
    links: dict[bytes, bytes]
    present: dict[str, tuple[Stats, Entry]]
    rows: dict[str, bytes]
    touched: set[str]
    unchanged: int

    @property
    def changes_files(self) -> bool:
        return bool(self.deletes or self.writes or self.submodules or self.replace or self.clear)


class Planner:
    """Compares changes with what is on disk; `force` overwrites what differs from both sides.

    With `clear_directories` a directory in the way of a file is removed with everything in it, unless there
    is a repository in it. `also_known` is what else a checkout that was interrupted may have left at a path;
    not None says that there was one, and that it may have left the beginning of a file.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        force: bool,
        clear_directories: bool,
        also_known: dict[str, list[Entry]] | None = None,
    ) -> None:
        self._load: Load = repository.objects.load
        self._objects = repository.objects
        self._disk = OnDisk(repository, also_known)
        self._force = force
        self._clear_directories = clear_directories
        self._conflicts: list[str] = []
        self._deletes: dict[str, Stats] = {}
        self._writes: list[Write] = []
        self._submodules: list[str] = []
        self._in_the_way: list[str] = []
        self._clear: list[str] = []
        self._replace: list[str] = []
        self._unchanged = 0

    def plan(self, changes: Iterable[Change]) -> Plan:
        """Check all changes; raises `would-overwrite`, `bad-path`, `bad-object`, `missing-object`."""
        obstacles: set[str] = set()
        touched: set[str] = set()
        for change in changes:
            check_writable_path(change.path)
            touched.add(parent_of(change.path))
            if change.new is None:
                self._plan_delete(change.path, change.old)
            else:
                blocked = self._disk.find_blocked(parent_of(change.path))
                if blocked is not None:
                    obstacles.add(blocked)
                self._plan_write(change.path, change.old, change.new)
        self._plan_obstacles(obstacles)
        for path in self._in_the_way:
            self._plan_directory_in_the_way(path)
        if self._conflicts:
            raise would_overwrite(sorted(set(self._conflicts)))
        return Plan(
            list(self._deletes.items()),
            self._writes,
            self._submodules,
            self._clear,
            self._replace,
            self._load_links(),
            self._disk.present,
            self._disk.rows,
            with_parents(touched),
            self._unchanged,
        )

    # ---- one path

    def _plan_delete(self, path: str, old: Entry | None) -> None:
        stats = self._disk.look(path)
        if stats is None:
            return
        if stat.S_ISDIR(stats[0]):
            if old is not None and old.kind == SUBMODULE:
                self._replace.append(path)  # goes if it is empty
            return  # somebody's own folder stands where the file was: not ours to remove
        if self._force or self._disk.is_known(path, stats, old):
            self._deletes[path] = stats
        else:
            self._conflicts.append(path)

    def _plan_write(self, path: str, old: Entry | None, new: Entry) -> None:
        stats = self._disk.look(path)
        if new.kind == SUBMODULE:
            self._plan_submodule(path, old, stats)
        elif stats is None:
            self._writes.append(Write(path, new, None))
        elif stat.S_ISDIR(stats[0]):
            self._in_the_way.append(path)
            self._writes.append(Write(path, new, None))
        elif self._disk.holds(path, stats, new):
            self._unchanged += 1
        elif self._force or self._disk.is_known(path, stats, old, new):
            self._writes.append(Write(path, new, stats))
        else:
            self._conflicts.append(path)

    def _plan_submodule(self, path: str, old: Entry | None, stats: Stats | None) -> None:
        self._submodules.append(path)
        if stats is None or stat.S_ISDIR(stats[0]):
            return
        if self._force or self._disk.is_known(path, stats, old):
            self._deletes[path] = stats
        else:
            self._conflicts.append(path)

    # ---- what is in the way

    def _plan_obstacles(self, obstacles: set[str]) -> None:
        """Files and links that stand where a directory has to be."""
        for path in obstacles:
            if path in self._deletes or path in self._conflicts:
                continue
            stats = self._disk.look(path)
            if self._force and stats is not None:
                self._deletes[path] = stats
            else:
                self._conflicts.append(path)

    def _plan_directory_in_the_way(self, path: str) -> None:
        """A directory where a file has to be: it may go if every file in it goes anyway."""
        others = []
        for found in self._disk.iter_files(path):
            if found.rpartition("/")[2] in RESERVED:
                self._conflicts.append(found)
                return
            if found not in self._deletes:
                others.append(found)
        if not others:
            self._replace.append(path)
        elif self._clear_directories:
            self._clear.append(path)
        else:
            self._conflicts += others

    # ---- what will be written

    def _load_links(self) -> dict[bytes, bytes]:
        """Load the targets of all links to be written, and see that all other content is there."""
        links: dict[bytes, bytes] = {}
        wanted: dict[Kind, set[bytes]] = {Kind.BLOB: set(), Kind.CHUNKS: set()}
        for write in self._writes:
            entry = write.entry
            if entry.kind == SYMLINK:
                links[entry.id] = self._load_link(write.path, entry)
            else:
                wanted[KIND_OF_ENTRY[entry.kind]].add(entry.id)
        for kind, ids in wanted.items():
            for object_id in self._objects.find_missing(kind, ids):
                self._load(kind, object_id)  # raises `missing-object`
        return links

    def _load_link(self, path: str, entry: Entry) -> bytes:
        target = self._load(Kind.BLOB, entry.id)
        if not 0 < len(target) <= MAX_LINK_BYTES:
            raise InvalidData("bad-object", f'"{path}" is a link whose target is empty or too long')
        if b"\0" in target:
            raise InvalidData("bad-object", f'"{path}" is a link to something that no link can name')
        return target


def with_parents(directories: Iterable[str]) -> set[str]:
    """Return these directories and all above them, the root included."""
    found = {""}
    for directory in directories:
        while directory and directory not in found:
            found.add(directory)
            directory = parent_of(directory)
    return found


def would_overwrite(paths: list[str]) -> Conflict:
    """Make the error for files that hold work of somebody's."""
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    shown = ", ".join(f'"{path}"' for path in paths[:3])
    return Conflict(
        "would-overwrite",
        f"uncommitted work would be overwritten: {shown}{more}",
        hint="commit it or move it away; --force overwrites it",
        details={"paths": paths[:SHOWN_PATHS], "count": len(paths)},
    )


def check_tree_collisions(load: Load, tree_id: bytes, directories: set[str], path: str = "") -> None:
    """Raise `name-collision` if names of these directories of a tree cannot stand side by side."""
    entries = list(iter_entries(load, tree_id))
    check_collisions(entry.name for entry in entries)
    for entry in entries:
        inner = join(path, entry.name)
        if entry.kind == DIRECTORY and inner in directories:
            check_tree_collisions(load, entry.id, directories, inner)
