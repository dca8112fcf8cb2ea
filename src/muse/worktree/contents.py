"""The contents of many files from where they are stored, small ones decoded many at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from muse.errors import CorruptStore, InvalidData
from muse.objects.ids import Kind, hash_short
from muse.packs.record import Encoding, parse_header
from muse.packs.zstd import decompress, decompress_many
from muse.store.locations import Place, iter_runs
from muse.store.segments import SegmentReader

DECODE_BYTES = 2 << 20
SMALL_BYTES = 64 << 10

Data = bytes | memoryview


def iter_contents(segments: SegmentReader, places: Sequence[Place]) -> Iterator[tuple[int, Data | None]]:
    """Yield (number of the place, bytes) of blobs, run by run in this order; every hash is checked.

    None for what is based on another object or is not as the database says: `ObjectStore.load` reads it, or
    says what is wrong. Looks at nothing but the segments.
    """
    numbers: list[int] = []
    frames: list[Data] = []
    sizes: list[int] = []
    waiting_bytes = 0
    for first, stop, segment, start, end in iter_runs(places):
        try:
            run = memoryview(segments.read(segment, start, end - start))
        except CorruptStore:
            for number in range(first, stop):
                yield number, None
            continue
        for number in range(first, stop):
            place = places[number]
            try:
                kind, encoding, raw_size, _, payload, stop_at = parse_header(run, place.offset - start)
            except InvalidData:
                yield number, None
                continue
            if kind != Kind.BLOB or encoding == Encoding.PREFIX or stop_at != place.end - start:
                yield number, None
            elif encoding == Encoding.ZSTD and 0 < raw_size <= SMALL_BYTES:
                numbers.append(number)
                frames.append(run[payload:stop_at])
                sizes.append(raw_size)
                waiting_bytes += raw_size
                if waiting_bytes >= DECODE_BYTES:
                    yield from _decode_many(places, numbers, frames, sizes)
                    numbers, frames, sizes, waiting_bytes = [], [], [], 0
            else:
                yield number, _decode(place, encoding, run[payload:stop_at], raw_size)
        # What waits keeps what was read.
        yield from _decode_many(places, numbers, frames, sizes)
        numbers, frames, sizes, waiting_bytes = [], [], [], 0


def _decode(place: Place, encoding: int, payload: memoryview, raw_size: int) -> Data | None:
    try:
        data = payload if encoding == Encoding.RAW else decompress(payload, raw_size)
    except InvalidData:
        return None
    return data if hash_short(data) == place.id else None


def _decode_many(
    places: Sequence[Place], numbers: list[int], frames: list[Data], sizes: list[int]
) -> Iterator[tuple[int, Data | None]]:
    try:
        decoded: list[Data | None] = list(decompress_many(frames, sizes))
    except InvalidData:
        decoded = [None] * len(frames)
    for number, data in zip(numbers, decoded, strict=True):
        yield number, data if data is not None and hash_short(data) == places[number].id else None
