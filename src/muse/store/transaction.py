"""Transactions: the single way to write to a repository.

Records go to a segment as they come. At the end the segment is synced, and then one transaction of the
database names the records, moves the refs and writes the operation log; before it, nobody else sees anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import EllipsisType, TracebackType
from typing import Any, BinaryIO

from muse.errors import CorruptStore, InvalidData, UsageError
from muse.history.walk import Node, next_generation
from muse.objects.commit import decode_commit
from muse.objects.ids import KINDS, Kind, format_id, hash_bytes
from muse.packs.pack import PackedObject
from muse.packs.record import WORTH_A_PREFIX_BYTES, Record, decode_object, encode_object
from muse.store.appender import Appender
from muse.store.database import Database
from muse.store.locations import Location
from muse.store.objects import ObjectStore
from muse.store.refchanges import HEAD, RefChanges, RefValue, record_operation
from muse.store.refs import SYMBOLIC, check_ref_name

MAX_DEPTH = 16
"""Bases below an object: reading one decodes at most so many, 0.5 ms for 8 KB each."""
MAX_RECEIVED_DEPTH = 128
"""What was received deeper, one pack upon the other, is compressed anew: nobody can make reading slow."""
FLUSH_ROWS = 50_000
FLUSH_BYTES = 256 << 20
"""From either on a transaction names what it has: 20 MB of rows in memory; a crash repeats 256 MiB."""


class Transaction:
    """Collects objects and changes of refs, and commits them when its `with` block ends without an exception.

    Made by `Repository.transaction`; one at a time per `Repository`, not for several threads: it holds `turn`
    while it is open. Objects put are readable through `load` at once.
    """

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        appender: Appender,
        *,
        turn: AbstractContextManager[None],
        clock: Callable[[], float],
        operation: str | None,
    ) -> None:
        self._database = database
        self._objects = objects
        self._appender = appender
        self._turn = turn
        self._clock = clock
        self._operation = operation
        self.refs = RefChanges(database, objects)
        self._rows: dict[str, list[Sequence[Any]]] = {}
        self._early_rows: dict[str, list[Sequence[Any]]] = {}
        self._durable = False
        self._pending_bytes = 0
        self.undoes: int | None = None
        self.after_commit: list[Callable[[], None]] = []
        """Called in order when the transaction has been committed, not when it fails."""
        self.operation_id: int | None = None
        """Set when the transaction has ended and changed a ref under an operation."""
        self.load: Callable[[Kind, bytes], bytes] = self._objects.load
        self.has: Callable[[Kind, bytes], bool] = self._objects.has
        self.graph: Callable[[bytes], Node] = self._objects.get_node

    def __enter__(self) -> Transaction:
        self._turn.__enter__()
        self._pending, self._commits = self._objects.begin_overlay(self._appender.write_out)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._commit(final=True)
                for action in self.after_commit:
                    action()
            else:
                self._roll_back()
        finally:
            self._turn.__exit__(None, None, None)

    # ---- objects

    def put(self, kind: Kind, data: bytes | memoryview, base: bytes | None = None) -> bytes:
        """Store an object and return its id; costs a look-up if it is there already.

        `base` is a hint: the id of a similar object of the same kind, against which it is compressed.
        Raises `missing-objects` for a commit whose parents are not there.
        """
        object_id = hash_bytes(data)
        if self._objects.find_location(kind, object_id) is not None:
            return object_id
        prefix, depth = None, 0
        if base is not None and len(data) >= WORTH_A_PREFIX_BYTES:
            location = self._objects.find_location(kind, base)
            if location is not None and location.depth < MAX_DEPTH:
                try:
                    prefix, depth = (base, self._objects.load(kind, base)), location.depth + 1
                except CorruptStore:
                    pass  # the hint is no reason to fail; fsck reports it
        if kind is Kind.COMMIT:
            self._note_commit(object_id, bytes(data))
        record = encode_object(kind, data, prefix)
        self._append(object_id, record, depth if record.base else 0)
        self._objects.remember(kind, object_id, data)
        return object_id

    def put_records(self, records: Sequence[tuple[bytes, Record]]) -> None:
        """Store objects as they were received, bases first; the caller has verified the ids.

        What is here already stays as it is; one query for all. Raises `missing-objects` when a base, or a
        parent of a commit, is not here.
        """
        ids: dict[int, list[bytes]] = {}
        for object_id, record in records:
            ids.setdefault(record.kind, []).append(object_id)
        absent = {kind: self._objects.find_missing(KINDS[kind], some) for kind, some in ids.items()}
        for object_id, record in records:
            new = absent[record.kind]
            if object_id not in new:
                continue
            new.discard(object_id)
            kind, base = KINDS[record.kind], record.base
            depth = 0 if base is None else self._depth(kind, object_id, base)
            if kind is Kind.COMMIT or depth > MAX_RECEIVED_DEPTH:
                data = decode_object(record, None if base is None else self.load(kind, base))
                if kind is Kind.COMMIT:
                    self._note_commit(object_id, data)
                if depth > MAX_RECEIVED_DEPTH:
                    record, depth = encode_object(kind, data), 0
            self._append(object_id, record, depth)

    def put_stream(
        self, stream: BinaryIO, size_hint: int = 0, base: bytes | None = None
    ) -> tuple[str, bytes, int]:
        """Store a file's content; returns (kind of entry, id, size in bytes), the kind FILE or CHUNKED_FILE.

        `base` is the id of the previous version's blob or chunk list. Memory: 8 MiB, and 100 bytes per chunk.
        """
        from muse.store.files import store_stream

        return store_stream(self, stream, size_hint, base)

    def adopt_pack(self, path: Path, objects: Sequence[PackedObject]) -> None:
        """Make a verified pack file a segment: it is moved into the store, not copied.

        `objects` is what `verify_pack` returned; bases and parents are here already or earlier in the pack.
        """
        end = max((packed.end for packed in objects), default=0)
        number = self._appender.adopt(path, end)
        ids: dict[int, list[bytes]] = {}
        for packed in objects:
            ids.setdefault(packed.kind, []).append(packed.id)
        absent = {kind: self._objects.find_missing(KINDS[kind], some) for kind, some in ids.items()}
        commits, deep = [], []
        pending = self._pending
        for object_id, kind_number, offset, encoding, raw_size, stored_size, base in objects:
            if object_id not in absent[kind_number]:
                continue
            depth = 0 if base is None else self._depth(KINDS[kind_number], object_id, base)
            pending[kind_number, object_id] = Location(
                number, offset, encoding, raw_size, stored_size, base, depth
            )
            if kind_number == Kind.COMMIT:
                commits.append(object_id)
            if depth > MAX_RECEIVED_DEPTH:
                deep.append((KINDS[kind_number], object_id))
        for commit_id in commits:
            self._note_commit(commit_id, self.load(Kind.COMMIT, commit_id))
        for kind, object_id in deep:
            self._append(object_id, encode_object(kind, self.load(kind, object_id)), 0)
        self._flush_if_large()

    def _depth(self, kind: Kind, object_id: bytes, base: bytes) -> int:
        location = self._objects.find_location(kind, base)
        if location is None:
            raise InvalidData(
                "missing-objects", f"the base {format_id(base)} of {format_id(object_id)} is not here"
            )
        return location.depth + 1

    def _append(self, object_id: bytes, record: Record, depth: int) -> None:
        segment, offset = self._appender.append(record)
        stored_size = len(record.payload)
        self._pending[record.kind, object_id] = Location(
            segment, offset, record.encoding, record.raw_size, stored_size, record.base, depth
        )
        self._pending_bytes += stored_size
        self._flush_if_large()

    def _note_commit(self, commit_id: bytes, data: bytes) -> None:
        commit = decode_commit(data)
        generations = []
        for parent in commit.parents:
            node = self._objects.find_node(parent)
            if node is None:
                raise InvalidData(
                    "missing-objects",
                    f"the parent {format_id(parent)} of commit {format_id(commit_id)} is not here",
                )
            generations.append(node.generation)
        generation = next_generation(generations)
        self._commits[commit_id] = Node(
            commit_id, commit.parents, generation, commit.committer.time_s, commit.tree
        )

    # ---- refs

    def set_ref(
        self,
        name: str,
        target: bytes | None,
        expected: bytes | EllipsisType | None = ...,
        kind: Kind = Kind.COMMIT,
    ) -> None:
        """Let a ref point at `target`, or delete it with None.

        With `expected` given, the transaction fails with `stale-head` if at its end the ref has another value
        (None: if it exists). The target must be in the repository by then (`unknown-object`).
        """
        check_ref_name(name)
        guard: RefValue | EllipsisType = ... if isinstance(expected, EllipsisType) else (expected, int(kind))
        self.refs.set(name, (target, int(kind)), guard)

    def set_head(self, ref_or_commit: str | bytes) -> None:
        """Check out a branch (`heads/main`, which need not exist yet) or detach HEAD at a commit."""
        if isinstance(ref_or_commit, str):
            check_ref_name(ref_or_commit)
            if not ref_or_commit.startswith("heads/"):
                raise UsageError("bad-name", f'HEAD can be on a branch, not on "{ref_or_commit}"')
            self.refs.set(HEAD, (ref_or_commit.encode(), SYMBOLIC))
        else:
            self.refs.set(HEAD, (ref_or_commit, int(Kind.COMMIT)))

    # ---- everything else in the database

    def write_rows(
        self, sql: str, rows: Iterable[Sequence[Any]], *, early: bool = False, durable: bool = True
    ) -> None:
        """Run a statement for each row when the transaction commits; for the modules of this room alone.

        Statements run in the order in which they were first given. `early` rows speak of objects only, and
        are written whenever those are flushed. A transaction of rows that need not be `durable` does not wait
        for the disk.
        """
        self._durable |= durable
        (self._early_rows if early else self._rows).setdefault(sql, []).extend(rows)

    def flush(self) -> None:
        """Make the objects put so far durable and visible; refs and all else wait for the end.

        Happens by itself every 50,000 objects or 256 MiB. What is flushed stays if the transaction fails.
        """
        self._commit(final=False)

    def _flush_if_large(self) -> None:
        if len(self._pending) >= FLUSH_ROWS or self._pending_bytes >= FLUSH_BYTES:
            self.flush()

    # ---- the end

    def _commit(self, *, final: bool) -> None:
        database = self._database
        changes_refs = final and bool(self.refs)
        try:
            ends = self._appender.sync()
            if not (ends or self._early_rows or (final and self._rows) or changes_refs):
                return
            durable = bool(self._durable or ends or changes_refs)
            if not durable:
                database.set_durable(False)
            database.begin()
            self._write_objects(ends)
            self._write_rows(self._early_rows)
            if final:
                self._write_rows(self._rows)
            if changes_refs:
                self._write_refs()
        except BaseException:
            database.roll_back()
            database.set_durable(True)
            self._roll_back()
            raise
        try:
            database.commit()
        except BaseException:
            # The log may hold the whole transaction although writing it was reported to fail.
            database.roll_back()
            self._objects.end_overlay(failed=True)
            self._appender.abandon()
            raise
        finally:
            if not durable:
                database.set_durable(True)
        self._appender.accept()
        self._objects.end_overlay(failed=False)
        self._pending_bytes = 0
        self._early_rows.clear()

    def _write_rows(self, statements: dict[str, list[Sequence[Any]]]) -> None:
        for sql, rows in statements.items():
            self._database.execute_many(sql, rows)

    def _write_objects(self, ends: list[tuple[int, int, bool]]) -> None:
        database = self._database
        database.execute_many(
            "INSERT OR IGNORE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (int(kind), object_id, *self._pending[kind, object_id])
                for kind, object_id in sorted(self._pending)
            ],
        )
        database.execute_many(
            "INSERT OR IGNORE INTO commits VALUES (?, ?, ?, ?, ?)",
            (
                (node.id, b"".join(node.parents), node.generation, node.time_s, node.tree)
                for node in self._commits.values()
            ),
        )
        database.execute_many("INSERT OR REPLACE INTO segments VALUES (?, ?, ?)", ends)

    def _write_refs(self) -> None:
        changes = self.refs.write()
        if changes and self._operation is not None:
            self.operation_id = record_operation(
                self._database, self._clock(), self._operation, self.undoes, changes
            )

    def _roll_back(self) -> None:
        self._appender.roll_back()
        self._objects.end_overlay(failed=True)
