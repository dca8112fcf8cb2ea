"""Who may do what: the whole table."""

from __future__ import annotations

import pytest

from muse.errors import AccessDenied, MuseError, NotFound
from musehub.accounts.actor import ANONYMOUS, Actor
from musehub.accounts.permissions import Action, RepositoryAccess, decide

OWNER_ID, OTHER_ID = 1, 2
OWNER = Actor(OWNER_ID, "owner", scope="admin")
OTHER = Actor(OTHER_ID, "other", scope="admin")
ADMIN = Actor(3, "admin", is_admin=True, scope="admin")
DISABLED = OWNER._replace(is_disabled=True)

YES, GONE, LOGIN, DENIED, SCOPE = (
    "yes",
    "repository-not-found",
    "not-logged-in",
    "permission-denied",
    "wrong-scope",
)

# who, their collaborator role, then what they get for: see, read, write, administer, delete
PRIVATE = [
    ("owner", OWNER, None, YES, YES, YES, YES, YES),
    ("writer", OTHER, "write", YES, YES, YES, DENIED, DENIED),
    ("reader", OTHER, "read", YES, YES, DENIED, DENIED, DENIED),
    ("other user", OTHER, None, GONE, GONE, GONE, GONE, GONE),
    ("nobody", ANONYMOUS, None, GONE, GONE, LOGIN, LOGIN, LOGIN),
    ("site admin", ADMIN, None, YES, YES, YES, YES, YES),
    ("disabled owner", DISABLED, None, GONE, GONE, LOGIN, LOGIN, LOGIN),
    ("owner, read token", OWNER._replace(scope="read"), None, YES, YES, SCOPE, SCOPE, SCOPE),
    ("owner, write token", OWNER._replace(scope="write"), None, YES, YES, YES, SCOPE, SCOPE),
    ("owner, token for it", OWNER._replace(repository_id=7), None, YES, YES, YES, YES, YES),
    ("owner, token for another", OWNER._replace(repository_id=8), None, GONE, GONE, GONE, GONE, GONE),
    ("writer, read token", OTHER._replace(scope="read"), "write", YES, YES, SCOPE, DENIED, DENIED),
    ("writer, token for another", OTHER._replace(repository_id=8), "write", GONE, GONE, GONE, GONE, GONE),
    ("site admin, read token", ADMIN._replace(scope="read"), None, GONE, GONE, GONE, GONE, GONE),
    ("site admin, write token", ADMIN._replace(scope="write"), None, GONE, GONE, GONE, GONE, GONE),
    (
        "site admin, write token, reader",
        ADMIN._replace(scope="write"),
        "read",
        YES,
        YES,
        DENIED,
        DENIED,
        DENIED,
    ),
]
PUBLIC = [
    ("owner", OWNER, None, YES, YES, YES, YES, YES),
    ("writer", OTHER, "write", YES, YES, YES, DENIED, DENIED),
    ("reader", OTHER, "read", YES, YES, DENIED, DENIED, DENIED),
    ("other user", OTHER, None, YES, YES, DENIED, DENIED, DENIED),
    ("nobody", ANONYMOUS, None, YES, YES, LOGIN, LOGIN, LOGIN),
    ("site admin", ADMIN, None, YES, YES, YES, YES, YES),
    ("disabled owner", DISABLED, None, YES, YES, LOGIN, LOGIN, LOGIN),
    ("owner, read token", OWNER._replace(scope="read"), None, YES, YES, SCOPE, SCOPE, SCOPE),
    ("owner, write token", OWNER._replace(scope="write"), None, YES, YES, YES, SCOPE, SCOPE),
    ("owner, token for another", OWNER._replace(repository_id=8), None, YES, YES, SCOPE, SCOPE, SCOPE),
    ("site admin, write token", ADMIN._replace(scope="write"), None, YES, YES, DENIED, DENIED, DENIED),
]
# who, and what they get for creating in their own name and in the owner's
CREATE = [
    ("owner", OWNER, YES, YES),
    ("other user", OTHER, YES, GONE),
    ("nobody", ANONYMOUS, LOGIN, LOGIN),
    ("site admin", ADMIN, YES, YES),
    ("site admin, write token", ADMIN._replace(scope="write"), YES, GONE),
    ("write token", OTHER._replace(scope="write"), YES, GONE),
    ("read token", OTHER._replace(scope="read"), SCOPE, GONE),
    ("token for one repository", OTHER._replace(repository_id=8), SCOPE, GONE),
    ("disabled user", DISABLED, LOGIN, LOGIN),
]
ACTIONS = [Action.SEE, Action.READ, Action.WRITE, Action.ADMINISTER, Action.DELETE]
CASES = [
    pytest.param(actor, action, role, is_public, expected, id=f"{place}: {who}: {action.value}")
    for place, is_public, table in (("private", False, PRIVATE), ("public", True, PUBLIC))
    for who, actor, role, *row in table
    for action, expected in zip(ACTIONS, row, strict=True)
]


@pytest.mark.parametrize(("actor", "action", "role", "is_public", "expected"), CASES)
def test_repository(actor: Actor, action: Action, role: str | None, is_public: bool, expected: str) -> None:
    decision = decide(actor, action, RepositoryAccess(7, OWNER_ID, is_public, role, "owner/songs"))
    assert decision.allowed == (expected == YES)
    assert (decision.code or YES) == expected


@pytest.mark.parametrize(("actor", "own", "foreign"), [pytest.param(*row, id=who) for who, *row in CREATE])
def test_create(actor: Actor, own: str, foreign: str) -> None:
    for owner_id, expected in ((actor.user_id or OWNER_ID, own), (OWNER_ID, foreign)):
        decision = decide(actor, Action.CREATE, RepositoryAccess(None, owner_id, False, None, "x/y"))
        assert (decision.code or YES) == expected


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("actor", [OTHER, ANONYMOUS])
def test_what_may_not_be_seen_looks_like_what_is_not_there(actor: Actor, action: Action) -> None:
    hidden = decide(actor, action, RepositoryAccess(7, OWNER_ID, False), "owner/songs")
    absent = decide(actor, action, None, "owner/songs")
    assert hidden == absent


def test_require_raises_the_error_of_the_decision() -> None:
    decide(OWNER, Action.READ, RepositoryAccess(7, OWNER_ID, False)).require()
    raised: list[type[MuseError]] = []
    for is_public in (True, False):
        with pytest.raises(MuseError) as caught:
            decide(OTHER, Action.WRITE, RepositoryAccess(7, OWNER_ID, is_public)).require()
        raised.append(type(caught.value))
    assert raised == [AccessDenied, NotFound]
