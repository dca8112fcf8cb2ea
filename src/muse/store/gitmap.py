"""The Git map: which object here is which object there, for incremental import and lossless export."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from muse.objects.ids import Kind

if TYPE_CHECKING:
    from muse.store.database import Database
    from muse.store.transaction import Transaction


class GitRow(NamedTuple):
    """An object here: `kind` is a `Kind`, or the kind of a tree entry ("f", "c", …) where that says more."""

    kind: Kind | str
    id: bytes
    size_bytes: int
    files: int


class GitMap:
    """Maps Git ids (20 or 32 bytes) to objects and back; rows are written whenever objects are flushed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_many(self, git_ids: Iterable[bytes]) -> dict[bytes, GitRow]:
        """Return what is known of these Git ids; one query per length of id."""
        found: dict[bytes, GitRow] = {}
        for width, ids in _by_width(git_ids).items():
            rows = self._database.load_set(
                "SELECT wanted.id, g.kind, g.id, g.size_bytes, g.files FROM wanted"
                " CROSS JOIN git_map g ON g.git_id = wanted.id",
                ids,
                width,
            )
            found.update((row[0], _git_row(row[1:])) for row in rows)
        return found

    def put_many(
        self, transaction: Transaction, rows: Mapping[bytes, tuple[Kind | str, bytes, int, int]]
    ) -> None:
        """Record git id → (kind, id, size_bytes, files); what is recorded already is replaced."""
        transaction.write_rows(
            "INSERT OR REPLACE INTO git_map VALUES (?, ?, ?, ?, ?)",
            [
                (git_id, int(kind) if isinstance(kind, Kind) else kind, object_id, size_bytes, files)
                for git_id, (kind, object_id, size_bytes, files) in rows.items()
            ],
            early=True,
        )

    def find_git_ids(self, kind: Kind | str, ids: Iterable[bytes]) -> dict[bytes, bytes]:
        """Return id → Git id of objects of one kind; any of them where there are several."""
        rows = self._database.load_set(
            "SELECT wanted.id, g.git_id FROM wanted"
            " CROSS JOIN git_map g ON g.id = wanted.id AND g.kind = :kind",
            list(set(ids)),
            kind=int(kind) if isinstance(kind, Kind) else kind,
        )
        return dict(rows)


def _by_width(ids: Iterable[bytes]) -> dict[int, list[bytes]]:
    widths: dict[int, list[bytes]] = {}
    for git_id in set(ids):
        widths.setdefault(len(git_id), []).append(git_id)
    return widths


def _git_row(row: tuple[int | str, bytes, int, int]) -> GitRow:
    kind = row[0]
    return GitRow(Kind(kind) if isinstance(kind, int) else kind, *row[1:])
