"""Makes a new database from the segments when the old one is damaged."""

from __future__ import annotations

import mmap
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from muse.errors import InvalidData, MuseError, NotFound
from muse.history.walk import Node, next_generation
from muse.objects.commit import decode_commit
from muse.objects.ids import Kind, format_id, hash_bytes
from muse.packs.pack import HEAD, MAGIC, VERSION, read_index
from muse.packs.record import Record, decode_object, parse_record
from muse.store.database import Database
from muse.store.failure import os_failure
from muse.store.fsck import Problem
from muse.store.index import write_ends, write_locations, write_nodes
from muse.store.locations import Location
from muse.store.locks import RepositoryLock
from muse.store.objects import ObjectStore
from muse.store.progress import Progress, silent
from muse.store.repository import DATABASE, FOLDER, LOCK, SEGMENTS
from muse.store.salvage import salvage
from muse.store.segments import SegmentReader, list_segments, sync_file, sync_folder

BATCH = 2000
LOCK_TIMEOUT_S = 5.0


class Rebuilt(NamedTuple):
    """What a rebuild found. `saved_to` is the folder with the old database, None when there was none."""

    objects: int
    commits: int
    refs: int
    recovered_refs: list[str]
    saved_to: Path | None
    problems: list[Problem]


def rebuild(work_dir: Path, progress: Progress = silent) -> Rebuilt:
    """Read all segments of the repository at `work_dir`, hash every object and write a new database.

    Refs, HEAD, operation log, settings and the rest come from the old database as far as it can be read; it
    is kept aside. When not all refs can be read, commits without children and ref get one of the names
    `heads/recovered-1` and so on, newest first. Raises `locked` while another process works and
    `not-a-repository`.
    """
    folder = Path(work_dir).absolute() / FOLDER
    if not folder.is_dir():
        raise NotFound("not-a-repository", f'"{work_dir}" has no {FOLDER} folder')
    lock = RepositoryLock(folder / LOCK)
    lock.acquire(True, LOCK_TIMEOUT_S)
    try:
        return _Rebuild(folder, progress).run()
    except OSError as error:
        raise os_failure(error, folder) from error
    finally:
        lock.close()


