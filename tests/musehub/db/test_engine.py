"""Transactions, the pool and what they report, on both databases."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from muse.errors import LimitReached, MuseError, RemoteFailure, UsageError
from muse.objects.ids import Kind
from musehub.db.engine import Database
from musehub.db.instants import from_micros
from musehub.db.objects import find_present_objects
from musehub.db.opening import open_database
from musehub.db.tables import users
from musehub.db.transaction import TransactionRecord, metered
from musehub.settings import Settings

ROW = {"name": "ada", "created_at": from_micros(1)}


async def count_users(database: Database) -> int:
    async with database.read("count") as conn:
        return (await conn.execute(sa.select(sa.func.count()).select_from(users))).scalar_one()


async def test_a_block_that_ends_commits_and_one_that_raises_rolls_back(database: Database) -> None:
    async with database.transaction("add") as conn:
        await conn.execute(users.insert().values(**ROW))

    async def fail() -> None:
        async with database.transaction("add") as conn:
            await conn.execute(users.insert().values(**{**ROW, "name": "ben"}))
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await count_users(database) == 1
    assert database.checked_out == 0


async def test_a_cancelled_task_gives_its_connection_back(database: Database) -> None:
    inside = asyncio.Event()

    async def hold() -> None:
        async with database.transaction("hold") as conn:
            await conn.execute(users.insert().values(**ROW))
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await inside.wait()
    assert database.checked_out == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert database.checked_out == 0
    assert await count_users(database) == 0


async def test_a_text_that_a_database_cannot_keep_is_the_fault_of_who_sent_it(database: Database) -> None:
    async def ask() -> None:
        async with database.read("ask") as conn:
            assert (await conn.execute(sa.select(users.c.id).where(users.c.name == "a\0"))).all() == []

    if str(database.url).startswith("sqlite"):
        await ask()  # it keeps any text
        return
    with pytest.raises(UsageError) as caught:
        await ask()
    assert caught.value.code == "bad-arguments"


async def test_instants_come_back_aware_and_exact(database: Database) -> None:
    instant = from_micros(1_767_323_045_123_456)
    async with database.transaction("add") as conn:
        await conn.execute(users.insert().values(name="ada", created_at=instant))
    async with database.read("read") as conn:
        assert (await conn.execute(sa.select(users.c.created_at))).scalar_one() == instant


async def test_meters_add_up_statements_and_transactions_of_a_task_and_its_children(
    database: Database,
) -> None:
    async def one() -> None:
        async with database.read("child") as conn:
            await conn.execute(sa.select(1))
            await conn.execute(sa.select(2))

    with metered() as outer:
        async with database.transaction("parent") as conn:
            await conn.execute(users.insert().values(**ROW))
        with metered() as inner:
            await asyncio.gather(one(), one())
    async with database.read("outside") as conn:
        await conn.execute(sa.select(1))

    assert (outer.transactions, outer.statements) == (3, 5)
    assert (inner.transactions, inner.statements) == (2, 4)
    assert 0 < outer.longest_transaction_s <= outer.held_s
    assert outer.longest_transaction_name in ("parent", "child")


async def test_statements_are_counted_for_whoever_made_them_when_many_wait(database: Database) -> None:
    """On SQLite all writers share one connection: it goes to the next one at once."""
    counts: list[tuple[int, int]] = []

    async def write(number: int) -> None:
        with metered() as meter:
            async with database.transaction("write") as conn:
                for _ in range(number):
                    await conn.execute(sa.select(1))
        counts.append((meter.statements, number))

    await asyncio.gather(*(write(number) for number in range(1, 9)))
    assert [counted for counted, _ in counts] == [made for _, made in counts]


async def test_observers_see_every_transaction(database: Database) -> None:
    seen: list[TransactionRecord] = []
    database.observers.append(seen.append)
    await count_users(database)
    with pytest.raises(ZeroDivisionError):
        async with database.transaction("fails"):
            _ = 1 / 0
    assert [(record.name, record.writes, record.committed) for record in seen] == [
        ("count", False, True),
        ("fails", True, False),
    ]


async def test_no_free_connection_in_time_is_busy(
    make_settings: Callable[..., Settings], database_url: str
) -> None:
    settings = make_settings(
        database_url=database_url, database_pool_size=1, database_acquire_timeout_s=0.05, busy_timeout_s=0.05
    )
    database = open_database(settings)
    async with database.transaction("first"):
        with pytest.raises(LimitReached) as caught:
            async with database.transaction("second"):
                raise AssertionError("there is only one")
    assert caught.value.code == "busy"
    assert caught.value.retry
    await database.close()


async def test_writers_wait_for_each_other(database: Database) -> None:
    async def increment(number: int) -> None:
        async with database.transaction("add") as conn:
            await conn.execute(users.insert().values(**{**ROW, "name": f"user{number}"}))

    await asyncio.gather(*(increment(number) for number in range(30)))
    assert await count_users(database) == 30


async def test_transactions_of_one_turn_hold_one_connection(database: Database) -> None:
    held: list[int] = []

    async def write(turn: int) -> None:
        async with database.transaction("write", turn=turn) as conn:
            await conn.execute(sa.select(1))
            held.append(database.checked_out)

    await asyncio.gather(*(write(7) for _ in range(5)))
    assert held == [1] * 5


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
async def test_whoever_waits_too_long_for_a_turn_is_told_to_come_again(
    make_settings: Callable[..., Settings], database_url: str
) -> None:
    database = open_database(make_settings(database_url=database_url, database_acquire_timeout_s=0.2))
    async with database.transaction("first", turn=7):
        async with database.transaction("another", turn=8):
            pass
        with pytest.raises(LimitReached) as caught:
            async with database.transaction("second", turn=7):
                raise AssertionError("the first one has not ended")
    assert caught.value.code == "busy"
    assert caught.value.retry
    async with database.transaction("third", turn=7):
        pass
    await database.close()


async def test_two_processes_write_to_one_embedded_database(
    make_settings: Callable[..., Settings], database_url: str
) -> None:
    databases = [open_database(make_settings(database_url=database_url)) for _ in range(2)]

    async def add(number: int) -> None:
        async with databases[number % 2].transaction("add") as conn:
            await conn.execute(sa.select(sa.func.count()).select_from(users))
            await conn.execute(users.insert().values(**{**ROW, "name": f"user{number}"}))

    await asyncio.gather(*(add(number) for number in range(20)))
    assert await count_users(databases[0]) == 20
    for database in databases:
        await database.close()


async def test_a_read_cannot_write(database: Database) -> None:
    with pytest.raises(MuseError) as caught:
        async with database.read("read") as conn:
            await conn.execute(users.insert().values(**ROW))
    assert caught.value.code == "read-only"
    async with database.transaction("write") as conn:
        await conn.execute(users.insert().values(**ROW))


async def test_a_read_sees_one_state_whatever_is_written_meanwhile(database: Database) -> None:
    count = sa.select(sa.func.count()).select_from(users)
    async with database.read("read") as conn:
        before = (await conn.execute(count)).scalar_one()
        async with database.transaction("write") as other:
            await other.execute(users.insert().values(**ROW))
        assert (await conn.execute(count)).scalar_one() == before
    assert await count_users(database) == before + 1


async def test_a_database_without_tables_says_what_to_do(
    make_settings: Callable[..., Settings], empty_database_url: str
) -> None:
    database = open_database(make_settings(database_url=empty_database_url))
    with pytest.raises(UsageError) as caught:
        await count_users(database)
    assert "musehub migrate" in str(caught.value.hint)
    await database.close()


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
async def test_connections_have_the_timeouts_of_the_settings(
    make_settings: Callable[..., Settings], database_url: str
) -> None:
    database = open_database(make_settings(database_url=database_url, statement_timeout_s=7, keepalive_s=33))
    async with database.read("show") as conn:
        shown = {
            name: (await conn.exec_driver_sql(f"SHOW {name}")).scalar_one()
            for name in ("statement_timeout", "idle_in_transaction_session_timeout", "application_name")
        }
    assert shown == {
        "statement_timeout": "7s",
        "idle_in_transaction_session_timeout": "1min",
        "application_name": "musehub",
    }
    await database.close()


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
async def test_a_statement_that_takes_too_long_is_ended(
    make_settings: Callable[..., Settings], database_url: str
) -> None:
    database = open_database(make_settings(database_url=database_url, statement_timeout_s=0.05))
    with pytest.raises(RemoteFailure) as caught:
        async with database.read("slow") as conn:
            await conn.exec_driver_sql("SELECT pg_sleep(20)")
    assert caught.value.code == "database-unavailable"
    await database.close()


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
async def test_a_terminated_backend_is_an_error_that_may_be_retried_and_the_pool_recovers(
    database: Database,
) -> None:
    async def lose_connection() -> None:
        async with database.transaction("victim") as conn:
            pid = (await conn.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one()
            async with database.read("killer") as other:
                await other.exec_driver_sql("SELECT pg_terminate_backend($1)", (pid,))
            await conn.execute(users.insert().values(**ROW))

    with pytest.raises(RemoteFailure) as caught:
        await lose_connection()
    assert caught.value.code == "database-unavailable"
    assert caught.value.retry
    assert await count_users(database) == 0


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
async def test_nobody_is_given_a_connection_that_ended_while_nobody_used_it(database: Database) -> None:
    async with database.transaction("first") as conn, database.read("second") as other:
        pid = (await conn.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one()
        ended = (await conn.get_raw_connection()).driver_connection
        killer = (await other.get_raw_connection()).driver_connection
    assert ended is not None
    assert killer is not None
    gone = asyncio.Event()
    ended.add_termination_listener(lambda _connection: gone.set())
    await killer.execute("SELECT pg_terminate_backend($1)", pid)
    await gone.wait()
    assert [await count_users(database) for _ in range(3)] == [0, 0, 0]


async def test_a_database_that_is_not_there_is_unavailable(make_settings: Callable[..., Settings]) -> None:
    database = open_database(make_settings(database_url="postgresql://nobody@127.0.0.1:9/none"))
    with pytest.raises(RemoteFailure) as caught:
        await count_users(database)
    assert caught.value.code == "database-unavailable"
    await database.close()


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
async def test_one_row_of_a_large_repository_is_found_among_many_small_ones(database: Database) -> None:
    """A plan made for any repository would expect the few rows of most, and read all of this one's."""
    large, count = 1, 20_000
    async with database.transaction("fill") as conn:
        for repository in ("1", "1 + i"):
            await conn.exec_driver_sql(
                'INSERT INTO blobs (repository_id, id, pack_id, "offset", stored_size, raw_size, encoding) '
                f"SELECT {repository}, sha256(i::text::bytea), 1, 0, 1, 1, 0 "
                f"FROM generate_series(1, {count}) i"
            )
        await conn.exec_driver_sql("ANALYZE blobs")

    async def rows_read() -> int:
        async with database.transaction("settle") as conn:
            await conn.exec_driver_sql("SELECT pg_stat_force_next_flush()")
        async with database.read("look") as conn:
            read = await conn.exec_driver_sql(
                "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'blobs'"
            )
            return int(read.scalar_one())

    before = await rows_read()
    for number in range(8):  # after five times the server would take the plan for any repository
        blob_id = hashlib.sha256(str(number + 1).encode()).digest()
        async with database.read("find") as conn:
            assert await find_present_objects(conn, large, Kind.BLOB, [blob_id]) == {blob_id}
    assert await rows_read() - before < count
