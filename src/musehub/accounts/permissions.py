"""The one function that decides who may do what; pure, and tested as a table.

| action     | owner | write | read | other user         | nobody             | site admin |
|------------|-------|-------|------|--------------------|--------------------|------------|
| see, read  | yes   | yes   | yes  | public only        | public only        | yes        |
| write      | yes   | yes   | no   | no                 | no: log in         | yes        |
| administer | yes   | no    | no   | no                 | no: log in         | yes        |
| delete     | yes   | no    | no   | no                 | no: log in         | yes        |
| create     | own   |       |      | only in their name | no: log in         | anywhere   |

What somebody may not see is not found, whether or not it exists; nobody is asked to log in for the rest,
whether or not it exists. A token takes away: `read` allows
see and read, `write` also write and create, `admin` everything; a token for one repository makes
its user a stranger to all others. A site administrator's rights over other people's repositories
need the scope `admin`. A disabled user is nobody.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from muse.errors import AccessDenied, MuseError, NotFound
from musehub.accounts.actor import ANONYMOUS, Actor


class Action(Enum):
    SEE = "see"
    READ = "read"
    WRITE = "write"
    ADMINISTER = "administer"
    DELETE = "delete"
    CREATE = "create"


_SCOPE_NEEDED = {
    Action.SEE: "read",
    Action.READ: "read",
    Action.WRITE: "write",
    Action.CREATE: "write",
    Action.ADMINISTER: "admin",
    Action.DELETE: "admin",
}
_ROLE_ALLOWS = {
    "owner": frozenset(Action),
    "write": frozenset({Action.SEE, Action.READ, Action.WRITE}),
    "read": frozenset({Action.SEE, Action.READ}),
}


class RepositoryAccess(NamedTuple):
    """What the decision needs to know of a repository and of the actor's place in it.

    For CREATE it is the repository to be: `id` None, `is_public` False, `role` None.
    """

    id: int | None
    owner_id: int
    is_public: bool
    role: str | None = None
    """The actor's own collaborator role: `read`, `write` or None."""
    full_name: str = ""
    """`owner/name`, for messages."""


class Decision(NamedTuple):
    """Allowed, or the code of the error that the actor gets."""

    allowed: bool
    code: str | None = None
    message: str = ""
    hint: str | None = None

    def require(self) -> None:
        """Raise the error if it is not allowed."""
        if self.allowed:
            return
        assert self.code is not None
        category: type[MuseError] = NotFound if self.code in NotFound.codes else AccessDenied
        raise category(self.code, self.message, hint=self.hint)


_YES = Decision(True)


def not_found(full_name: str) -> Decision:
    """The answer for what is not there and for what the actor may not see: literally the same."""
    return Decision(
        False,
        "repository-not-found",
        f'no repository "{full_name}", or you may not see it',
        "check the address, and `muse auth whoami`",
    )


def decide(
    actor: Actor, action: Action, repository: RepositoryAccess | None, full_name: str = ""
) -> Decision:
    """May `actor` do `action`? `repository` None says that there is none called `full_name`."""
    name = full_name or (repository.full_name if repository else "")
    if actor.is_disabled:
        actor = ANONYMOUS
    if actor.is_anonymous and action not in (Action.SEE, Action.READ):
        return _log_in(name)
    if repository is None:
        return not_found(name)
    restricted = actor.repository_id is not None and actor.repository_id != repository.id
    if action is Action.CREATE:
        return _decide_create(actor, repository, name, restricted)

    role = None if restricted else _role(actor, repository)
    visible = repository.is_public or role is not None
    if not visible:
        return not_found(name)
    if action in (Action.SEE, Action.READ):
        return _YES
    if restricted:
        return _wrong_scope(f'this token is not for the repository "{name}"')
    if role is None or action not in _ROLE_ALLOWS[role]:
        return Decision(False, "permission-denied", f'"{actor.name}" may not {action.value} "{name}"')
    if not actor.has_scope(_SCOPE_NEEDED[action]):
        return _lacks_scope(actor, action, name)
    return _YES


def _role(actor: Actor, repository: RepositoryAccess) -> str | None:
    if actor.is_anonymous:
        return None
    if actor.user_id == repository.owner_id:
        return "owner"
    if actor.is_admin and actor.has_scope("admin"):
        return "owner"
    return repository.role


def _decide_create(actor: Actor, repository: RepositoryAccess, name: str, restricted: bool) -> Decision:
    own = actor.user_id == repository.owner_id
    if not own and not (actor.is_admin and actor.has_scope("admin")):
        # Whether something private of that name exists must not show.
        return not_found(name)
    if restricted:
        return _wrong_scope(f'this token is for one other repository and cannot create "{name}"')
    if not actor.has_scope(_SCOPE_NEEDED[Action.CREATE]):
        return _lacks_scope(actor, Action.CREATE, name)
    return _YES


def _log_in(name: str) -> Decision:
    """The same for what would create and what would change: which it is tells whether it exists."""
    return Decision(
        False, "not-logged-in", f'log in to change "{name}"', "run `muse auth login`, or send a token"
    )


def _lacks_scope(actor: Actor, action: Action, name: str) -> Decision:
    needed = _SCOPE_NEEDED[action]
    return _wrong_scope(
        f'this token has the scope "{actor.scope}"; to {action.value} "{name}" takes "{needed}"'
    )


def _wrong_scope(message: str) -> Decision:
    return Decision(False, "wrong-scope", message, "make another token, or log in again")
