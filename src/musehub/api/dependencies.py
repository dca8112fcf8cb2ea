"""What handlers are given by name, and how they say so: `actor: GivenActor`.

The application provides them all; see `musehub.app.compose`.
"""

from __future__ import annotations

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from musehub.accounts.actor import Actor
from musehub.accounts.service import Accounts
from musehub.db.engine import Database
from musehub.db.instants import Clock
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
