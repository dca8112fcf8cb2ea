"""Checks everything that is stored: bytes, rows, refs and closure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from muse.errors import CorruptStore, InvalidData, MuseError
from muse.history.walk import next_generation
from muse.objects.chunks import NO_FILE_ID, decode_chunks
from muse.objects.commit import decode_commit
from muse.objects.ids import Key, Kind, format_id, hash_bytes
from muse.objects.references import iter_references
from muse.packs.pack import HEAD, MAGIC, VERSION
from muse.packs.record import decode_object, parse_record
from muse.store.locations import LOCATION_COLUMNS, Location
from muse.store.progress import Progress, silent
from muse.store.reachable import Reachable, load_roots
from muse.store.segments import SegmentReader, segment_path

if TYPE_CHECKING:
    from muse.store.repository import Repository

BATCH = 20_000


class Problem(NamedTuple):
    """Something that is not as it must be. `code` is one of `CorruptStore`'s; `where` names the place."""

    code: str
    where: str
    message: str
    kind: Kind | None = None
    id: bytes | None = None


def fsck(repository: Repository, progress: Progress = silent) -> Iterator[Problem]:
    """Read everything and yield each problem; nothing is changed. A healthy repository yields nothing.

    Objects that nothing reaches must be intact, but may name missing ones: a fetch that died leaves such.
    Reads and hashes all bytes, large files twice; memory grows only with what is wrong. Clean-up waits for
    the end.
    """
    repository.lock.acquire(False, repository.busy_timeout_s)
    try:
        yield from _Check(repository, progress).run()
    except CorruptStore as error:
        if error.code != "corrupt-database":
            raise
        yield Problem(error.code, str(repository.database.path), error.message)
    finally:
        repository.lock.release()


