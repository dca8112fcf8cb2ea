"""The end of a push: are the moves allowed, and one short transaction that makes them all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from muse.errors import Conflict
from muse.objects.ids import Kind
from muse.wire.push import PushHeader, RefUpdate
from muse.wire.refnames import HEADS, TAGS
from muse.wire.refs import Ref
from musehub.accounts.actor import Actor
from musehub.accounts.permissions import Action
from musehub.accounts.rights import check_still_allowed
from musehub.db.engine import Database
from musehub.db.history import is_ancestor
from musehub.db.instants import Clock
from musehub.db.objects import find_present_objects
from musehub.db.outbox import enqueue
from musehub.db.pushes import DONE, begin_push, find_push, finish_push
from musehub.db.refs import find_refs, replace_refs
from musehub.db.repositories import RepositoryRow
from musehub.db.state import add_to_totals
from musehub.db.transaction import metered
from musehub.push.absent import missing_objects
from musehub.push.heads import check_heads
from musehub.push.room import begin_recording


class Finalised(NamedTuple):
    """`receipt` is the result that stands in the database, an earlier one if the push had landed before."""

    receipt: dict[str, Any]
    transaction_s: float
    earlier: bool


async def check_updates(
    database: Database,
    repository: RepositoryRow,
    header: PushHeader,
    refs: Mapping[str, Ref],
    forward: Mapping[str, Collection[bytes]],
) -> None:
    """Check that targets exist and that nothing moves that may not; no transaction is open afterwards.

    `forward` holds, for each ref, commits of this push already known to descend from its old value. Ancestry
    never changes, so what is found here still holds in the transaction, which compares the old values again.
    Raises `missing-objects`, `not-fast-forward`, `already-exists`, `checked-out`.
    """
    moves = [update for update in header.updates if update.new is not None]
    async with database.read("check targets") as conn:
        for kind in Kind:
            targets = {update.new for update in moves if update.kind is kind and update.new is not None}
            if not targets:
                continue
            absent = targets - await find_present_objects(conn, repository.id, kind, targets)
            if absent:
                raise missing_objects((kind, object_id) for object_id in sorted(absent))
        for update in header.updates:
            current = refs.get(update.name)
            if update.new is None:
                _check_deletion(repository, update)
            elif current is None or update.force or current == Ref(update.new, update.kind):
                continue
            elif update.name.startswith(TAGS):
                raise Conflict(
                    "already-exists",
                    f'the tag "{update.name.removeprefix(TAGS)}" exists and would move',
                    hint="force it if others may see it change",
                    details={"name": update.name, "current": current.to_json()},
                )
            elif update.new not in forward.get(update.name, ()) and not await is_ancestor(
                conn, repository.id, current.target, update.new
            ):
                raise Conflict(
                    "not-fast-forward",
                    f'the new "{update.name.removeprefix(HEADS)}" does not descend from the current one',
                    hint="fetch and bring your work up to date, or force it with a lease",
                    details={"name": update.name, "current": current.to_json()},
                )


def _check_deletion(repository: RepositoryRow, update: RefUpdate) -> None:
    if update.name == HEADS + repository.default_branch:
        raise Conflict(
            "checked-out",
            f'"{repository.default_branch}" is the default branch and cannot be deleted',
            hint="make another branch the default one first",
        )


async def finalise(
    database: Database,
    clock: Clock,
    repository: RepositoryRow,
    actor: Actor,
    header: PushHeader,
    receipt: dict[str, Any],
    counts: Mapping[str, int],
    job_kinds: Sequence[str] = (),
) -> Finalised:
    """Move all refs or none, write receipt and jobs, in one transaction without any other I/O.

    Raises `stale-head` when one of the refs has moved since the push began, and what a new request by the
    same actor would get if they may not push any more.
    """
    user_id = actor.user_id
    assert user_id is not None
    names = [update.name for update in header.updates]
    with metered() as meter:
        async with database.transaction("finalise push", turn=repository.id) as conn:
            targets: dict[Kind, list[bytes]] = {}
            for update in header.updates:
                if update.new is not None:
                    targets.setdefault(update.kind, []).append(update.new)
            # What is recorded is closed: if the targets are still there, so is all that they reach.
            state = await begin_recording(
                conn,
                repository,
                repository.gc_epoch,
                lambda: {kind: ids for kind, ids in targets.items() if ids},
            )
            now = clock()
            await check_still_allowed(conn, actor, Action.WRITE, repository.id, repository.full_name, now)
            if state.signatures != repository.signatures:
                raise Conflict(
                    "stale-head",
                    "the repository's policy about signatures changed during this push",
                    hint="push again",
                    retry=True,
                )
            earlier = await find_push(conn, repository.id, header.push_id)
            if earlier is not None and earlier.state == DONE and earlier.result is not None:
                return Finalised(earlier.result | {"timeline": earlier.timeline or {}}, 0.0, True)
            check_heads(header.updates, await find_refs(conn, repository.id, names))
            await replace_refs(conn, repository.id, _new_refs(header), now)
            default_branch = await _choose_default_branch(conn, repository.id, state.default_branch, header)
            changed = {"pushed_at": now, "updated_at": now, "default_branch": default_branch}
            await add_to_totals(conn, repository.id, 0, 0, others=changed)
            result = receipt | {"finished_at": now.isoformat()}
            if earlier is None:
                await begin_push(conn, repository.id, header.push_id, user_id, now)
            await finish_push(
                conn,
                repository.id,
                header.push_id,
                {"state": DONE, "finished_at": now, "result": result, **counts},
            )
            await enqueue(conn, job_kinds, repository.id, {"push_id": header.push_id.hex()}, now)
    return Finalised(result, round(meter.held_s, 6), False)


def _new_refs(header: PushHeader) -> dict[str, Ref | None]:
    return {
        update.name: Ref(update.new, update.kind) if update.new is not None else None
        for update in header.updates
    }


async def _choose_default_branch(conn: Any, repository_id: int, current: str, header: PushHeader) -> str:
    """Keep the default branch if it exists; else take what the client asks for, `main`, or any branch."""
    pushed = [
        update.name.removeprefix(HEADS)
        for update in header.updates
        if update.new is not None and update.name.startswith(HEADS)
    ]
    if not pushed or current in pushed:
        return current
    wanted = header.create.default_branch if header.create is not None else None
    candidates = [name for name in (current, wanted, "main", "master") if name]
    found = await find_refs(conn, repository_id, [HEADS + name for name in candidates])
    return next((name for name in candidates if HEADS + name in found), pushed[0])
