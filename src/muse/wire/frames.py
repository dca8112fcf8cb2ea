"""Frames: how push and fetch talk inside one HTTP body (docs/formats/wire.md, "Frames").

A frame is one type byte, a 32-bit length and so many bytes. Client to hub: H header, S trees and chunk lists,
O blobs, C commits and tags, E end. Hub to client: P progress, R result, X error, and in a fetch H, U (packs
to download), O, S, C and E.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from muse.errors import InvalidData, MuseError, from_json
from muse.objects.ids import Kind
from muse.packs.record import MAX_RAW_BYTES, Record, encode_record, parse_record

FRAME = struct.Struct("<cI")
MEDIA_TYPE = "application/x-muse-frames"
PROTOCOL = 1

HEADER = b"H"
TREES = b"S"
BLOBS = b"O"
COMMITS = b"C"
END = b"E"
PROGRESS = b"P"
RESULT = b"R"
ERROR = b"X"
PACKS = b"U"
TYPES = frozenset((HEADER, TREES, BLOBS, COMMITS, END, PROGRESS, RESULT, ERROR, PACKS))
KINDS_OF_FRAME = {
    BLOBS: frozenset((Kind.BLOB,)),
    TREES: frozenset((Kind.TREE, Kind.CHUNKS)),
    COMMITS: frozenset((Kind.COMMIT, Kind.TAG)),
}
"""What the records of a frame may be."""

BATCH_BYTES = 1 << 20
"""A sender closes a frame of records when it reaches this."""
MAX_FRAME_BYTES = MAX_RAW_BYTES + BATCH_BYTES + (1 << 16)
"""What a receiver accepts: one batch and the largest object."""


class Frame(NamedTuple):
    type: bytes
    payload: bytes

    def json(self, max_values: int | None = None) -> dict[str, Any]:
        """Decode the JSON object of an H, E, P, R, X or U frame; raises `bad-frame`."""
        try:
            value = decode_json(self.payload, max_values)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise InvalidData("bad-frame", f"frame {self.type.decode()} does not hold a JSON object")
        return value

    def records(self) -> Iterator[Record]:
        """Yield the records of an S, O or C frame; raises `truncated`, `bad-record`."""
        view = memoryview(self.payload)
        offset = 0
        while offset < len(view):
            record, offset = parse_record(view, offset)
            yield record


def decode_json(data: bytes, max_values: int | None = None) -> Any:
    """Decode JSON; raises ValueError, with `max_values` before it builds more than about so many values.

    Three bytes of text are enough for an empty list, which takes seventy in memory.
    """
    if max_values is not None and data.count(b",") + data.count(b"[") + data.count(b"{") > max_values:
        raise ValueError("too many values")
    return json.loads(data)


def encode_frame(frame_type: bytes, payload: bytes) -> bytes:
    return FRAME.pack(frame_type, len(payload)) + payload


def encode_json(frame_type: bytes, value: dict[str, Any]) -> bytes:
    return encode_frame(frame_type, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def encode_error(error: MuseError) -> bytes:
    return encode_json(ERROR, error.to_json())


def decode_error(frame: Frame) -> MuseError:
    return from_json(frame.json())


class RecordBatch:
    """Collects records into frames of one type, each closed when it reaches `BATCH_BYTES`."""

    def __init__(self, frame_type: bytes) -> None:
        self._type = frame_type
        self._parts: list[bytes | memoryview] = []
        self._size = 0

    def add(self, record: Record) -> bytes | None:
        """Add a record; returns a finished frame when the batch is full."""
        return self.add_encoded(encode_record(record))

    def add_encoded(self, records: bytes | memoryview) -> bytes | None:
        """Add whole records that stand side by side; returns a finished frame when the batch is full."""
        self._parts.append(records)
        self._size += len(records)
        return self.flush() if self._size >= BATCH_BYTES else None

    def flush(self) -> bytes | None:
        """Return the open batch as a frame, None when it is empty."""
        if not self._parts:
            return None
        frame = encode_frame(self._type, b"".join(self._parts))
        self._parts = []
        self._size = 0
        return frame


class FrameParser:
    """Turns arriving bytes into frames; holds at most one frame and one delivery of bytes.

    A length beyond `max_frame_bytes`, or `max_json_bytes` for a frame of JSON, is refused before anything of
    it is kept.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES, max_json_bytes: int | None = None) -> None:
        self._buffer = bytearray()
        self._max = max_frame_bytes
        self._max_json = max_frame_bytes if max_json_bytes is None else min(max_json_bytes, max_frame_bytes)

    @property
    def pending_bytes(self) -> int:
        """How much of a frame that is not complete is held."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that `data` completes; raises `bad-frame`."""
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= FRAME.size:
                frame_type, size = FRAME.unpack_from(buffer, start)
                if frame_type not in TYPES:
                    raise InvalidData("bad-frame", f"unknown frame type {frame_type!r}")
                limit = self._max if frame_type in KINDS_OF_FRAME else self._max_json
                if size > limit:
                    raise InvalidData(
                        "bad-frame", f"a frame of {size} bytes is longer than the limit of {limit}"
                    )
                end = start + FRAME.size + size
                if end > len(buffer):
                    break
                yield Frame(frame_type, bytes(buffer[start + FRAME.size : end]))
                start = end
        finally:
            del buffer[:start]

    def close(self) -> None:
        """Say that no more bytes come; raises `truncated` inside a frame."""
        if self._buffer:
            raise InvalidData("truncated", "the stream ended inside a frame", retry=True)
