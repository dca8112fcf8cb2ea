"""zstd with one reused context per thread: making one costs four times the work on a small object."""

from __future__ import annotations

import sys
import threading

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

_local = threading.local()


def compress(data: bytes | memoryview) -> bytes:
    compressor: ZstdCompressor | None = getattr(_local, "compressor", None)
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
    return _decompress(ZstdDecompressor(options=_LIMITS), data, size_bytes)


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
        raise InvalidData("bad-record", f"a record does not decompress: {error}") from None
    if len(result) != size_bytes or not decompressor.eof or decompressor.unused_data:
        raise InvalidData("bad-record", f"a record does not hold exactly the announced {size_bytes} bytes")
    return result
