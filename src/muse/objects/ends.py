"""What two runs of bytes begin or end with, both of them, by bisection: each step is one `memcmp`."""

from __future__ import annotations


def equal_front(one: bytes, other: bytes, limit: int, width: int = 1) -> int:
    """Return how many items of `width` bytes both begin with, at most `limit`."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        start, end = width * low, width * middle
        if one[start:end] == other[start:end]:
            low = middle
        else:
            high = middle - 1
    return low


def equal_back(one: bytes, other: bytes, limit: int, width: int = 1) -> int:
    """Return how many items of `width` bytes both end with, at most `limit`."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        start, end = width * middle, width * low
        if one[len(one) - start : len(one) - end] == other[len(other) - start : len(other) - end]:
            low = middle
        else:
            high = middle - 1
    return low
