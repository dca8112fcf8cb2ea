"""zstd with one reused context per thread: making one costs four times the work on a small object.

Two libraries, see docs/decisions/0009: `backports.zstd`, which Python 3.14 has built in, cannot decompress
twice with one context; `zstandard` can, but finds only what lies near in a prefix.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

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

SINGLE_FRAMES = 200
"""So many frames are decompressed before `zstandard` is imported: that costs what it saves on a thousand."""


class _Local(threading.local):
    compressor: ZstdCompressor | None = None
    decompress_frame: Callable[[bytes | memoryview, int], bytes | None] | None = None


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


def decompress(data: bytes | memoryview, size_bytes: int) -> bytes:
    """Return exactly `size_bytes` or raise `bad-record`; never holds more than one byte beyond them."""
    global _frames_seen
    decompress_frame = _local.decompress_frame
    if decompress_frame is not None:
        result = decompress_frame(data, size_bytes)
        if result is not None:
            return result
    elif _frames_seen < SINGLE_FRAMES:
        _frames_seen += 1
    else:
        _local.decompress_frame = _make_reusable()
    return _decompress(ZstdDecompressor(options=_LIMITS), data, size_bytes)


def _make_reusable() -> Callable[[bytes | memoryview, int], bytes | None]:
    """Return a function for one thread that decompresses a frame which announces the size it should have.

    It returns None for any other, and raises `bad-record` for one that does not hold what it announces.
    """
    import zstandard

    announced_size, failure = zstandard.frame_content_size, zstandard.ZstdError
    decompress = zstandard.ZstdDecompressor(max_window_size=1 << WINDOW_LOG_MAX).decompress

    def decompress_frame(data: bytes | memoryview, size_bytes: int) -> bytes | None:
        try:
            # Checked first, because that much is allocated. What is empty is not even read to its end.
            if not size_bytes or announced_size(data) != size_bytes:
                return None
            return decompress(data, allow_extra_data=False)
        except failure as error:
            raise _bad_frame(error) from None

    return decompress_frame


def decompress_with_prefix(data: bytes | memoryview, size_bytes: int, prefix: bytes) -> bytes:
    dictionary = ZstdDict(prefix, is_raw=True).as_prefix
    return _decompress(ZstdDecompressor(zstd_dict=dictionary, options=_LIMITS), data, size_bytes)


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
