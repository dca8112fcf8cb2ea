"""The stat cache: what the work tree's files looked like when they were hashed, one row per directory.

What a row holds is the work tree's business. A clean-up that removes objects empties it: a row may name a
blob that no ref reaches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from muse.store.database import Database
    from muse.store.transaction import Transaction

_INSERT = "INSERT OR REPLACE INTO stat_cache VALUES (?, ?)"
_DELETE = "DELETE FROM stat_cache WHERE path = ?"


class StatCache:
    """Opaque bytes per directory; `path` is relative to the work tree, with slashes, "" its root.

    A transaction that writes nothing else does not wait for the disk: a power failure may forget it, no more.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def load_all(self) -> dict[str, bytes]:
        """Return all rows at once: 10,000 files in 100 directories are about 1 MB."""
        return dict(self._database.load_rows("SELECT path, rows FROM stat_cache"))

    def save_directory(self, transaction: Transaction, path: str, rows: bytes) -> None:
        transaction.write_rows(_INSERT, [(path, rows)], durable=False)

    def forget_directory(self, transaction: Transaction, path: str) -> None:
        transaction.write_rows(_DELETE, [(path,)], durable=False)

    def clear(self, transaction: Transaction) -> None:
        """Forget everything; rows saved later in the same transaction stay."""
        transaction.write_rows("DELETE FROM stat_cache", [()], durable=False)
