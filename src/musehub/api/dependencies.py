"""What handlers are given by name, and how they say so: `actor: GivenActor`.

The application provides them all; see `musehub.app.compose`.
"""

from __future__ import annotations

from litestar.di import NamedDependency

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
