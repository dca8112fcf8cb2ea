"""What commands share: the settings of a command line, the opened database, output."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from muse.errors import UsageError
from musehub.settings import Settings, load_settings

T = TypeVar("T")


def read_settings(args: argparse.Namespace) -> Settings:
    """The settings of this command line, with its environment and file."""
    flags: dict[str, Any] = {"data_dir": args.data, "database_url": args.database_url}
    for name in ("host", "port", "public_url", "store_url"):
        flags[name] = getattr(args, name, None)
    for pair in args.set:
        name, separator, value = pair.partition("=")
        if not separator:
            raise UsageError("bad-setting", f'"--set {pair}" is not of the form NAME=VALUE')
        flags[name.strip()] = value
    return load_settings(flags, config_file=Path(args.config) if args.config else None)


@asynccontextmanager
async def opened_database(args: argparse.Namespace) -> AsyncIterator[Any]:
    """The hub's database, also while the hub is running."""
    # SQLAlchemy takes a while to import; --help and mistakes do not need it.
    from musehub.app.opening import prepare_database
    from musehub.db.opening import open_database

    settings = read_settings(args)
    new_folder = _find_new_folder(settings)
    database = open_database(settings)
    try:
        await prepare_database(settings, database)
        if new_folder is not None and not args.json:
            remark = f"note: there was no hub in {new_folder} until now; --data names another folder"
            print(remark, file=sys.stderr)
        yield database
    finally:
        await database.close()


def _find_new_folder(settings: Settings) -> Path | None:
    """Where the embedded database will be made; None if there is one, or the database is elsewhere.

    Who forgets `--data` would otherwise add users to a hub that nobody serves, and not notice.
    """
    scheme, _, path = settings.database_url.partition(":///")
    database = Path(path)
    return None if scheme != "sqlite" or database.exists() else database.parent


@asynccontextmanager
async def opened_hub(args: argparse.Namespace, *, prepare: bool = True) -> AsyncIterator[Any]:
    """(settings, database, store) of the hub, also while it is running."""
    from musehub.app.opening import open_hub_store, prepare_database
    from musehub.db.opening import open_database

    settings = read_settings(args)
    database = open_database(settings)
    try:
        if prepare:
            await prepare_database(settings, database)
        store = open_hub_store(settings, database)
        try:
            yield settings, database, store
        finally:
            await store.close()
    finally:
        await database.close()


def run_with_hub(
    args: argparse.Namespace, work: Callable[[Any, Any, Any], Awaitable[T]], *, prepare: bool = True
) -> T:
    """Run `work(settings, database, store)` to its end."""

    async def main() -> T:
        async with opened_hub(args, prepare=prepare) as (settings, database, store):
            return await work(settings, database, store)

    return asyncio.run(main())


def format_size(size_bytes: int) -> str:
    """A number of bytes for people."""
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{size_bytes} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


@asynccontextmanager
async def opened_accounts(args: argparse.Namespace) -> AsyncIterator[Any]:
    """The hub's accounts, on its database, also while it is being served."""
    from musehub.accounts.service import open_accounts
    from musehub.db.instants import utc_now

    async with opened_database(args) as database:
        yield open_accounts(database, read_settings(args), utc_now)


def run_with_accounts(args: argparse.Namespace, work: Callable[[Any], Awaitable[T]]) -> T:
    """Run `work(accounts)` to its end."""

    async def main() -> T:
        async with opened_accounts(args) as accounts:
            return await work(accounts)

    return asyncio.run(main())


def print_json(value: Any) -> None:
    """Write a value, structs included, as one line of JSON."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
