"""What handlers are given by name, and how they say so: `visit: GivenVisit`.

None of it comes from a request, so nothing is validated: that would take values apart and rebuild them.
"""

from __future__ import annotations

from typing import NamedTuple

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from musehub.accounts.service import Accounts
from musehub.db.engine import Database
from musehub.db.instants import Clock
from musehub.repos.browse import Browser, open_browser
from musehub.settings import Settings
from musehub.storage.port import Store
from musehub.web.labels import load_view
from musehub.web.page import Visit
from musehub.web.views import RepositoryView

GivenAccounts = SkipValidation[NamedDependency[Accounts]]
GivenClock = SkipValidation[NamedDependency[Clock]]
GivenDatabase = SkipValidation[NamedDependency[Database]]
GivenSettings = SkipValidation[NamedDependency[Settings]]
GivenStore = SkipValidation[NamedDependency[Store]]
GivenVisit = SkipValidation[NamedDependency[Visit]]


class Library(NamedTuple):
    """The repositories of this hub as one visitor may see them."""

    database: Database
    store: Store
    visit: Visit

    async def open(self, owner: str, name: str) -> Browser:
        """Raises NotFound("repository-not-found"), also for what the visitor may not see."""
        return await open_browser(self.database, self.store, self.visit.actor, owner, name)

    async def open_page(self, owner: str, name: str) -> tuple[Browser, RepositoryView]:
        """The same, with the frame of its pages."""
        browser = await self.open(owner, name)
        return browser, await load_view(browser)


async def provide_library(database: GivenDatabase, store: GivenStore, visit: GivenVisit) -> Library:
    """The dependency `library` of every page."""
    return Library(database, store, visit)


GivenLibrary = SkipValidation[NamedDependency[Library]]
