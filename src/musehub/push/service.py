"""What receiving pushes needs, put together once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from musehub.db.engine import Database
from musehub.db.instants import Clock
from musehub.push.event import PushEvent
from musehub.push.ledger import InFlight, Ledger
from musehub.push.memory import Memories
from musehub.push.pace import Pace
from musehub.repos.limits import limits_of
from musehub.settings import Settings
from musehub.storage.port import Store

CONFIRMS_AT_ONCE = 2
"""Each maps one pack and decodes it on one core."""


class PushService:
    """Of one hub process; `job_kinds` are the jobs that follow every push."""

    def __init__(
        self,
        database: Database,
        store: Store,
        settings: Settings,
        clock: Clock,
        job_kinds: Sequence[str] = (),
    ) -> None:
        self.database = database
        self.store = store
        self.settings = settings
        self.clock = clock
        self.limits = limits_of(settings)
        self.job_kinds = job_kinds
        self.observers: list[Callable[[PushEvent], None]] = []
        """Called once for every push when it has ended, whichever way."""
        self.ledger = Ledger()
        self.memories = Memories()
        self.pace = Pace()
        self.in_flight = InFlight(settings.presign_ttl_s)
        self.confirming = asyncio.Semaphore(CONFIRMS_AT_ONCE)
