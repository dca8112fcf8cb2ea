"""Migrations, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from muse.errors import UsageError
from muse.objects.ids import Kind
from muse.wire.refs import Ref
from musehub.app.opening import prepare_database
from musehub.db import migrate, revision
from musehub.db.engine import Database
from musehub.db.instants import from_micros
from musehub.db.opening import open_database
from musehub.db.ref_pages import list_refs_page
from musehub.db.refs import replace_refs
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


def upgrade_to(conn: sa.Connection, wanted: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = conn
    command.upgrade(config, wanted)


async def test_refs_that_were_there_before_lists_had_an_order_get_the_place_that_a_push_gives(
    empty: Database,
) -> None:
    ids = {number: bytes([number]) * 32 for number in range(1, 6)}
    values = {
        "heads/new": Ref(ids[2]),
        "heads/old": Ref(ids[1]),
        "tags/new": Ref(ids[2]),
        "tags/note": Ref(ids[3], Kind.TAG),
        "tags/tree": Ref(ids[2], Kind.TREE),  # with the id of a commit
    }
    async with empty.transaction("begin") as conn:
        await conn.run_sync(upgrade_to, "0004")
        await conn.exec_driver_sql("INSERT INTO users (id, name, created_at) VALUES (1, 'ada', 0)")
        await conn.exec_driver_sql(
            "INSERT INTO repositories (id, owner_id, name, created_at, updated_at) VALUES (1, 1, 'r', 0, 0)"
        )
        for number in (1, 2):
            await conn.execute(
                sa.text(
                    "INSERT INTO commits (repository_id, id, tree_id, generation, author_name, author_email,"
                    " authored_at, committer_name, committer_email, committed_at, author_kind, summary)"
                    " VALUES (1, :id, :id, 1, '', '', 0, '', '', :at, 'human', '')"
                ),
                {"id": ids[number], "at": number},
            )
        for name, ref in values.items():
            await conn.execute(
                sa.text(
                    "INSERT INTO refs (repository_id, name, target, target_kind, updated_at)"
                    " VALUES (1, :name, :target, :kind, 7)"
                ),
                {"name": name, "target": ref.target, "kind": int(ref.kind)},
            )
    await migrate.upgrade(empty)
    async with empty.transaction("compare") as conn:
        query = "SELECT name, place FROM refs ORDER BY name"
        migrated = [tuple(row) for row in await conn.exec_driver_sql(query)]
        await replace_refs(conn, 1, values, from_micros(7))
        assert [tuple(row) for row in await conn.exec_driver_sql(query)] == migrated
        branches = await list_refs_page(conn, 1, "heads/", limit=5)
        tags = await list_refs_page(conn, 1, "tags/", limit=5)
    assert [name for name, _ in branches + tags] == list(values)
