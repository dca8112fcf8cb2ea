"""Migrations, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from muse.errors import UsageError
from musehub.app.opening import prepare_database
from musehub.db import migrate, revision
from musehub.db.engine import Database
from musehub.db.opening import open_database
from musehub.settings import Settings


@pytest.fixture
async def empty(make_settings: Callable[..., Settings], empty_database_url: str) -> AsyncIterator[Database]:
    database = open_database(make_settings(database_url=empty_database_url))
    yield database
    await database.close()


async def test_an_empty_database_gets_the_tables_of_this_version(empty: Database) -> None:
    assert await revision.find_revision(empty) is None
    reached = await migrate.upgrade(empty)
    assert await revision.find_revision(empty) == reached == revision.newest_revision()
    async with empty.read("compare") as conn:
        assert await conn.run_sync(migrate.find_differences) == []


async def test_migrating_again_changes_nothing(empty: Database) -> None:
    first = await migrate.upgrade(empty)
    assert await migrate.upgrade(empty) == first
    await revision.check_up_to_date(empty)


async def test_an_external_database_is_not_migrated_by_serving(
    empty: Database, make_settings: Callable[..., Settings], empty_database_url: str
) -> None:
    settings = make_settings(database_url=empty_database_url)
    if settings.embedded_database:
        await prepare_database(settings, empty)
        await revision.check_up_to_date(empty)
        return
    with pytest.raises(UsageError) as caught:
        await prepare_database(settings, empty)
    assert "musehub migrate" in str(caught.value.hint)


async def test_a_database_of_a_newer_version_is_left_alone(
    empty: Database, make_settings: Callable[..., Settings], empty_database_url: str
) -> None:
    await migrate.upgrade(empty)
    async with empty.transaction("pretend") as conn:
        await conn.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UsageError) as caught:
        await prepare_database(make_settings(database_url=empty_database_url), empty)
    assert "newer version" in str(caught.value.hint)
