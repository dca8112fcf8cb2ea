"""Reads the content of files of one repository."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from muse.errors import InvalidData
from muse.objects.chunks import Chunk, ChunkList, decode_chunks
from muse.objects.ids import Kind
from muse.objects.tree import BLOB_KINDS, CHUNKED_KINDS, Entry
from musehub.repos.objects import ObjectReader

_BATCH_BYTES = 4 << 20


async def open_file(reader: ObjectReader, entry: Entry) -> AsyncIterator[bytes]:
    """The content of a file entry in pieces of a few MiB, every hash checked.

    Raises CorruptStore("missing-object", "corrupt-object"), possibly in the middle.
    """
    if entry.kind not in CHUNKED_KINDS:
        yield await reader.load(Kind.BLOB, entry.id)
        return
    batch: list[Chunk] = []
    size_bytes = 0
    async for chunk in _iter_chunks(reader, decode_chunks(await reader.load(Kind.CHUNKS, entry.id))):
        batch.append(chunk)
        size_bytes += chunk.size_bytes
        if size_bytes >= _BATCH_BYTES:
            yield await _join(reader, batch)
            batch, size_bytes = [], 0
    if batch:
        yield await _join(reader, batch)


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


async def _join(reader: ObjectReader, chunks: list[Chunk]) -> bytes:
    found = await reader.load_many(Kind.BLOB, list(dict.fromkeys(chunk.id for chunk in chunks)))
    return b"".join(found[chunk.id] for chunk in chunks)


async def _iter_chunks(reader: ObjectReader, node: ChunkList) -> AsyncIterator[Chunk]:
    for chunk in node.chunks:
        if node.level == 0:
            yield chunk
            continue
        child = decode_chunks(await reader.load(Kind.CHUNKS, chunk.id))
        if child.level != node.level - 1:
            raise InvalidData("bad-object", "a chunk list names a node of another level")
        async for inner in _iter_chunks(reader, child):
            yield inner
