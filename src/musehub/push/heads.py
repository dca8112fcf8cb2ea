"""What is decided once the header of a push is there: may it, did it land already, is it up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from muse.errors import Conflict, InvalidData, MuseError, NotFound
from muse.wire.push import Create, PushHeader, RefUpdate
from muse.wire.refs import Limits, Ref, refs_to_json
from musehub.accounts.actor import Actor
from musehub.accounts.permissions import Action, decide, not_found
from musehub.db.engine import Database
from musehub.db.pushes import PushRow, find_push
from musehub.db.refs import find_refs
from musehub.db.repositories import RepositoryRow, find_owner_and_repository
from musehub.repos.access import access_of, check_may_create, create_repository


class Standing(NamedTuple):
    """The repository, the current values of the refs to be updated, and the push's own row if any."""

    repository: RepositoryRow
    created: bool
    refs: dict[str, Ref]
    push: PushRow | None


async def open_standing(
    database: Database,
    actor: Actor,
    owner: str,
    name: str,
    *,
    push_id: bytes,
    ref_names: Sequence[str],
    create: Create | None,
    limits: Limits,
    now: datetime,
) -> Standing:
    """Find the repository for writing, creating it where that is asked for and allowed.

    Raises what `decide` says, and `repository-not-found` with what a client needs to know to create it.
    """
    if actor.is_anonymous:  # the same answer whether or not there is something private
        decide(actor, Action.WRITE, None, f"{owner}/{name}").require()
    owner_id, found = await _find_standing(database, actor, owner, name, push_id, ref_names)
    if found is not None:
        return found
    if create is None:
        raise absent_repository(actor, owner_id, owner, name, limits)
    check_may_create(actor, owner_id, owner, name)
    try:
        row = await create_repository(
            database,
            actor,
            owner,
            name,
            visibility=create.visibility or "private",
            default_branch=create.default_branch or "main",
            now=now,
        )
    except Conflict:  # another request of the same push was faster
        _owner_id, found = await _find_standing(database, actor, owner, name, push_id, ref_names)
        if found is None:
            raise
        return found
    return Standing(row, True, {}, None)


async def _find_standing(
    database: Database, actor: Actor, owner: str, name: str, push_id: bytes, ref_names: Sequence[str]
) -> tuple[int | None, Standing | None]:
    """The id of the owner, and how a push to a repository stands that is there and may be written."""
    async with database.read("open push") as conn:
        owner_id, row = await find_owner_and_repository(conn, owner, name, actor.user_id)
        if row is None:
            return owner_id, None
        decide(actor, Action.WRITE, access_of(row), f"{owner}/{name}").require()
        refs = await find_refs(conn, row.id, ref_names)
        return owner_id, Standing(row, False, refs, await find_push(conn, row.id, push_id))


async def check_may_push(database: Database, actor: Actor, owner: str, name: str) -> None:
    """Raise unless the actor may write there or create it; what can be said before anything is read."""
    async with database.read("may push") as conn:
        owner_id, row = await find_owner_and_repository(conn, owner, name, actor.user_id)
    if row is not None:
        decide(actor, Action.WRITE, access_of(row), f"{owner}/{name}").require()
    else:
        check_may_create(actor, owner_id, owner, name)


def absent_repository(actor: Actor, owner_id: int | None, owner: str, name: str, limits: Limits) -> MuseError:
    """`repository-not-found`; whoever could create it by pushing is told so."""
    decision = not_found(f"{owner}/{name}")
    details = {}
    hint = decision.hint
    try:
        check_may_create(actor, owner_id, owner, name)
    except MuseError:
        pass
    else:
        details = {"may_create": True, "limits": limits.to_json()}
        hint = "a push creates it"
    return NotFound("repository-not-found", decision.message, hint=hint, details=details)


def is_in_place(update: RefUpdate, current: Ref | None) -> bool:
    if update.new is None:
        return current is None
    return current == Ref(update.new, update.kind)


def is_up_to_date(header: PushHeader, refs: Mapping[str, Ref]) -> bool:
    """Whether every ref has the value that it should get."""
    return all(is_in_place(update, refs.get(update.name)) for update in header.updates)


def check_complete(repository: RepositoryRow, header: PushHeader) -> None:
    """Where objects are known to be missing, have the client ask for all it has: it may bring them back."""
    if repository.is_incomplete and not header.checked:
        raise incomplete_repository()


def incomplete_repository() -> MuseError:
    return InvalidData(
        "missing-objects",
        "a check found objects missing on the hub",
        hint="push again with a client that brings them back",
        details={"incomplete": True},
    )


def check_heads(updates: Sequence[RefUpdate], refs: Mapping[str, Ref]) -> None:
    """Raise `stale-head` unless every ref is where the client believes it to be."""
    current = {update.name: refs.get(update.name) for update in updates}
    stale = [
        update.name
        for update in updates
        if ((found := current[update.name]) is None and update.old is not None)
        or (found is not None and update.old != found.target)
    ]
    if not stale:
        return
    more = f" and {len(stale) - 1} others" if len(stale) > 1 else ""
    raise Conflict(
        "stale-head",
        f'"{stale[0]}"{more} moved since this client last saw it',
        hint="fetch, bring your work up to date, and push again",
        details={"stale": stale, "refs": refs_to_json(current)},
    )
