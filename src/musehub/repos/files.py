"""Reads the content of files of one repository."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from muse.errors import InvalidData
from muse.objects.chunks import Chunk, ChunkList, decode_chunks
from muse.objects.ids import Kind
from muse.objects.tree import BLOB_KINDS, CHUNKED_KINDS, Entry
from musehub.repos.objects import ObjectReader

_BATCH_BYTES = 4 << 20


async def open_file(
    reader: ObjectReader, entry: Entry, start: int = 0, end: int | None = None
) -> AsyncIterator[bytes]:
    """The content of a file entry in pieces of a few MiB, every hash checked; or its bytes `start` to `end`.

    Of a file in chunks only those are read that have some of these bytes.

    Raises CorruptStore("missing-object", "corrupt-object") and InvalidData("bad-object"), possibly in the
    middle.
    """
    if entry.kind not in CHUNKED_KINDS:
        yield (await reader.load(Kind.BLOB, entry.id))[start:end]
        return
    batch: list[Chunk] = []
    size_bytes = 0
    skip = -1  # bytes to leave out of the first piece
    left = None if end is None else end - start
    root = decode_chunks(await reader.load(Kind.CHUNKS, entry.id))
    async for at, chunk in _iter_chunks(reader, root, 0, start, end):
        skip = start - at if skip < 0 else skip
        batch.append(chunk)
        size_bytes += chunk.size_bytes
        if size_bytes >= _BATCH_BYTES:
            piece = _cut(await _join(reader, batch), skip, left)
            left = None if left is None else left - len(piece)
            yield piece
            batch, size_bytes, skip = [], 0, 0
    if batch:
        yield _cut(await _join(reader, batch), skip, left)


async def measure_file(reader: ObjectReader, entry: Entry) -> int:
    """How many bytes `open_file` gives, unless it fails; what the tree says is only claimed."""
    if entry.kind not in CHUNKED_KINDS:
        return len(await reader.load(Kind.BLOB, entry.id))
    return decode_chunks(await reader.load(Kind.CHUNKS, entry.id)).size_bytes


async def load_file(reader: ObjectReader, entry: Entry) -> bytes:
    """All of a file; the caller has looked at `entry.size_bytes`."""
    return b"".join([piece async for piece in open_file(reader, entry)])


async def load_ahead(reader: ObjectReader, entries: Sequence[Entry]) -> None:
    """Read small files together, so that loading each of them goes nowhere; large ones are left alone.

    The reader keeps a few MiB: the caller asks for as much as it is about to load.
    """
    small = [entry for entry in entries if entry.kind in BLOB_KINDS and entry.size_bytes <= _BATCH_BYTES // 4]
    await reader.load_many(Kind.BLOB, list(dict.fromkeys(entry.id for entry in small)))


async def file_digest(reader: ObjectReader, entry: Entry) -> bytes:
    """The SHA-256 of the file's bytes: what `sha256sum` says of it."""
    if entry.kind not in CHUNKED_KINDS:
        return entry.id
    return decode_chunks(await reader.load(Kind.CHUNKS, entry.id)).file_id


def _cut(piece: bytes, skip: int, left: int | None) -> bytes:
    return piece if not skip and (left is None or len(piece) <= left) else piece[skip:][:left]


async def _join(reader: ObjectReader, chunks: list[Chunk]) -> bytes:
    found = await reader.load_many(Kind.BLOB, list(dict.fromkeys(chunk.id for chunk in chunks)))
    if any(len(found[chunk.id]) != chunk.size_bytes for chunk in chunks):
        raise InvalidData("bad-object", "a chunk list gives a chunk another size than it has")
    return b"".join(found[chunk.id] for chunk in chunks)


async def _iter_chunks(
    reader: ObjectReader, node: ChunkList, at: int, start: int, end: int | None
) -> AsyncIterator[tuple[int, Chunk]]:
    """The chunks that have bytes from `start` to `end`, and where each begins; the node begins at `at`."""
    for chunk in node.chunks:
        if end is not None and at >= end:
            return
        if at + chunk.size_bytes > start:
            if node.level == 0:
                yield at, chunk
            else:
                child = decode_chunks(await reader.load(Kind.CHUNKS, chunk.id))
                if child.level != node.level - 1 or child.size_bytes != chunk.size_bytes:
                    raise InvalidData("bad-object", "a chunk list names a node of another level or size")
                async for inner in _iter_chunks(reader, child, at, start, end):
                    yield inner
        at += chunk.size_bytes
