"""Transactions: the single way to write to a repository.

Records go to a segment as they come. At the end the segment is synced, and then one transaction of the
database names the records, moves the refs and writes the operation log; before it, nobody else sees anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from types import EllipsisType, TracebackType
from typing import Any

from muse.errors import UsageError
from muse.objects.ids import Kind
from muse.store.appender import Appender
from muse.store.database import Database
from muse.store.index import write_ends, write_locations, write_nodes
from muse.store.objects import ObjectStore
from muse.store.objectwriter import ObjectWriter
from muse.store.refchanges import HEAD, RefChanges, RefValue, record_operation
from muse.store.refs import SYMBOLIC, check_ref_name


class Transaction(ObjectWriter):
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
        super().__init__(objects, appender)
        self._database = database
        self._turn = turn
        self._clock = clock
        self._operation = operation
        self.refs = RefChanges(database, objects)
        self._rows: dict[str, list[Sequence[Any]]] = {}
        self._early_rows: dict[str, list[Sequence[Any]]] = {}
        self._durable = False
        self.undoes: int | None = None
        self.after_commit: list[Callable[[], None]] = []
        """Called in order when the transaction has been committed, not when it fails."""
        self.operation_id: int | None = None
        """Set when the transaction has ended and changed a ref under an operation."""

    def __enter__(self) -> Transaction:
        self._turn.__enter__()
        self._overlay.write_out = self._appender.write_out
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

    # ---- the end

    def _commit(self, *, final: bool) -> None:
        """Make the records durable, then name them in one database transaction; `final` moves refs, too.

        In this order, so that no row ever names what a power failure could take.
        """
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
            write_locations(database, self._overlay.locations)
            write_nodes(database, self._overlay.commits.values())
            write_ends(database, ends)
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
            self._objects.drop_overlay()
            self._appender.abandon()
            raise
        finally:
            if not durable:
                database.set_durable(True)
        self._appender.accept()
        self._overlay.clear()
        self._pending_bytes = 0
        self._early_rows.clear()

    def _write_rows(self, statements: dict[str, list[Sequence[Any]]]) -> None:
        for sql, rows in statements.items():
            self._database.execute_many(sql, rows)

    def _write_refs(self) -> None:
        changes = self.refs.write()
        if changes and self._operation is not None:
            self.operation_id = record_operation(
                self._database, self._clock(), self._operation, self.undoes, changes
            )

    def _roll_back(self) -> None:
        self._appender.roll_back()
        self._objects.drop_overlay()
