"""What receiving pushes needs, put together once."""

from __future__ import annotations

import asyncio

from musehub.db.engine import Database
from musehub.db.instants import Clock
from musehub.push.ledger import Ledger
from musehub.repos.limits import limits_of
from musehub.settings import Settings
from musehub.storage.port import Store

CONFIRMS_AT_ONCE = 2
"""Each maps one pack and decodes it on one core."""


class PushService:
    """Of one hub process."""

    def __init__(self, database: Database, store: Store, settings: Settings, clock: Clock) -> None:
        self.database = database
        self.store = store
        self.settings = settings
        self.clock = clock
        self.limits = limits_of(settings)
        self.ledger = Ledger()
        self.confirming = asyncio.Semaphore(CONFIRMS_AT_ONCE)
