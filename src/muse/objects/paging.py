"""Where a large directory is cut into pages (docs/formats/objects.md, "Pages").

A page ends after a name whose hash has enough zero bits, so the cuts depend on the set of names alone, not
on the order of edits, and an edit moves at most the cuts beside it. An index node of level k ends after a
page whose last name has 7·(k+1) zero bits: the same rule one level up, with no state to carry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

PAGE_BITS = 7
SMALL_DIRECTORY = 256
"""A directory of at most so many entries is one page. 95 % of the directories of real projects are."""

T = TypeVar("T")


def ends_page(name: str, level: int) -> bool:
    """Say whether a node of `level` ends after the entry or page whose (last) name is `name`."""
    value = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    return value & ((1 << (PAGE_BITS * (level + 1))) - 1) == 0


def split_pages(items: Iterable[T], level: int, name_of: Callable[[T], str]) -> Iterator[list[T]]:
    """Cut a sorted run of items into the node contents of `level`; the last one may be open-ended."""
    page: list[T] = []
    for item in items:
        page.append(item)
        if ends_page(name_of(item), level):
            yield page
            page = []
    if page:
        yield page
