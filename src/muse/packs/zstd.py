"""zstd with one reused context per thread: making one costs four times the work on a small object.

Two libraries, see docs/decisions/0009: `backports.zstd`, which Python 3.14 has built in, cannot decompress
twice with one context; `zstandard` can, but compresses badly with a prefix.
"""

from __future__ import annotations

import struct
import sys
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from muse.errors import InvalidData

if sys.version_info >= (3, 14):
    from compression.zstd import (
        CompressionParameter,
        DecompressionParameter,
        ZstdCompressor,
        ZstdDecompressor,
        ZstdDict,
        ZstdError,
    )
else:
    from backports.zstd import (
        CompressionParameter,
        DecompressionParameter,
        ZstdCompressor,
        ZstdDecompressor,
        ZstdDict,
        ZstdError,
    )

LEVEL = 3
WINDOW_LOG_MAX = 25
"""32 MiB: base and object, 16 MiB each at the most, within one window; also what a reader may be made to
allocate."""

LONG_DISTANCE_FROM_BYTES = 256 << 10
"""From this prefix on the match finder needs long-distance matching: an edited 4 MB text then takes 429
bytes, not 2 MB."""

MIN_PREFIX_BYTES = 8
SINGLE_FRAMES = 200
"""So many frames are decompressed before `zstandard` is imported: that costs what it saves on a thousand."""


MAX_CHAINED_BASE_BYTES = 64 << 10
"""A base up to this is decompressed anew as a frame of one block, which is no more than a copy of it."""
_RAW_FRAME = struct.Struct("<IBI")
_MAGIC, _SIZE_IN_FOUR_BYTES = 0xFD2FB528, 0xA0

Frame = bytes | memoryview


class _Reusable(Protocol):
    """What one thread decompresses with; None where only the slow way is sure to refuse what it must."""

    def plain(self, data: Frame, size_bytes: int) -> bytes | None: ...

    def many(self, frames: list[Frame], sizes: Sequence[int]) -> list[memoryview] | None: ...

    def with_prefix(self, data: Frame, size_bytes: int, prefix: bytes) -> bytes | None: ...


class _Local(threading.local):
    compressor: ZstdCompressor | None = None
    reusable: _Reusable | None = None


_local = _Local()
_frames_seen = 0


def compress(data: bytes | memoryview) -> bytes:
    compressor = _local.compressor
    if compressor is None:
        compressor = _local.compressor = ZstdCompressor(level=LEVEL)
    return compressor.compress(data, ZstdCompressor.FLUSH_FRAME)


def compress_with_prefix(data: bytes | memoryview, prefix: bytes) -> bytes:
    """Compress against `prefix`, which the window is made to span."""
    window_log = min(max((len(prefix) + len(data)).bit_length(), 10), WINDOW_LOG_MAX)
    compressor = ZstdCompressor(
        options={
            CompressionParameter.compression_level: LEVEL,
            CompressionParameter.window_log: window_log,
            CompressionParameter.enable_long_distance_matching: len(prefix) > LONG_DISTANCE_FROM_BYTES,
        },
        zstd_dict=ZstdDict(prefix, is_raw=True).as_prefix,
    )
    return compressor.compress(data, ZstdCompressor.FLUSH_FRAME)


def decompress(data: Frame, size_bytes: int) -> bytes:
    """Return exactly `size_bytes` or raise `bad-record`; never holds more than one byte beyond them."""
    reusable = _local.reusable or _find_reusable()
    if reusable is not None:
        result = reusable.plain(data, size_bytes)
        if result is not None:
            return result
    return _decompress(ZstdDecompressor(options=_LIMITS), data, size_bytes)


def decompress_many(frames: list[Frame], sizes: Sequence[int]) -> Iterable[bytes | memoryview]:
    """Return for each frame what `decompress` does, and raise what it raises; the interpreter is let go once.

    No size may be 0. Memory: all results at once.
    """
    reusable = _local.reusable or _find_reusable()
    if reusable is not None and len(frames) > 1:
        results = reusable.many(frames, sizes)
        if results is not None:
            return results
    return map(decompress, frames, sizes)


