"""What the open transaction has put, and no row of the database names yet."""

from __future__ import annotations

from collections.abc import Callable

from muse.history.walk import Node
from muse.store.locations import Location


class Overlay:
    """Stands above the database for the reader of objects; only for the thread of the transaction.

    `write_out` makes what is at these places readable: records may still be in memory.
    """

    def __init__(self) -> None:
        self.locations: dict[tuple[int, bytes], Location] = {}
        self.commits: dict[bytes, Node] = {}
        self.write_out: Callable[[], None] = _nothing

    def clear(self) -> None:
        """Forget all of it: by now it is named, or it never will be."""
        self.locations.clear()
        self.commits.clear()


def _nothing() -> None:
    pass