class _Rebuild:
    """Builds the new database beside the old one, and puts it in its place when it is complete."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._folder = folder
        self._progress = progress
        self._new_path = folder / f"{DATABASE}.new"
        for path in _database_files(self._new_path):
            path.unlink(missing_ok=True)
        (folder / SEGMENTS).mkdir(exist_ok=True)
        self._database = Database.create(self._new_path)
        self._objects = ObjectStore(self._database, folder / SEGMENTS)
        self._pending = self._objects.overlay.locations
        self._waiting: list[tuple[int, int, int, bytes]] = []
        self._problems: list[Problem] = []
        self._count = 0

    def run(self) -> Rebuilt:
        try:
            for number, path in list_segments(self._folder / SEGMENTS):
                self._read_segment(number, path)
                self._write_pending()
            self._read_waiting()
            self._write_pending()
            commits = self._build_graph()
            refs, recovered = salvage(
                self._folder / DATABASE, self._database, self._objects, self._problems.append
            )
            self._objects.forget()
        except BaseException:
            self._database.close()
            raise
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._database.close()
        saved_to = self._replace_old()
        return Rebuilt(self._count, commits, refs, recovered, saved_to, self._problems)

    # ---- objects

    def _read_segment(self, number: int, path: Path) -> None:
        with open(path, "rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes < HEAD.size:
                return
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                view = memoryview(mapped)
                try:
                    self._read_records(number, path, view)
                finally:
                    view.release()

    def _read_records(self, number: int, path: Path, view: memoryview) -> None:
        if HEAD.unpack_from(view) != (MAGIC, VERSION):
            self._problems.append(
                Problem("corrupt-segment", str(path), "it does not begin as a segment of version 1")
            )
            return
        records_end, adopted = _records_end(view)
        offset = HEAD.size
        with view[:records_end] as records:
            while offset < records_end:
                try:
                    record, end = parse_record(records, offset)
                except InvalidData:
                    self._problems.append(
                        Problem(
                            "corrupt-segment",
                            f"{path}, offset {offset}",
                            f"the last {records_end - offset} bytes hold no whole record",
                        )
                    )
                    break
                self._read_record(number, offset, record)
                if isinstance(record.payload, memoryview):
                    record.payload.release()
                offset = end
        write_ends(self._database, [(number, offset, adopted)])

    def _read_record(self, number: int, offset: int, record: Record) -> bool:
        """Add one object; returns False when its base has not been seen yet."""
        kind = Kind(record.kind)
        prefix, depth = None, 0
        if record.base is not None:
            base = self._objects.find_location(kind, record.base)
            if base is None:
                self._waiting.append((number, offset, record.size_bytes, record.base))
                return False
            depth = base.depth + 1
        try:
            if record.base is not None:
                prefix = self._objects.load(kind, record.base)
            data = decode_object(record, prefix)
        except MuseError as error:
            self._problems.append(
                Problem("corrupt-object", f"segment {number}, offset {offset}", error.message, kind)
            )
            return True
        object_id = hash_bytes(data)
        if self._objects.find_location(kind, object_id) is None:
            self._pending[kind, object_id] = Location(
                number, offset, record.encoding, record.raw_size, len(record.payload), record.base, depth
            )
            self._count += 1
            if len(self._pending) >= BATCH:
                self._write_pending()
        if kind is not Kind.BLOB:
            self._objects.remember(kind, object_id, data)
        return True

    def _read_waiting(self) -> None:
        """Come back to records whose base lay in a later segment, until nothing more is found."""
        reader = SegmentReader(self._folder / SEGMENTS)
        found = True
        while self._waiting and found:
            waiting, self._waiting, found = self._waiting, [], False
            for number, offset, size_bytes, _ in waiting:
                record, _ = parse_record(memoryview(reader.read(number, offset, size_bytes)), 0)
                found |= self._read_record(number, offset, record)
        for number, offset, _, base in self._waiting:
            self._problems.append(
                Problem(
                    "missing-object",
                    f"segment {number}, offset {offset}",
                    f"its base {format_id(base)} is gone",
                )
            )
        reader.forget()

    def _write_pending(self) -> None:
        self._progress("reading segments", self._count, None, "objects")
        self._database.begin()
        write_locations(self._database, self._pending)
        self._database.commit()
        self._pending.clear()

    # ---- graph

    def _build_graph(self) -> int:
        commits: dict[bytes, tuple[tuple[bytes, ...], int, bytes]] = {}
        for (commit_id,) in self._database.load_rows(
            "SELECT id FROM objects WHERE kind = ?", (int(Kind.COMMIT),)
        ):
            try:
                commit = decode_commit(self._objects.load(Kind.COMMIT, commit_id))
            except MuseError as error:
                self._problems.append(
                    Problem("corrupt-object", "graph", error.message, Kind.COMMIT, commit_id)
                )
                continue
            commits[commit_id] = commit.parents, commit.committer.time_s, commit.tree
        generations: dict[bytes, int] = {}
        for start in commits:
            stack = [start]
            while stack:
                parents = [parent for parent in commits[stack[-1]][0] if parent in commits]
                unknown = [parent for parent in parents if parent not in generations]
                if unknown:
                    stack += unknown
                else:
                    generations[stack.pop()] = next_generation(generations[parent] for parent in parents)
        self._database.begin()
        nodes = (
            Node(commit_id, parents, generations[commit_id], time_s, tree)
            for commit_id, (parents, time_s, tree) in sorted(commits.items())
        )
        write_nodes(self._database, nodes)
        self._database.commit()
        return len(commits)

    # ---- the end

    def _replace_old(self) -> Path | None:
        """Copy the old database aside, then put the new one in its place."""
        path = self._folder / DATABASE
        saved_to: Path | None = None
        old = [file for file in _database_files(path) if file.exists()]
        if old:
            number = 1
            while (self._folder / f"damaged-{number}").exists():
                number += 1
            saved_to = self._folder / f"damaged-{number}"
            saved_to.mkdir()
            for file in old:
                shutil.copyfile(file, saved_to / file.name)
                sync_file(saved_to / file.name)
            sync_folder(saved_to)
            for file in old[1:]:
                file.unlink()
        sync_file(self._new_path)
        os.replace(self._new_path, path)
        sync_folder(self._folder)
        return saved_to


def _database_files(path: Path) -> list[Path]:
    return [path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")]


def _records_end(view: memoryview) -> tuple[int, bool]:
    """Return where the records of a segment end, and whether it is an adopted pack."""
    try:
        entries = read_index(view)
    except InvalidData:
        return len(view), False
    if not entries:
        return HEAD.size, True
    try:
        return parse_record(view, entries[-1][1])[1], True
    except InvalidData:
        return len(view), False
