"""Marks what is reachable, in a temporary table: memory stays flat whatever the size of the repository."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from muse.errors import CorruptStore, InvalidData
from muse.objects.ids import Key, Kind, split_ids
from muse.objects.references import iter_references
from muse.store.progress import Progress, silent
from muse.store.refs import SYMBOLIC

if TYPE_CHECKING:
    from muse.store.repository import Repository

BATCH = 4096


class Reachable:
    """The table `live(kind, id)` of this connection; `missing` are the ids that were named and not found."""

    def __init__(self, repository: Repository, progress: Progress = silent) -> None:
        self._objects = repository.objects
        self._database = repository.database
        self._progress = progress
        self._queues: dict[Kind, list[bytes]] = {kind: [] for kind in Kind}
        self.count = 0
        self.missing: set[Key] = set()
        self._database.execute("DROP TABLE IF EXISTS temp.live")
        self._database.execute(
            "CREATE TEMP TABLE live (kind INTEGER, id BLOB, PRIMARY KEY (kind, id)) WITHOUT ROWID"
        )

    def mark(self, roots: Iterable[Key]) -> None:
        """Mark the roots and all that they name, directly or not."""
        for kind, object_id in roots:
            self._queues[kind].append(object_id)
        while any(self._queues.values()):
            # What names nothing goes first: a queue is as long as what one batch of its namers named.
            for kind in (Kind.BLOB, Kind.CHUNKS, Kind.TREE, Kind.COMMIT, Kind.TAG):
                queue = self._queues[kind]
                if queue and (kind is not Kind.BLOB or len(queue) >= BATCH or not self._others()):
                    batch = queue[-BATCH:]
                    del queue[-BATCH:]
                    self._mark_batch(kind, batch)
                    break

    def close(self) -> None:
        self._database.execute("DROP TABLE IF EXISTS temp.live")

    def _others(self) -> bool:
        return any(queue for kind, queue in self._queues.items() if kind is not Kind.BLOB)

    def _mark_batch(self, kind: Kind, ids: list[bytes]) -> None:
        rows = self._database.load_set(
            "INSERT OR IGNORE INTO temp.live SELECT :kind, id FROM wanted RETURNING id", ids, kind=int(kind)
        )
        new = [row[0] for row in rows]
        missing = self._objects.find_missing(kind, new)
        if missing:
            self.missing.update((kind, object_id) for object_id in missing)
            new = [object_id for object_id in new if object_id not in missing]
        self.count += len(new)
        self._progress("finding what is reachable", self.count, None, "objects")
        if kind is Kind.COMMIT:
            self._queue_commits(new)
        elif kind is not Kind.BLOB:
            for object_id in new:
                self._queue_references(kind, object_id)

    def _queue_commits(self, ids: list[bytes]) -> None:
        rows = self._database.load_set(
            "SELECT c.parents, c.tree FROM wanted CROSS JOIN commits c ON c.id = wanted.id", ids
        )
        for parents, tree in rows:
            self._queues[Kind.COMMIT] += split_ids(parents)
            self._queues[Kind.TREE].append(tree)
        if len(rows) != len(ids):
            for object_id in ids:
                if self._objects.find_node(object_id) is None:
                    self._queue_references(Kind.COMMIT, object_id)

    def _queue_references(self, kind: Kind, object_id: bytes) -> None:
        try:
            for target, target_id in iter_references(kind, self._objects.load(kind, object_id)):
                self._queues[target].append(target_id)
        except (CorruptStore, InvalidData):
            self.missing.add((kind, object_id))


def load_roots(repository: Repository, since_s: float = 0.0) -> list[tuple[str, Key]]:
    """Return (where, object) of all refs, of HEAD, and of the operation log from `since_s` on."""
    database = repository.database
    roots: list[tuple[str, Key]] = [
        (f"ref {name}", (Kind(kind), target))
        for name, target, kind in database.load_rows("SELECT name, target, kind FROM refs ORDER BY name")
    ]
    for (target,) in database.load_rows("SELECT target FROM head WHERE target IS NOT NULL"):
        roots.append(("HEAD", (Kind.COMMIT, target)))
    rows = database.load_rows(
        "SELECT o.id, c.ref, c.old, c.old_kind, c.new, c.new_kind FROM operations o"
        " JOIN operation_changes c ON c.operation = o.id WHERE o.time_s >= ? ORDER BY o.id",
        (since_s,),
    )
    for operation, ref, old, old_kind, new, new_kind in rows:
        for value, kind in ((old, old_kind), (new, new_kind)):
            if value is not None and kind != SYMBOLIC:
                roots.append((f"operation {operation} ({ref})", (Kind(kind), value)))
    return roots
