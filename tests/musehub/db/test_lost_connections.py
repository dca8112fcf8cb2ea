"""Connections that end in the middle of a block."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from muse.errors import MuseError, NotFound
from musehub.db.engine import Database


@pytest.fixture(params=["postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("writes", [False, True])
async def test_a_refusal_inside_a_block_whose_connection_ended_stays_an_error_with_a_code(
    database: Database, writes: bool
) -> None:
    enter = database.transaction if writes else database.read

    async def refuse() -> None:
        async with enter("refused") as conn:
            pid = await conn.scalar(sa.text("SELECT pg_backend_pid()"))
            async with database.read("end the other") as other:
                await other.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            raise NotFound("repository-not-found", "no such repository")

    with pytest.raises(MuseError) as caught:
        await refuse()
    assert caught.value.code in ("repository-not-found", "database-unavailable")
    assert database.checked_out == 0
    async with enter("again") as conn:
        assert await conn.scalar(sa.text("SELECT 1")) == 1
