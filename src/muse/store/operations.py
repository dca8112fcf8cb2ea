"""The operation log: every command that moved a ref, and how to take it back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from muse.errors import NotFound, UsageError
from muse.store.refs import SYMBOLIC, Refs

if TYPE_CHECKING:
    from muse.store.database import Database
    from muse.store.transaction import Transaction


class Change(NamedTuple):
    """A ref, or `HEAD`, before and after; None where it did not exist.

    `HEAD` on a branch has the branch's full name as value and `SYMBOLIC` as kind.
    """

    ref: str
    old: bytes | None
    new: bytes | None
    old_kind: int
    new_kind: int


class Operation(NamedTuple):
    """One command. `undoes` is the id of the operation that this one took back, or None."""

    id: int
    time_s: float
    command: str
    undoes: int | None
    changes: list[Change]


class Undone(NamedTuple):
    """What an undo or redo does: the work tree has to go from one commit to the other (None: no commit)."""

    operation: Operation
    commit_before: bytes | None
    commit_after: bytes | None


class OperationLog:
    """Reads the log, and takes back what it says; an undo is an operation, too, and can be taken back."""

    def __init__(self, database: Database, refs: Refs) -> None:
        self._database = database
        self._refs = refs

    def iter(self) -> Iterator[Operation]:
        """Yield operations, newest first; a few pages of the database at a time."""
        before = 1 << 62
        while True:
            rows = self._database.load_rows(
                "SELECT o.id, o.time_s, o.command, o.undoes, c.ref, c.old, c.new, c.old_kind, c.new_kind"
                " FROM (SELECT * FROM operations WHERE id < ? ORDER BY id DESC LIMIT 64) o"
                " JOIN operation_changes c ON c.operation = o.id ORDER BY o.id DESC, c.ref",
                (before,),
            )
            if not rows:
                return
            for head, group in groupby(rows, key=lambda row: row[:4]):
                yield Operation._make((*head, [Change._make(row[4:]) for row in group]))
            before = rows[-1][0]

    def get(self, operation_id: int) -> Operation:
        for operation in self.iter():
            if operation.id == operation_id:
                return operation
        raise NotFound(
            "unknown-object", f"there is no operation {operation_id}", hint="`muse oplog` lists them"
        )

    def undo(self, transaction: Transaction, operation_id: int | None = None) -> Undone:
        """Move all refs of an operation back when the transaction commits.

        Without an id it is the newest operation that is neither an undo nor undone. Refs of remotes
        stay: they say what the other side has. The transaction fails with `stale-head` if a ref
        has moved since.
        """
        if operation_id is None:
            operation = self._find(redo=False)
        else:
            operation = self.get(operation_id)
        if operation is None or not _own_changes(operation):
            raise UsageError("nothing-to-undo", "there is no operation that could be undone")
        return self._take_back(transaction, operation)

    def redo(self, transaction: Transaction) -> Undone:
        """Take the newest undo back that is still in force."""
        operation = self._find(redo=True)
        if operation is None:
            raise UsageError("nothing-to-undo", "there is no undo that could be taken back")
        return self._take_back(transaction, operation)

    def _find(self, redo: bool) -> Operation | None:
        """Return the newest command that is not undone; with `redo` the newest undo of one since then."""
        inactive: set[int] = set()
        for operation in self.iter():
            if operation.id in inactive or not _own_changes(operation):
                continue
            if operation.undoes is None:
                return None if redo else operation
            if redo and self._undoes_a_command(operation):
                return operation
            inactive.add(operation.undoes)
        return None

    def _undoes_a_command(self, operation: Operation) -> bool:
        row = self._database.find_row("SELECT undoes FROM operations WHERE id = ?", (operation.undoes,))
        return row is not None and row[0] is None

    def _take_back(self, transaction: Transaction, operation: Operation) -> Undone:
        head = self._refs.head()
        ref, commit = head.ref, head.target
        moved: dict[str, bytes | None] = {}
        for change in _own_changes(operation):
            transaction.refs.set(change.ref, (change.old, change.old_kind), (change.new, change.new_kind))
            if change.ref != "HEAD":
                moved[change.ref] = change.old
            elif change.old_kind == SYMBOLIC:
                assert change.old is not None
                ref = change.old.decode()
                found = self._refs.get(ref)
                commit = found.target if found is not None else None
            else:
                ref, commit = None, change.old
        if ref in moved:
            commit = moved[ref]
        transaction.undoes = operation.id
        return Undone(operation, head.target, commit)


def _own_changes(operation: Operation) -> list[Change]:
    return [change for change in operation.changes if not change.ref.startswith("remotes/")]
