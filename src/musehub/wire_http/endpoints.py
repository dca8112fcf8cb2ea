"""All raw endpoints of the hub."""

from __future__ import annotations

from musehub.accounts.service import Accounts
from musehub.db.engine import Database
from musehub.fetch.service import FetchService
from musehub.push.service import PushService
from musehub.settings import Settings
from musehub.storage.disk import DiskStore
from musehub.storage.metering import MeteredStore
from musehub.wire_http.bodies import Bodies
from musehub.wire_http.fetch import FetchEndpoints
from musehub.wire_http.push import PushEndpoints
from musehub.wire_http.refs import RefsEndpoint
from musehub.wire_http.route import RawRoute
from musehub.wire_http.store import StoreEndpoints


def wire_routes(
    settings: Settings,
    accounts: Accounts,
    pushes: PushService,
    fetches: FetchService,
    database: Database,
    store: MeteredStore,
) -> list[RawRoute]:
    """The endpoints of push, fetch and upload."""
    routes: list[RawRoute] = []
    if isinstance(store.inner, DiskStore):
        routes += StoreEndpoints(store.inner, settings).routes()
    routes += RefsEndpoint(accounts, database, settings).routes()
    bodies = Bodies(settings)
    routes += PushEndpoints(accounts, pushes, bodies).routes()
    routes += FetchEndpoints(accounts, fetches, bodies).routes()
    return routes
