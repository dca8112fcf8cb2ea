"""The parts of this room, put together."""

from __future__ import annotations

from typing import NamedTuple

from musehub.accounts.keys import Keys
from musehub.accounts.logins import Logins
from musehub.accounts.tokens import Tokens
from musehub.accounts.users import Users
from musehub.db.engine import Database
from musehub.db.instants import Clock
from musehub.settings import Settings


class Accounts(NamedTuple):
    users: Users
    tokens: Tokens
    keys: Keys
    logins: Logins


def open_accounts(database: Database, settings: Settings, clock: Clock) -> Accounts:
    """Everything about accounts, on that database."""
    tokens = Tokens(database, settings, clock)
    keys = Keys(database, settings, clock)
    return Accounts(
        Users(database, settings, clock), tokens, keys, Logins(database, settings, clock, tokens, keys)
    )
