"""Reporting what has been done, in files or in bytes."""

from __future__ import annotations

from muse.store.progress import Progress

LARGE_BYTES = 64 << 20
STEP_FILES = 64
STEP_BYTES = 4 << 20


class Meter:
    """Counts files and bytes of one phase, and reports in the unit that says more, not for every file."""

    __slots__ = ("_bytes", "_files", "_next", "_phase", "_report", "_step", "_total", "_unit")

    def __init__(self, report: Progress | None, phase: str, files: int, size_bytes: int) -> None:
        self._report = report
        self._phase = phase
        large = size_bytes >= LARGE_BYTES
        self._unit = "bytes" if large else "files"
        self._total = size_bytes if large else files
        self._step = STEP_BYTES if large else STEP_FILES
        self._files = self._bytes = self._next = 0

    def add_file(self) -> None:
        self._files += 1
        if self._report is not None:
            self._tell()

    def add_bytes(self, size_bytes: int) -> None:
        self._bytes += size_bytes
        if self._report is not None:
            self._tell()

    def _tell(self) -> None:
        done = self._bytes if self._unit == "bytes" else self._files
        if self._report is not None and (done >= self._next or done == self._total):
            self._next = done + self._step
            self._report(self._phase, done, self._total, self._unit)
