"""Is a batch closed: is all that it names recorded here, or brought by the same push."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from muse.objects.ids import Kind
from musehub.db.blobs import find_blob_sizes
from musehub.db.engine import Database
from musehub.db.history import find_generations
from musehub.db.objects import find_present_objects
from musehub.push.absent import missing_objects
from musehub.push.known import Claims, Known

IDS_AT_ONCE = 20_000
"""Ids that one transaction asks for: a tenth of a second in a repository of a million objects."""


async def check_closed(database: Database, repository_id: int, claims: Claims, known: Known) -> None:
    """Look up what a batch says of others, and add what is found to `known`.

    Raises `missing-objects`, and `bad-object` where a blob has another size than the batch says.
    """
    asked = {kind: sorted(ids) for kind, ids in claims.ids.items() if ids}
    if claims.blobs:
        asked[Kind.BLOB] = sorted(claims.ids[Kind.BLOB].union(claims.blobs))
    if not asked:
        return
    missing: list[tuple[Kind, bytes]] = []
    sizes: dict[bytes, int] = {}
    for part in _cut(asked):
        async with database.read("check closure") as conn:
            for kind, ids in part.items():
                present: Collection[bytes]
                if kind is Kind.COMMIT:
                    present = generations = await find_generations(conn, repository_id, ids)
                    known.generations |= generations
                elif kind is Kind.BLOB:
                    present = found = await find_blob_sizes(conn, repository_id, ids)
                    sizes |= found
                else:
                    present = await find_present_objects(conn, repository_id, kind, ids)
                    known.add_found(kind, present)
                if len(present) < len(ids):
                    missing += ((kind, object_id) for object_id in ids if object_id not in present)
    if missing:
        raise missing_objects(missing)
    known.add_sizes(claims.blobs, sizes)


def _cut(asked: Mapping[Kind, Sequence[bytes]]) -> Iterator[Mapping[Kind, Sequence[bytes]]]:
    """Yield all ids in parts of at most `IDS_AT_ONCE`, as one if they are no more than that."""
    if sum(map(len, asked.values())) <= IDS_AT_ONCE:
        yield asked
        return
    for kind, ids in asked.items():
        for start in range(0, len(ids), IDS_AT_ONCE):
            yield {kind: ids[start : start + IDS_AT_ONCE]}
