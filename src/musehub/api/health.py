"""Two addresses for whoever watches the hub."""

from __future__ import annotations

import sqlalchemy as sa
from litestar import Response, get

import muse
from muse.errors import MuseError
from musehub.api.dependencies import GivenDatabase


@get("/health", tags=["health"])
async def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok", "version": muse.__version__}


@get("/ready", tags=["health"])
async def ready(database: GivenDatabase) -> Response[dict[str, object]]:
    """The hub can do its work: the database answers."""
    try:
        async with database.read("ready") as conn:
            await conn.execute(sa.select(1))
    except MuseError as error:
        return Response({"status": "not ready", "error": error.to_json()}, status_code=503)
    return Response({"status": "ready"})
