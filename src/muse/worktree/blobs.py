"""Writing the files of many blobs, half of them in another process where that is safe and pays."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from functools import partial

from muse.objects.ids import Kind
from muse.store.locations import Place
from muse.store.repository import Repository
from muse.store.segments import SegmentReader
from muse.worktree.beside import Beside, can_fork
from muse.worktree.contents import iter_contents
from muse.worktree.paths import parent_of
from muse.worktree.plan import Write
from muse.worktree.statrow import STATS_BYTES, pack_stats
from muse.worktree.writing import Writer

LOCATE_AT_ONCE = 50_000
"""12 MiB of places."""
SHARE_FROM_FILES = 500
"""Another process costs as much as some hundred files."""
FILE_COST_BYTES = 16 << 10
"""A file costs as much as so many bytes in it."""

_WRITTEN = struct.Struct(f"<IIQ{STATS_BYTES}s")
_NO_STATS = bytes(STATS_BYTES)

Note = Callable[[Write, bytes | None, int], None]
"""Told (write, packed stats if any later change will show in them, size) of each file."""


class BlobFiles:
    """Writes the files of `by_blob`. `begin` is told the path of each file before, `note` all of it after."""

    def __init__(
        self,
        repository: Repository,
        writer: Writer,
        by_blob: dict[bytes, list[Write]],
        begin: Callable[[str], None],
        note: Note,
    ) -> None:
        self._objects = repository.objects
        self._segments_dir = repository.segments_dir
        self._writer = writer
        self._by_blob = by_blob
        self._begin = begin
        self._note = note

    def run(self) -> None:
        """Raises what the writer does, `missing-object`, `corrupt-object`."""
        ids = list(self._by_blob)
        for start in range(0, len(ids), LOCATE_AT_ONCE):
            places = self._objects.find_places(Kind.BLOB, ids[start : start + LOCATE_AT_ONCE])
            others = self._choose(places)
            if not others:
                self._write(places)
                continue
            taken = {place.id for place in others}
            with Beside(partial(self._write_beside, others)) as beside:
                self._write([place for place in places if place.id not in taken])
                self._note_written(others, beside.collect())
            self._write(others)  # what was not written after all: whatever was wrong, here it is said

    def _choose(self, places: Sequence[Place]) -> list[Place]:
        """Return what another process may write: new files in new directories, half of the work at most."""
        if len(places) < SHARE_FROM_FILES or not can_fork():
            return []
        writer, by_blob = self._writer, self._by_blob
        plain = [
            place
            for place in places
            if place.base is None and all(write.seen is None for write in by_blob[place.id])
        ]
        parents = {parent_of(write.path) for place in plain for write in by_blob[place.id]}
        for parent in sorted(parents):
            writer.open_directory(parent, make=True)
        new = {parent for parent in parents if writer.is_new(parent)}
        left = sum(place.end - place.offset + FILE_COST_BYTES for place in places) // 2
        chosen: list[Place] = []
        for place in reversed(plain):
            left -= place.end - place.offset + FILE_COST_BYTES
            if left < 0:
                break
            if all(parent_of(write.path) in new for write in by_blob[place.id]):
                chosen.append(place)
        return chosen[::-1] if len(chosen) >= SHARE_FROM_FILES // 2 else []

    def _write(self, places: Sequence[Place]) -> None:
        places = [place for place in places if self._by_blob[place.id]]
        segments = SegmentReader(self._segments_dir)
        try:
            for number, data in iter_contents(segments, places):
                object_id = places[number].id
                if data is None:
                    data = self._objects.load(Kind.BLOB, object_id)
                for write in self._by_blob[object_id]:
                    self._begin(write.path)
                    # The object counts, whatever size the tree gives it.
                    stats = self._writer.write(write.path, write.entry, (data,), write.seen)
                    self._note(write, None if stats is None else pack_stats(stats), len(data))
        finally:
            segments.forget()

    # ---- in the other process, and after it

    def _write_beside(self, places: Sequence[Place]) -> bytes:
        parent = os.getppid()
        written: list[bytes] = []
        try:
            for number, data in iter_contents(SegmentReader(self._segments_dir), places):
                if data is None:
                    continue
                if os.getppid() != parent:
                    break  # it was killed: nobody will know what is written from here on
                for index, write in enumerate(self._by_blob[places[number].id]):
                    stats = self._writer.write(write.path, write.entry, (data,), None)
                    packed = _NO_STATS if stats is None else pack_stats(stats)
                    written.append(_WRITTEN.pack(number, index, len(data), packed))
        except Exception:
            pass  # the rest is left, and whatever was wrong is met again and reported there
        return b"".join(written)

    def _note_written(self, places: Sequence[Place], result: bytes) -> None:
        done: set[tuple[int, int]] = set()
        for number, index, size_bytes, packed in _WRITTEN.iter_unpack(result):
            done.add((number, index))
            write = self._by_blob[places[number].id][index]
            self._note(write, None if packed == _NO_STATS else packed, size_bytes)
        for number, place in enumerate(places):
            writes = self._by_blob[place.id]
            self._by_blob[place.id] = [
                write for index, write in enumerate(writes) if (number, index) not in done
            ]
