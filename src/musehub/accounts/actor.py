"""Who is asking: the result of reading a request's credentials."""

from __future__ import annotations

from typing import NamedTuple

SCOPES = ("read", "write", "admin")
"""What a token may do, weakest first; each includes those before it."""


class Actor(NamedTuple):
    """A user with what their credentials allow, or nobody (`user_id` None).

    `repository_id` restricts the credentials to one repository. `token_id` is None after a login by
    password, which allows everything the user may do; `password_mark` tells that password from later ones.
    """

    user_id: int | None = None
    name: str = ""
    kind: str = "human"
    is_admin: bool = False
    is_disabled: bool = False
    scope: str = "read"
    repository_id: int | None = None
    token_id: int | None = None
    password_mark: bytes | None = None

    @property
    def is_anonymous(self) -> bool:
        return self.user_id is None

    def has_scope(self, scope: str) -> bool:
        """Whether the credentials allow what `scope` names."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


ANONYMOUS = Actor()
