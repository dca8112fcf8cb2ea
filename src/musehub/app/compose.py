"""Which parts a hub is made of. Every room is given what it needs here, and nowhere else."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from litestar import Litestar
from litestar.di import Provide
from litestar.types import Scope

from musehub.accounts.request import read_client_address
from musehub.accounts.service import Accounts, open_accounts
from musehub.api.auth import auth_controllers, provide_actor
from musehub.api.contents import ContentController
from musehub.api.health import health, ready, show_metrics
from musehub.api.insights import InsightController
from musehub.api.jobs import JobController
from musehub.api.openapi import openapi_config
from musehub.api.repositories import RepositoryController
from musehub.api.upkeep import UpkeepController
from musehub.api.users import UserController
from musehub.api.webhooks import WebhookController
from musehub.app.dispatch import HubApp
from musehub.app.errors import error_response
from musehub.app.memory import Trimming
from musehub.app.opening import open_hub_store
from musehub.db.engine import Database
from musehub.db.instants import Clock, utc_now
from musehub.db.opening import open_database
from musehub.fetch.service import FetchService
from musehub.jobs.catalog import AFTER_PUSH
from musehub.jobs.quiet import Traffic
from musehub.jobs.work import Parts
from musehub.jobs.worker import Worker
from musehub.push.service import PushService
from musehub.settings import Settings
from musehub.storage.metering import MeteredStore
from musehub.storage.port import Store
from musehub.telemetry.logs import log_fetch, log_job, log_push, log_request
from musehub.telemetry.metrics import HubMetrics
from musehub.telemetry.readiness import Readiness
from musehub.web.routes import warm_up, web_router
from musehub.wire_http.endpoints import wire_routes

_LOADED_LATE = ("encodings.idna", "encodings.utf_8_sig")
"""What libraries import when they are first used; `tests/musehub/app/test_first_request.py` finds them."""


def create_app(
    settings: Settings,
    *,
    database: Database | None = None,
    store: Store | None = None,
    clock: Clock = utc_now,
) -> HubApp:
    """The whole hub as one ASGI application; its lifespan closes what it opened.

    Handlers below receive by name: `settings`, `database`, `store`, `accounts`, `clock`, `actor`.
    """
    hub_database = database or open_database(settings)
    hub_store = _metered(store) if store is not None else open_hub_store(settings, hub_database, clock)
    accounts = open_accounts(hub_database, settings, clock)
    pushes = PushService(hub_database, hub_store, settings, clock, AFTER_PUSH)
    fetches = FetchService(hub_database, hub_store, settings)
    parts = Parts(hub_database, hub_store, settings, clock)
    traffic = Traffic()
    worker = Worker(parts, slots=settings.workers, traffic=traffic)
    warmed = asyncio.Event()
    metrics = watch(hub_database, hub_store, accounts, pushes, fetches, worker)
    app = Litestar(
        route_handlers=[
            health,
            ready,
            show_metrics,
            JobController,
            InsightController,
            WebhookController,
            *auth_controllers(),
            UserController,
            UpkeepController,
            RepositoryController,
            ContentController,
            web_router(),
        ],
        dependencies={
            "settings": _given(settings),
            "database": _given(hub_database),
            "store": _given(hub_store),
            "accounts": _given(accounts),
            "clock": _given(clock),
            "metrics": _given(metrics),
            "readiness": _given(Readiness(hub_database, hub_store)),
            "actor": Provide(provide_actor),
        },
        exception_handlers={Exception: error_response},
        lifespan=[_closing(hub_database, hub_store), _warming(warmed), _working(worker, settings)],
        openapi_config=openapi_config(),
        logging_config=None,  # the command that runs the hub says how it logs
        request_max_body_size=settings.request_max_bytes,
    )
    routes = wire_routes(settings, accounts, pushes, fetches, hub_database, hub_store)
    hub = HubApp(app, routes, app.lifespan, traffic.request, settings.push_idle_timeout_s)

    def note_request(scope: Scope, status: int, seconds: float) -> None:
        request: Any = scope
        metrics.on_request(request["method"], status, seconds)
        address = read_client_address(request, settings)
        log_request(request["method"], request["path"], status, seconds, address)

    trimming = Trimming()
    hub.observers += [note_request, lambda _scope, _status, _seconds: trimming.note()]
    worker.observers.append(lambda _record: trimming.note())
    hub.warmed = warmed
    return hub


def watch(
    database: Database,
    store: MeteredStore,
    accounts: Accounts,
    pushes: PushService,
    fetches: FetchService,
    worker: Worker,
) -> HubMetrics:
    """Let the rooms below report to the metrics and the log of this process."""
    metrics = HubMetrics()
    metrics.watch(database, store, worker)
    accounts.logins.observers.append(metrics.on_login_failure)
    pushes.observers += [metrics.on_push, log_push]
    fetches.observers += [metrics.on_fetch, log_fetch]
    worker.observers.append(log_job)
    return metrics


def _metered(store: Store) -> MeteredStore:
    return store if isinstance(store, MeteredStore) else MeteredStore(store)


def _given(value: Any) -> Provide:
    return Provide(lambda: value, sync_to_thread=False, use_cache=True)


def _closing(database: Database, store: Store) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await store.close()
            await database.close()

    return lifespan


def _working(worker: Worker, settings: Settings) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    """Run jobs beside the requests, unless the settings leave them to processes of their own."""

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        if not settings.workers:
            yield
            return
        running = asyncio.create_task(worker.run())
        try:
            yield
        finally:
            await worker.stop(settings.shutdown_grace_s)
            await asyncio.wait([running])

    return lifespan


def _warming(warmed: asyncio.Event) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    """Load what requests need beside the first of them, in a thread: none waits for an import."""

    async def warm() -> None:
        await asyncio.to_thread(_load_everything)
        warmed.set()

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        warming = asyncio.create_task(warm())
        try:
            yield
        finally:
            await warming

    return lifespan


def _load_everything() -> None:
    for name in _LOADED_LATE:
        importlib.import_module(name)
    warm_up()
