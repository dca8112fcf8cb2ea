"""What handlers are given by name, and how they say so: `visit: GivenVisit`.

None of it comes from a request, so nothing is validated: that would take values apart and rebuild them.
"""

from __future__ import annotations

from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

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


async def provide_browser(
    owner: FromPath[str], name: FromPath[str], visit: GivenVisit, database: GivenDatabase, store: GivenStore
) -> Browser:
    """The dependency `browser` of addresses below a repository's.

    Raises NotFound("repository-not-found"), also for what the visitor may not see.
    """
    return await open_browser(database, store, visit.actor, owner, name)


GivenBrowser = SkipValidation[NamedDependency[Browser]]


async def provide_repository(browser: GivenBrowser) -> RepositoryView:
    """The dependency `repository` of its pages: their frame."""
    return await load_view(browser)


GivenRepository = SkipValidation[NamedDependency[RepositoryView]]
