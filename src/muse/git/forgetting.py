"""How what is kept in memory stays bounded: the oldest half goes."""

from __future__ import annotations

from itertools import islice
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def forget_oldest(memory: dict[K, V], limit: int) -> None:
    """Drop what was added first, down to half of `limit`, if there is more than that."""
    if len(memory) > limit:
        for key in list(islice(memory, len(memory) - limit // 2)):
            del memory[key]
