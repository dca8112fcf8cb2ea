"""zstd with one reused context per thread: making one costs four times the work on a small object.

Two libraries, see docs/decisions/0009: `backports.zstd`, which Python 3.14 has built in, cannot decompress
twice with one context; `zstandard` can, but compresses badly with a prefix.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from muse.packs.reusable import Decompressor

LEVEL = 3
WINDOW_LOG_MAX = 25
"""32 MiB: base and object, 16 MiB each at the most, within one window; also what a reader may be made to
allocate."""

_LIMITS: dict[int, int] = {DecompressionParameter.window_log_max: WINDOW_LOG_MAX}

LONG_DISTANCE_FROM_BYTES = 256 << 10
"""From this prefix on the match finder needs long-distance matching: an edited 4 MB text then takes 429
bytes, not 2 MB."""

MIN_PREFIX_BYTES = 8
SINGLE_FRAMES = 200
"""So many frames are decompressed before `zstandard` is imported: that costs what it saves on a thousand."""

Frame = bytes | memoryview


class _Local(threading.local):
    compressor: ZstdCompressor | None = None
    reusable: Decompressor | None = None


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


def _find_reusable() -> Decompressor | None:
    """Make the decompressor of this thread, once there were frames enough for it."""
    global _frames_seen
    if _frames_seen < SINGLE_FRAMES:
        _frames_seen += 1
        return None
    from muse.packs.reusable import Decompressor

    _local.reusable = Decompressor(1 << WINDOW_LOG_MAX, _bad_frame)
    return _local.reusable


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
