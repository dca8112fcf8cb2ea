"""Decompressing frame after frame with one context: with `zstandard`, which not every run is worth importing.

What a method returns None for has to be decompressed the slow way, which alone is sure to refuse what is not
exactly one frame of the announced size.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import zstandard

from muse.errors import MuseError

MAX_CHAINED_BASE_BYTES = 64 << 10
"""A base up to this is decompressed anew as a frame of one block, which is no more than a copy of it."""

_RAW_FRAME = struct.Struct("<IBI")
_MAGIC, _SIZE_IN_FOUR_BYTES = 0xFD2FB528, 0xA0

_announced_size, _header_size = zstandard.frame_content_size, zstandard.frame_header_size

Frame = bytes | memoryview


class Decompressor:
    """The context of one thread; `bad_frame` makes the error to raise of what the library says."""

    def __init__(self, max_window_bytes: int, bad_frame: Callable[[Exception], MuseError]) -> None:
        self._context = zstandard.ZstdDecompressor(max_window_size=max_window_bytes)
        self._bad_frame = bad_frame

    def plain(self, data: Frame, size_bytes: int) -> bytes | None:
        """Decompress one frame that has no prefix."""
        try:
            # Checked first, because that much is allocated. What is empty is not even read to its end.
            if not size_bytes or _announced_size(data) != size_bytes:
                return None
            return self._context.decompress(data, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise self._bad_frame(error) from None

    def many(self, frames: list[Frame], sizes: Sequence[int]) -> list[memoryview] | None:
        """Decompress frames that have no prefix, and let other threads run once for all of them."""
        try:
            for data, size_bytes in zip(frames, sizes, strict=True):
                if _announced_size(data) != size_bytes or not _is_whole(data):
                    return None
            found: Any = self._context.multi_decompress_to_buffer(
                frames,  # type: ignore[arg-type]
                decompressed_sizes=array("Q", sizes).tobytes(),
                threads=1,
            )
            return [memoryview(found[number]) for number in range(len(found))]
        except (zstandard.ZstdError, ValueError) as error:
            raise self._bad_frame(error) from None

    def with_prefix(self, data: Frame, size_bytes: int, prefix: bytes) -> bytes | None:
        """Decompress one frame against the bytes of its base."""
        size = len(prefix)
        if not size_bytes or size > MAX_CHAINED_BASE_BYTES:
            return None
        try:
            if _announced_size(data) != size_bytes or not _is_whole(data):
                return None
            # A chain is the one way to give this context a prefix: the base goes first, not compressed.
            block = (size << 3 | 1).to_bytes(3, "little")
            base = b"".join((_RAW_FRAME.pack(_MAGIC, _SIZE_IN_FOUR_BYTES, size), block, prefix))
            return self._context.decompress_content_dict_chain([base, bytes(data)])
        except (zstandard.ZstdError, ValueError) as error:
            raise self._bad_frame(error) from None


def _is_whole(data: Frame) -> bool:
    """Say whether the bytes are one frame and no more: a chain does not look, so its blocks are counted."""
    at = _header_size(data)
    while True:
        head = int.from_bytes(data[at : at + 3], "little")
        at += 3 + (1 if head & 6 == 2 else head >> 3)
        if head & 1 or at >= len(data):
            return at + (data[4] & 4) == len(data)
