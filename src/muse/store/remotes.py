"""What is remembered about remotes between commands, besides their refs and settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from muse.store.database import Database
    from muse.store.transaction import Transaction

OPEN_PUSH = "open-push"


class RemoteState:
    """Small texts per remote that survive a crash, such as the id of a push whose result is not known yet.

    Never credentials: those are the user's, not the repository's.
    """

    def __init__(self, database: Database, begin: Callable[[], Transaction]) -> None:
        self._database = database
        self._begin = begin

    def get(self, remote: str, key: str) -> str | None:
        row = self._database.find_row(
            "SELECT value FROM remote_state WHERE remote = ? AND key = ?", (remote, key)
        )
        return None if row is None else str(row[0])

    def set(self, remote: str, key: str, value: str | None, transaction: Transaction | None = None) -> None:
        """Remember a text, or forget it with None; durable at once, or when the transaction commits."""
        if transaction is None:
            with self._begin() as own:
                self.set(remote, key, value, own)
        elif value is None:
            transaction.write_rows("DELETE FROM remote_state WHERE remote = ? AND key = ?", [(remote, key)])
        else:
            transaction.write_rows(
                "INSERT OR REPLACE INTO remote_state VALUES (?, ?, ?)", [(remote, key, value)]
            )

    def get_open_push(self, remote: str) -> str | None:
        """Return what `set_open_push` was given for a push that was begun and not ended."""
        return self.get(remote, OPEN_PUSH)

    def set_open_push(self, remote: str, value: str | None, transaction: Transaction | None = None) -> None:
        """Remember the push under way (its id, or more in JSON), or forget it with None."""
        self.set(remote, OPEN_PUSH, value, transaction)

    def forget(self, remote: str, transaction: Transaction) -> None:
        """Forget all about a remote that is removed."""
        transaction.write_rows("DELETE FROM remote_state WHERE remote = ?", [(remote,)])
