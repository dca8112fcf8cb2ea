"""What Git objects are in muse: the Git map with the newest part of it in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from muse.errors import InvalidData
from muse.git.forgetting import forget_oldest
from muse.objects.ids import KINDS_BY_WORD, Kind
from muse.store.repository import Repository
from muse.store.transaction import Transaction

MAX_KNOWN = 50_000
"""About 300 bytes each."""
INEXACT = "~"
"""Begins the kind of an object that the import changed: good for the next import, not for an export."""


class Mapped(NamedTuple):
    """What a Git object is in muse; `exact` unless something of it was lost."""

    kind: Kind
    id: bytes
    size_bytes: int = 0
    files: int = 0
    exact: bool = True


class KnownObjects:
    """Maps Git ids to objects; what is added becomes durable with the objects of the transaction."""

    def __init__(self, repository: Repository, transaction: Transaction) -> None:
        self._map = repository.git_map
        self._transaction = transaction
        self._known: dict[bytes, Mapped] = {}
        self._fresh: dict[bytes, tuple[Kind | str, bytes, int, int]] = {}
        self.inexact: set[bytes] = set()
        """Those met so far that are not exact: nobody expects many."""

    def add(self, git_id: bytes, mapped: Mapped) -> None:
        self._known[git_id] = mapped
        kind: Kind | str = mapped.kind
        if not mapped.exact:
            kind = INEXACT + mapped.kind.word
            self.inexact.add(git_id)
        self._fresh[git_id] = (kind, mapped.id, mapped.size_bytes, mapped.files)

    def find(self, git_id: bytes) -> Mapped | None:
        return self._known.get(git_id) or self.find_many((git_id,)).get(git_id)

    def find_many(self, git_ids: Iterable[bytes]) -> dict[bytes, Mapped]:
        """Return those that are known; one query for all that are not in memory."""
        known = self._known
        found = {}
        missing = []
        for git_id in git_ids:
            mapped = known.get(git_id)
            if mapped is None:
                missing.append(git_id)
            else:
                found[git_id] = mapped
        if missing:
            for git_id, row in self._map.find_many(missing).items():
                mapped = known[git_id] = found[git_id] = parse_row(row)
                if not mapped.exact:
                    self.inexact.add(git_id)
        return found

    def get(self, git_id: bytes) -> Mapped:
        """Return what is known; raises `bad-git-data`."""
        mapped = self.find(git_id)
        if mapped is None:
            raise unknown_object(git_id)
        return mapped

    def save(self) -> None:
        """Hand what was added to the transaction; call before its `flush`."""
        if self._fresh:
            self._map.put_many(self._transaction, self._fresh)
            self._fresh = {}

    def trim(self) -> None:
        """Forget the oldest half of what is in memory if it is too much; only after `save` and `flush`."""
        forget_oldest(self._known, MAX_KNOWN)


def parse_row(row: tuple[Kind | str, bytes, int, int]) -> Mapped:
    """Return what a row of the Git map says."""
    kind, object_id, size_bytes, files = row
    if isinstance(kind, Kind):
        return Mapped(kind, object_id, size_bytes, files)
    return Mapped(KINDS_BY_WORD[kind.removeprefix(INEXACT)], object_id, size_bytes, files, False)


def unknown_object(git_id: bytes) -> InvalidData:
    return InvalidData(
        "bad-git-data",
        f"the Git repository lacks object {git_id.hex()}, or names it before its parts",
        hint="`git fsck` shows what is wrong",
    )
