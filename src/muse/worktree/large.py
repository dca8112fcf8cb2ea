"""The contents of large files: the next chunks are read and hashed while one is written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from queue import Empty, Queue

from muse.errors import CorruptStore
from muse.objects.chunks import iter_chunks
from muse.objects.ids import Kind, format_id
from muse.store.locations import Place
from muse.store.objects import ObjectStore
from muse.store.segments import SegmentReader
from muse.worktree.contents import Data, iter_contents

THREADS = 2
"""Hashing and system calls let each other run."""
READ_BYTES = 2 << 20
"""Read and hashed at a time; each thread holds as much twice."""
LOCATE_AT_ONCE = 4096


def iter_large(objects: ObjectStore, segments_dir: Path, root: bytes) -> Iterator[Data]:
    """Yield the content of a chunked file, chunk by chunk, every hash checked.

    Raises `missing-object`, `corrupt-object`, `bad-object`.
    """
    chunks = iter_chunks(root, objects.load)
    while batch := list(islice(chunks, LOCATE_AT_ONCE)):
        places = {place.id: place for place in objects.find_places(Kind.BLOB, [one.id for one in batch])}
        read = _iter_ahead(segments_dir, _group([places[one.id] for one in batch]))
        for chunk, data in zip(batch, read, strict=True):
            if data is None:
                data = objects.load(Kind.BLOB, chunk.id)
            if len(data) != chunk.size_bytes:
                raise CorruptStore(
                    "corrupt-object", f"a chunk of {format_id(root)} has another size than its list says"
                )
            yield data


def _group(places: list[Place]) -> list[list[Place]]:
    """Cut into parts of about `READ_BYTES`."""
    groups: list[list[Place]] = []
    left = 0
    for place in places:
        if left <= 0:
            groups.append([])
            left = READ_BYTES
        groups[-1].append(place)
        left -= place.end - place.offset
    return groups


def _iter_ahead(segments_dir: Path, groups: list[list[Place]]) -> Iterator[Data | None]:
    """Yield what is at all these places, None as `iter_contents` does; `THREADS` threads take turns."""
    results: list[Queue[list[Data | None] | BaseException]] = [Queue(1) for _ in range(THREADS)]
    stopped = False

    def run(first: int) -> None:
        segments = SegmentReader(segments_dir)
        for group in groups[first::THREADS]:
            if stopped:
                break
            try:
                results[first].put([data for _, data in iter_contents(segments, group)])
            except BaseException as error:
                results[first].put(error)
        segments.forget()

    threads = [threading.Thread(target=run, args=(first,), daemon=True) for first in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        for number in range(len(groups)):
            found = results[number % THREADS].get()
            if isinstance(found, BaseException):
                raise found
            yield from found
    finally:
        stopped = True
        for queue, thread in zip(results, threads, strict=True):
            try:
                queue.get_nowait()  # what a thread may be waiting to add has room now
            except Empty:
                pass
            thread.join()
