"""What handlers are given by name, and how they say so: `actor: GivenActor`.

The application provides all that is the same for every address; see `musehub.app.compose`.
"""

from __future__ import annotations

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, PathParameter, QueryParameter, SkipValidation
from msgspec import Meta

from musehub.accounts.actor import Actor
from musehub.accounts.service import Accounts
from musehub.db.engine import Database
from musehub.db.instants import Clock
from musehub.repos.browse import Browser, open_browser
from musehub.settings import Settings
from musehub.storage.metering import MeteredStore

GivenAccounts = NamedDependency[Accounts]
GivenActor = NamedDependency[Actor]
GivenClock = NamedDependency[Clock]
GivenDatabase = NamedDependency[Database]
GivenSettings = NamedDependency[Settings]
GivenStore = NamedDependency[MeteredStore]

# Numbers that databases hold; larger ones are `bad-arguments`.
_MIN, _MAX = -(1 << 63), (1 << 63) - 1
PathInteger = Annotated[int, PathParameter(ge=_MIN, le=_MAX)]
QueryInteger = Annotated[int, QueryParameter(ge=_MIN, le=_MAX)]
QueryIntegerOrNone = Annotated[int | None, QueryParameter(ge=_MIN, le=_MAX)]
BodyInteger = Annotated[int, Meta(ge=_MIN, le=_MAX)]

MAX_PAGE = 200


def page_size(limit: int, most: int = MAX_PAGE) -> int:
    """How many rows are given to somebody who asks for `limit`."""
    return max(1, min(limit, most))


async def provide_browser(
    owner: FromPath[str],
    name: FromPath[str],
    actor: GivenActor,
    database: GivenDatabase,
    store: GivenStore,
) -> Browser:
    """The dependency `browser` of addresses below a repository's; raises `repository-not-found`."""
    return await open_browser(database, store, actor, owner, name)


GivenBrowser = SkipValidation[NamedDependency[Browser]]
