"""How the C library hands memory back."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
from collections.abc import Callable

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
HEAPS = 2
"""By default as many as eight times the processors, each with free blocks of its own: 25 MiB more at the
peak of a push of 700,000 objects, and no faster."""
LARGE_BLOCK_BYTES = 1 << 20
"""More than a piece of an upload as the server hands it over, 400 KiB: asking the system for each of those,
and clearing it, takes longer than the piece."""
KEPT_BYTES = 4 << 20
"""At the end of each heap, for the pieces that come next; 128 KiB by default, and every piece was cleared
anew: a tenth of what the hub spends on an upload."""
TRIM_AFTER_S = 1.0


def bound_heaps() -> None:
    """Have few heaps, and let blocks from 1 MiB on go back to the system once they are freed; for glibc only.

    Left alone, glibc raises that size to the largest block it has seen freed, up to 32 MiB, and then keeps
    frames, packs and decompression windows in the heaps of its threads: 30 MB more at the peak of a push of
    180 MB.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_ARENA_MAX, HEAPS)
        library.mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)


def return_small_blocks() -> None:
    """Let free memory between what is in use go back to the system; for glibc only, other threads go on.

    Every thread's heap keeps what it once needed: 70 MiB after two pushes of 90 MB and two of 120 MB.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class Trimming:
    """Calls `trim` in a thread, some time after `note` was called first since the last time."""

    def __init__(self, trim: Callable[[], None] = return_small_blocks, after_s: float = TRIM_AFTER_S) -> None:
        self._trim = trim
        self._after_s = after_s
        self._pending = False

    def note(self) -> None:
        """Say that a piece of work is done; from the event loop."""
        if not self._pending:
            self._pending = True
            asyncio.get_running_loop().call_later(self._after_s, self._start)

    def _start(self) -> None:
        self._pending = False
        asyncio.get_running_loop().run_in_executor(None, self._trim)
