"""What a push brought that is not recorded yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from muse.objects.commit import Commit
from muse.packs.record import Record
from musehub.push.commits import derive_commit_rows

MAX_BYTES = 4 << 20
MAX_BLOB_BYTES = 16 << 20
PARENTS_PER_ROW = 4
"""A commit may have 4,096 parents, each a row: so many times the rows of a transaction may be of parents."""


class Pending:
    """The objects of the next transaction, and the rows of its commits."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, Record]] = []
        """Trees, chunk lists, commits and tags: a row each."""
        self.blobs: dict[bytes, Record] = {}
        """To be made a pack first."""
        self.commit_rows: list[tuple[Any, ...]] = []
        self.parent_rows: list[tuple[Any, ...]] = []
        self._record_bytes = 0
        self._blob_bytes = 0

    def add_blobs(self, blobs: Mapping[bytes, Record]) -> int:
        """Returns how many bytes more wait now."""
        before = self._blob_bytes
        for object_id, record in blobs.items():
            if object_id not in self.blobs:
                self.blobs[object_id] = record
                self._blob_bytes += record.size_bytes
        return self._blob_bytes - before

    def add_records(self, records: Sequence[tuple[bytes, Record]]) -> None:
        self.records += records
        self._record_bytes += sum(len(record.payload) for _id, record in records)

    def add_commits(
        self, repository_id: int, commits: Sequence[tuple[bytes, Commit]], generations: dict[bytes, int]
    ) -> None:
        """Add their rows; `generations` has those of all parents before and of the commits after."""
        for object_id, commit in commits:
            generation, row, parents = derive_commit_rows(repository_id, object_id, commit, generations)
            generations[object_id] = generation
            self.commit_rows.append(row)
            self.parent_rows += parents

    def is_full(self, max_rows: int) -> bool:
        return (
            self._record_bytes >= MAX_BYTES
            or len(self.records) >= max_rows
            or len(self.parent_rows) >= max_rows * PARENTS_PER_ROW
            or self._blob_bytes >= MAX_BLOB_BYTES
        )

    @property
    def record_rows(self) -> int:
        """Rows of records and of their parents, as far as these take time of their own."""
        return max(len(self.records), len(self.parent_rows))