class _Check:
    """Reads records in the order in which they lie, and asks in batches whether what they name is there."""

    def __init__(self, repository: Repository, progress: Progress) -> None:
        self._repository = repository
        self._database = repository.database
        self._objects = repository.objects
        self._reader = SegmentReader(repository.segments_dir)
        self._progress = progress
        self._wanted: dict[Kind, dict[bytes, Key]] = {kind: {} for kind in Kind}
        self._wanted_count = 0
        self._missing: dict[Key, Key] = {}

    def run(self) -> Iterator[Problem]:
        self._objects.forget()
        for (message,) in self._database.load_rows("PRAGMA integrity_check(20)"):
            if message != "ok":
                yield Problem("corrupt-database", str(self._database.path), message)
        yield from self._check_segments()
        yield from self._check_objects()
        yield from self._check_graph()
        self._look_up_wanted()
        yield from self._check_roots()
        yield from self._check_closure()
        self._reader.forget()
        self._progress("done", 1, 1, "")

    # ---- bytes

    def _check_segments(self) -> Iterator[Problem]:
        for number, end in self._database.load_rows("SELECT number, end FROM segments ORDER BY number"):
            path = segment_path(self._repository.segments_dir, number)
            try:
                size_bytes = path.stat().st_size
                head = self._reader.read(number, 0, HEAD.size)
            except (CorruptStore, OSError) as error:
                message = error.message if isinstance(error, MuseError) else (error.strerror or str(error))
                yield Problem("corrupt-segment", str(path), message)
                continue
            if HEAD.unpack(head) != (MAGIC, VERSION):
                yield Problem("corrupt-segment", str(path), "it does not begin as a segment of version 1")
            if size_bytes < end:
                yield Problem("corrupt-segment", str(path), f"it has {size_bytes} bytes instead of {end}")

    def _check_objects(self) -> Iterator[Problem]:
        total = self._database.find_row("SELECT count(*) FROM objects")[0]
        rows = self._database.iter_rows(
            f"SELECT kind, id, {LOCATION_COLUMNS} FROM objects ORDER BY segment, offset"
        )
        for done, row in enumerate(rows):
            if done % 1000 == 0:
                self._progress("checking objects", done, total, "objects")
            kind, object_id = row[0], row[1]
            where = f"segment {row[2]}, offset {row[3]}"
            try:
                self._check_object(Kind(kind), object_id, Location._make(row[2:]))
            except MuseError as error:
                code = error.code if isinstance(error, CorruptStore) else "corrupt-object"
                yield Problem(code, where, error.message, Kind(kind), object_id)
            except ValueError:
                yield Problem("corrupt-database", where, f"an object of unknown kind {kind}")
        self._progress("checking objects", total, total, "objects")

    def _check_object(self, kind: Kind, object_id: bytes, location: Location) -> None:
        """Decode one object from its segment and note what it names; raises what is wrong."""
        name = f"{kind.word} {format_id(object_id)}"
        stored = self._reader.read(location.segment, location.offset, location.size_bytes)
        record, end = parse_record(memoryview(stored), 0)
        found = (record.kind, record.encoding, record.raw_size, len(record.payload), record.base)
        named = (int(kind), location.encoding, location.raw_size, location.stored_size, location.base)
        if found != named or end != len(stored):
            raise CorruptStore("corrupt-object", f"{name} has another record than the database says")
        try:
            prefix = None if record.base is None else self._objects.load(kind, record.base)
        except CorruptStore as error:
            raise CorruptStore(error.code, f"{name} cannot be read: its base: {error.message}") from error
        try:
            data = decode_object(record, prefix)
        except InvalidData as error:
            raise CorruptStore("corrupt-object", f"{name}: {error.message}") from error
        if hash_bytes(data) != object_id:
            raise CorruptStore("corrupt-object", f"{name} has other bytes than its id says")
        if kind is Kind.BLOB:
            return
        self._objects.remember(kind, object_id, data)
        for target_kind, target in iter_references(kind, data):
            self._wanted[target_kind].setdefault(target, (kind, object_id))
            self._wanted_count += 1
        if self._wanted_count >= BATCH:
            self._look_up_wanted()
        if kind is Kind.COMMIT:
            self._check_node(object_id, data, name)
        elif kind is Kind.CHUNKS:
            self._check_file(object_id, data, name)

    def _check_node(self, commit_id: bytes, data: bytes, name: str) -> None:
        node = self._objects.find_node(commit_id)
        commit = decode_commit(data)
        parents = map(self._objects.find_node, commit.parents)
        generation = next_generation(parent.generation for parent in parents if parent is not None)
        expected = (commit_id, commit.parents, generation, commit.committer.time_s, commit.tree)
        if node != expected:
            raise CorruptStore("corrupt-database", f"the graph has no or a wrong row of {name}")

    def _check_file(self, root: bytes, data: bytes, name: str) -> None:
        """Compare a chunked file with the hash of the whole that its list states."""
        node = decode_chunks(data)
        if node.file_id == NO_FILE_ID:
            return
        digest = hashlib.sha256()
        try:
            for piece in self._objects.open_file("c", root):
                digest.update(piece)
        except CorruptStore:
            return  # reported with the chunk, or with what names it
        if digest.digest() != node.file_id:
            raise CorruptStore("corrupt-object", f"{name}: its chunks do not have the hash of the whole file")

    # ---- rows and closure

    def _look_up_wanted(self) -> None:
        for kind, wanted in self._wanted.items():
            for object_id in self._objects.find_missing(kind, wanted):
                self._missing.setdefault((kind, object_id), wanted[object_id])
            wanted.clear()
        self._wanted_count = 0

    def _check_graph(self) -> Iterator[Problem]:
        rows = self._database.load_rows(
            "SELECT id FROM commits c"
            " WHERE NOT EXISTS (SELECT 1 FROM objects o WHERE o.kind = ? AND o.id = c.id)",
            (int(Kind.COMMIT),),
        )
        for (commit_id,) in rows:
            yield Problem(
                "missing-object",
                "graph",
                f"commit {format_id(commit_id)} is not there",
                Kind.COMMIT,
                commit_id,
            )

    def _check_roots(self) -> Iterator[Problem]:
        if self._database.find_row("SELECT count(*) FROM head")[0] != 1:
            yield Problem("corrupt-database", "HEAD", "there is no HEAD")
        for where, (kind, object_id) in load_roots(self._repository):
            if not self._objects.has(kind, object_id):
                yield Problem(
                    "missing-object",
                    where,
                    f"{kind.word} {format_id(object_id)} is not there",
                    kind,
                    object_id,
                )

    def _check_closure(self) -> Iterator[Problem]:
        """Report what is missing and reachable; in a store without gaps there is nothing to walk."""
        if not self._missing:
            return
        reachable = Reachable(self._repository, self._progress)
        try:
            reachable.mark(root for _, root in load_roots(self._repository))
            for kind, object_id in sorted(self._missing.keys() & reachable.missing):
                named_by = self._missing[kind, object_id]
                yield Problem(
                    "missing-object",
                    f"{named_by[0].word} {format_id(named_by[1])}",
                    f"{kind.word} {format_id(object_id)} is not there",
                    kind,
                    object_id,
                )
        finally:
            reachable.close()
