"""The frame of every transaction that records objects: lock, is all still there, is there room.

docs/decisions/0010-collecting-beside-pushes.md says why this makes clean-up safe beside running pushes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from muse.errors import LimitReached, NotFound
from muse.objects.ids import Kind
from musehub.db.objects import find_present_objects
from musehub.db.repositories import RepositoryRow
from musehub.db.state import (
    RepositoryState,
    Totals,
    add_to_totals,
    load_owner_totals,
    load_state,
    note_healed,
)
from musehub.push.absent import missing_objects
from musehub.repos.quotas import quota_of_repository, quota_of_user
from musehub.settings import Settings


async def begin_recording(
    conn: AsyncConnection,
    repository: RepositoryRow,
    epoch: int,
    relied_on: Callable[[], Mapping[Kind, Collection[bytes]]],
) -> RepositoryState:
    """Lock the repository; if something was removed since `epoch`, look again for what was found then.

    Raises `repository-not-found`, `missing-objects` with `retry`.
    """
    state = await load_state(conn, repository.id, lock=True)
    if state is None:
        raise NotFound("repository-not-found", f'the repository "{repository.full_name}" was deleted')
    if state.gc_epoch != epoch:
        for kind, ids in relied_on().items():
            absent = set(ids) - await find_present_objects(conn, repository.id, kind, ids)
            if absent:
                raise missing_objects(((kind, object_id) for object_id in sorted(absent)), retry=True)
    return state


async def end_recording(
    conn: AsyncConnection, settings: Settings, state: RepositoryState, added: Totals
) -> None:
    """Add what was recorded to the totals; raises `quota-exceeded`, and nothing of it is kept then."""
    await check_room(conn, settings, state, added, lock=True)
    await add_to_totals(conn, state.id, added.bytes, added.objects)
    if state.is_incomplete and added.objects:
        await note_healed(conn, state.id)


async def check_room(
    conn: AsyncConnection,
    settings: Settings,
    state: RepositoryState | RepositoryRow,
    added: Totals,
    *,
    lock: bool = False,
) -> None:
    """Raise `quota-exceeded` if that much more does not fit into the repository or its owner's share."""
    if added.bytes <= 0 and added.objects <= 0:
        return
    limits = quota_of_repository(settings, state.quota_bytes, state.quota_objects)
    used = Totals(state.stored_bytes, state.stored_objects)
    _check("repository", "the repository", limits, used, added)
    limits = quota_of_user(settings, state.owner_quota_bytes, state.owner_quota_objects)
    if limits.bytes or limits.objects:
        used = await load_owner_totals(conn, state.owner_id, lock=lock)
        _check("owner", "all repositories of its owner", limits, used, added)


def _check(of: str, whose: str, limits: Totals, used: Totals, added: Totals) -> None:
    for unit, limit, held, more in (
        ("bytes", limits.bytes, used.bytes, added.bytes),
        ("objects", limits.objects, used.objects, added.objects),
    ):
        if limit and more > 0 and held + more > limit:
            raise LimitReached(
                "quota-exceeded",
                f"{whose} may hold {limit:,} {unit}, has {held:,}, and this push brings {more:,} or more",
                hint="delete branches that are not needed and ask an administrator for `musehub gc`, or for "
                "more room (`musehub quota set`)",
                details={
                    "unit": unit,
                    "limit": limit,
                    "used": held,
                    "needed": more,
                    "of": of,
                },
            )
