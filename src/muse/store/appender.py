"""Where a process appends: one segment at a time, locked, rolled over when full."""

from __future__ import annotations

import errno
import os
from functools import partial
from pathlib import Path

from muse.packs.record import Record
from muse.store.database import Database
from muse.store.failure import os_failure
from muse.store.segments import (
    TARGET_BYTES,
    SegmentWriter,
    list_segments,
    segment_path,
    sync_file,
    sync_folder,
)

CANDIDATES = 8
"""How many unfilled segments are tried before a new one is made."""


class Appender:
    """Writes the records of one transaction after the other into segments.

    No row names what was appended until `accept`; until then `roll_back` cuts it off again. The segment in
    use stays locked until `close`, so that no other process appends to it.
    """

    def __init__(self, database: Database, folder: Path, *, only_new: bool = False) -> None:
        self._database = database
        self._only_new = only_new
        self._folder = folder
        self._current: SegmentWriter | None = None
        self._touched: dict[int, tuple[SegmentWriter, int]] = {}
        self._adopted: dict[int, int] = {}

    def append(self, record: Record) -> tuple[int, int]:
        """Add a record; returns its segment and offset."""
        writer = self._current
        if writer is None or writer.full:
            if writer is not None and writer.number not in self._touched:
                writer.close()
            self._current = None
            writer = self._current = self._choose()
        if writer.number not in self._touched:
            self._touched[writer.number] = (writer, writer.end)
        return writer.number, writer.append(record)

    def adopt(self, path: Path, end: int) -> int:
        """Make a finished file of records, at `path`, a segment; returns its number."""
        try:
            sync_file(path)
            number = self._next_number()
            while True:
                target = segment_path(self._folder, number)
                try:
                    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
                    break
                except FileExistsError:
                    number += 1
            self._adopted[number] = end
            _move(path, target)
            sync_folder(self._folder)
        except OSError as error:
            raise os_failure(error, path) from error
        return number

    def write_out(self) -> None:
        """Make everything appended readable."""
        for writer, _ in self._touched.values():
            writer.write_out()

    def sync(self) -> list[tuple[int, int, bool]]:
        """Make everything durable; returns (number, end, adopted) of the segments that grew."""
        for writer, _ in self._touched.values():
            writer.sync()
        ends = [(number, writer.end, False) for number, (writer, _) in self._touched.items()]
        return ends + [(number, end, True) for number, end in self._adopted.items()]

    def accept(self) -> None:
        """Keep what was appended: rows name it now."""
        self._release()
        self._adopted.clear()

    def roll_back(self) -> None:
        """Drop what was appended since the last `accept`: nothing names it."""
        for writer, start in self._touched.values():
            writer.roll_back(start)
        self._release()
        for number in self._adopted:
            segment_path(self._folder, number).unlink(missing_ok=True)
        self._adopted.clear()

    def abandon(self) -> None:
        """Leave what was appended and go on elsewhere: whether the database names it is not known."""
        self._touched.clear()
        self._adopted.clear()
        self.close()

    def close(self) -> None:
        if self._current is not None:
            self._current.close()
            self._current = None

    def _release(self) -> None:
        for writer, _ in self._touched.values():
            if writer is not self._current:
                writer.close()
        self._touched.clear()

    def _choose(self) -> SegmentWriter:
        rows = self._database.load_rows(
            "SELECT number FROM segments WHERE NOT adopted AND end < ? ORDER BY number DESC LIMIT ?",
            (TARGET_BYTES, 0 if self._only_new else CANDIDATES),
        )
        for (number,) in rows:
            if number not in self._touched:
                writer = SegmentWriter.resume(self._folder, number, partial(self._named_end, number))
                if writer is not None:
                    return writer
        number = self._next_number()
        while (writer := SegmentWriter.create(self._folder, number)) is None:
            number += 1
        return writer

    def _named_end(self, number: int) -> int:
        row = self._database.find_row("SELECT end FROM segments WHERE number = ?", (number,))
        return row[0] if row else -1

    def _next_number(self) -> int:
        row = self._database.find_row("SELECT value FROM meta WHERE key = 'next_segment'")
        existing = list_segments(self._folder)
        return max(existing[-1][0] + 1 if existing else 1, row[0] if row else 1)


def _move(path: Path, target: Path) -> None:
    try:
        os.replace(path, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        from shutil import copyfile  # 3 ms to import, and hardly ever needed

        copyfile(path, target)
        sync_file(target)
        path.unlink()