def decompress_with_prefix(data: Frame, size_bytes: int, prefix: bytes) -> bytes:
    if len(prefix) < MIN_PREFIX_BYTES:
        raise InvalidData("bad-record", f"a base has at least {MIN_PREFIX_BYTES} bytes")
    reusable = _local.reusable or _find_reusable()
    if reusable is not None:
        result = reusable.with_prefix(data, size_bytes, prefix)
        if result is not None:
            return result
    dictionary = ZstdDict(prefix, is_raw=True).as_prefix
    return _decompress(ZstdDecompressor(zstd_dict=dictionary, options=_LIMITS), data, size_bytes)


def _find_reusable() -> _Reusable | None:
    global _frames_seen
    if _frames_seen < SINGLE_FRAMES:
        _frames_seen += 1
        return None
    _local.reusable = _make_reusable()
    return _local.reusable


def _make_reusable() -> _Reusable:
    from array import array

    import zstandard

    announced_size, header_size = zstandard.frame_content_size, zstandard.frame_header_size
    failure = zstandard.ZstdError
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << WINDOW_LOG_MAX)

    def ends(data: Frame) -> bool:
        """Say whether the frame is all there is; a chain does not look."""
        at = header_size(data)
        while True:
            head = int.from_bytes(data[at : at + 3], "little")
            at += 3 + (1 if head & 6 == 2 else head >> 3)
            if head & 1 or at >= len(data):
                return at + (data[4] & 4) == len(data)

    class Reusable:
        def plain(self, data: Frame, size_bytes: int) -> bytes | None:
            try:
                # Checked first, because that much is allocated. What is empty is not even read to its end.
                if not size_bytes or announced_size(data) != size_bytes:
                    return None
                return decompressor.decompress(data, allow_extra_data=False)
            except failure as error:
                raise _bad_frame(error) from None

        def many(self, frames: list[Frame], sizes: Sequence[int]) -> list[memoryview] | None:
            try:
                for data, size_bytes in zip(frames, sizes, strict=True):
                    if announced_size(data) != size_bytes or not ends(data):
                        return None
                found: Any = decompressor.multi_decompress_to_buffer(
                    frames,  # type: ignore[arg-type]
                    decompressed_sizes=array("Q", sizes).tobytes(),
                    threads=1,
                )
                return [memoryview(found[number]) for number in range(len(found))]
            except (failure, ValueError) as error:
                raise _bad_frame(error) from None

        def with_prefix(self, data: Frame, size_bytes: int, prefix: bytes) -> bytes | None:
            size = len(prefix)
            if not size_bytes or size > MAX_CHAINED_BASE_BYTES:
                return None
            try:
                if announced_size(data) != size_bytes or not ends(data):
                    return None
                # A chain is the one way to give this context a prefix: the base goes first, not compressed.
                block = (size << 3 | 1).to_bytes(3, "little")
                base = b"".join((_RAW_FRAME.pack(_MAGIC, _SIZE_IN_FOUR_BYTES, size), block, prefix))
                return decompressor.decompress_content_dict_chain([base, bytes(data)])
            except (failure, ValueError) as error:
                raise _bad_frame(error) from None

    return Reusable()


_LIMITS: dict[int, int] = {DecompressionParameter.window_log_max: WINDOW_LOG_MAX}


def _decompress(decompressor: ZstdDecompressor, data: bytes | memoryview, size_bytes: int) -> bytes:
    try:
        result = decompressor.decompress(data, max_length=size_bytes + 1)
        if not decompressor.eof and len(result) <= size_bytes and not decompressor.needs_input:
            result += decompressor.decompress(b"", max_length=1)
    except ZstdError as error:
        raise _bad_frame(error) from None
    if len(result) != size_bytes or not decompressor.eof or decompressor.unused_data:
        raise InvalidData("bad-record", f"a record does not hold exactly the announced {size_bytes} bytes")
    return result


def _bad_frame(error: Exception) -> InvalidData:
    return InvalidData("bad-record", f"a record does not decompress: {error}")
