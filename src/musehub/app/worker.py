"""A worker as a process of its own: jobs and nothing else."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from litestar.types import Receive, Scope, Send

from muse.errors import NotFound
from musehub.app.dispatch import HubApp
from musehub.app.errors import send_error
from musehub.app.listen import RunningServer, open_socket, socket_url
from musehub.app.opening import open_hub_store, prepare_database
from musehub.db.instants import utc_now
from musehub.db.opening import open_database
from musehub.jobs.work import Parts
from musehub.jobs.worker import Worker
from musehub.settings import Settings
from musehub.telemetry.logs import log_job
from musehub.telemetry.metrics import HubMetrics
from musehub.telemetry.registry import CONTENT_TYPE
from musehub.wire_http.exchange import Exchange
from musehub.wire_http.route import RawRoute


async def work(
    settings: Settings,
    announce: Callable[[str, str | None], None],
    *,
    metrics_port: int | None = None,
) -> None:
    """Run jobs until SIGTERM or SIGINT; `announce` gets the worker's name and the address of its metrics.

    The metrics are answered on loopback only.
    """
    database = open_database(settings)
    store = open_hub_store(settings, database)
    worker = Worker(Parts(database, store, settings, utc_now), slots=max(1, settings.workers))
    metrics = HubMetrics()
    metrics.watch(database, store, worker)
    worker.observers.append(log_job)
    try:
        await prepare_database(settings, database)
        server = None
        address = None
        if metrics_port is not None:
            listener = open_socket("127.0.0.1", metrics_port)
            address = socket_url(listener) + "/metrics"
            server = RunningServer(_metrics_app(metrics), listener)
        stopping: list[asyncio.Task[None]] = []

        async def stop(grace_s: float) -> None:
            await worker.stop(grace_s)
            if server is not None:
                await server.stop(1.0)

        def ask_to_stop() -> None:
            grace_s = 0.0 if stopping else settings.shutdown_grace_s
            stopping.append(asyncio.ensure_future(stop(grace_s)))

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ask_to_stop)
        announce(worker.name, address)
        tasks = [worker.run()] + ([server.run()] if server is not None else [])
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*stopping)
    finally:
        await store.close()
        await database.close()


def _metrics_app(metrics: HubMetrics) -> HubApp:
    async def show(scope: Scope, receive: Receive, send: Send, _parts: dict[str, str]) -> None:
        await Exchange(scope, receive, send).answer(metrics.render().encode(), CONTENT_TYPE)

    async def nothing(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send_error(send, NotFound("page-not-found", "there is nothing at this address"))

    return HubApp(nothing, [RawRoute("GET", "/metrics", show)])
