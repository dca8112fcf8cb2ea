"""Three addresses for whoever watches the hub."""

from __future__ import annotations

import hmac
from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency

import muse
from muse.errors import AccessDenied, MuseError
from musehub.accounts.address import find_header
from musehub.api.given import GivenClock, GivenDatabase, GivenSettings
from musehub.jobs.admin import Queue
from musehub.settings import Settings
from musehub.telemetry.metrics import HubMetrics
from musehub.telemetry.readiness import Readiness
from musehub.telemetry.registry import CONTENT_TYPE

_LOOPBACK = ("127.", "::1")
_BY_PROXY = (b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via")


@get("/health", tags=["health"])
async def health() -> dict[str, str]:
    """The process answers; it says nothing about what the process needs."""
    return {"status": "ok", "version": muse.__version__}


@get("/ready", tags=["health"])
async def ready(readiness: NamedDependency[Readiness]) -> Response[dict[str, Any]]:
    """The hub can do its work: the database answers and has its tables, the store can be written.

    503 and which part fails if it cannot.
    """
    parts = await readiness.check()
    is_ready = all(answer == "ok" for answer in parts.values())
    return Response(
        {"status": "ready" if is_ready else "not ready", "parts": parts}, status_code=200 if is_ready else 503
    )


@get("/metrics", tags=["health"], media_type="text/plain", include_in_schema=False)
async def show_metrics(
    request: Request[Any, Any, Any],
    settings: GivenSettings,
    database: GivenDatabase,
    clock: GivenClock,
    metrics: NamedDependency[HubMetrics],
) -> Response[bytes]:
    """The metrics of this process, for Prometheus."""
    _require_watcher(request, settings)
    try:
        state = await Queue(database, clock).load_state()
    except MuseError:
        metrics.on_queue(None, 0.0)
    else:
        age_s = (clock() - state.oldest_at).total_seconds() if state.oldest_at is not None else 0.0
        metrics.on_queue(state, max(0.0, age_s))
    return Response(metrics.render().encode(), headers={"content-type": CONTENT_TYPE})


def _require_watcher(request: Request[Any, Any, Any], settings: Settings) -> None:
    """With a token whoever has it; else only the machine itself, and nobody whom a proxy let in."""
    headers = request.scope["headers"]
    if settings.metrics_token:
        given = (find_header(headers, b"authorization") or "").encode()
        if hmac.compare_digest(given, f"Bearer {settings.metrics_token}".encode()):
            return
        raise AccessDenied("not-logged-in", "the metrics take the token of the setting `metrics_token`")
    client = request.scope.get("client")
    peer = str(client[0]) if client else ""
    if peer.startswith(_LOOPBACK) and not any(find_header(headers, name) for name in _BY_PROXY):
        return
    raise AccessDenied(
        "permission-denied",
        "the metrics are only for the machine itself",
        hint="set `metrics_token` to read them from elsewhere",
    )
