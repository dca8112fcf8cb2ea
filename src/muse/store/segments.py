"""Segments: files of records (docs/formats/local-store.md, "Segments")."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from muse.errors import CorruptStore, MuseError
from muse.packs.pack import HEAD, MAGIC, VERSION
from muse.packs.record import Record, record_header
from muse.store.failure import os_failure
from muse.store.locks import try_lock

TARGET_BYTES = 64 << 20
"""No record is begun beyond this. Clean-up rewrites whole segments, and a rebuild stops at the first torn
record of one, so they stay small against a repository; yet a thousand of them hold 64 GB."""
BUFFER_BYTES = 4 << 20
MAX_OPEN_FILES = 64
SUFFIX = ".seg"


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"{number:08d}{SUFFIX}"


def list_segments(folder: Path) -> list[tuple[int, Path]]:
    """Return (number, path) of all segment files, by number."""
    found = []
    try:
        for name in os.listdir(folder):
            stem, suffix = os.path.splitext(name)
            if suffix == SUFFIX and stem.isdigit():
                found.append((int(stem), folder / name))
    except OSError as error:
        raise os_failure(error, folder) from error
    return sorted(found)


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class SegmentWriter:
    """Appends records to one segment that this process has locked.

    What is appended becomes readable with `write_out` and durable with `sync`; nothing names it before that.
    """

    def __init__(self, number: int, path: Path, fd: int, end: int) -> None:
        self.number = number
        self.end = end
        self._path = path
        self._fd = fd
        self._written = end
        self._synced = end
        self._new = end == 0
        self._failure: MuseError | None = None
        self._buffer: list[bytes] = []
        if self._new:
            self._buffer.append(HEAD.pack(MAGIC, VERSION))
            self.end = HEAD.size

    @classmethod
    def create(cls, folder: Path, number: int) -> SegmentWriter | None:
        """Make and lock the segment `number`; None when another process was faster."""
        path = segment_path(folder, number)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            return None
        except OSError as error:
            raise os_failure(error, path) from error
        if not try_lock(fd):
            os.close(fd)
            return None
        return cls(number, path, fd, 0)

    @classmethod
    def resume(cls, folder: Path, number: int, load_end: Callable[[], int]) -> SegmentWriter | None:
        """Lock a segment to append to it; None when it is in use or a crash left bytes behind the named ones.

        `load_end` says, once the lock is held, where the named bytes stop. Left bytes may be half a record;
        they stay the last of their segment, so that a rebuild can read every record before them.
        """
        path = segment_path(folder, number)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise os_failure(error, path) from error
        if try_lock(fd):
            end = load_end()
            if os.fstat(fd).st_size == end >= HEAD.size:
                return cls(number, path, fd, end)
        os.close(fd)
        return None

    @property
    def full(self) -> bool:
        return self.end >= TARGET_BYTES

    def append(self, record: Record) -> int:
        """Add a record and return its offset; its payload may be reused by the caller afterwards."""
        offset = self.end
        payload = record.payload
        self._buffer += (record_header(record), payload if isinstance(payload, bytes) else bytes(payload))
        self.end = offset + record.size_bytes
        if self.end - self._written >= BUFFER_BYTES:
            self.write_out()
        return offset

    def write_out(self) -> None:
        """Hand everything to the operating system: readers see it from now on.

        After a failure bytes are missing: it fails again until `roll_back`.
        """
        if self._failure is not None:
            raise self._failure
        if not self._buffer:
            return
        data = memoryview(b"".join(self._buffer))
        self._buffer.clear()
        try:
            while data:
                count = os.pwrite(self._fd, data, self._written)
                self._written += count
                data = data[count:]
        except OSError as error:
            self._failure = os_failure(error, self._path)
            raise self._failure from error

    def sync(self) -> None:
        """Make everything durable."""
        self.write_out()
        if self._synced == self.end:
            return
        try:
            os.fdatasync(self._fd)
            if self._new:
                sync_folder(self._path.parent)
        except OSError as error:
            raise os_failure(error, self._path) from error
        self._new = False
        self._synced = self.end

    def roll_back(self, end: int) -> None:
        """Drop everything after `end`, which nothing names; what cannot be cut off stays unnamed."""
        self._buffer.clear()
        self._failure = None
        self._written = self._synced = self.end = max(end, HEAD.size)
        try:
            if end <= HEAD.size:
                os.ftruncate(self._fd, 0)
                self._written = self._synced = 0
                self._new = True
                self._buffer.append(HEAD.pack(MAGIC, VERSION))
            else:
                os.ftruncate(self._fd, end)
        except OSError:
            pass

    def close(self) -> None:
        """Unlock the segment."""
        if self._fd >= 0:
            try:
                if self._written == 0:
                    self._path.unlink(missing_ok=True)
            except OSError:
                pass
            os.close(self._fd)
            self._fd = -1


class SegmentReader:
    """Reads places of segments through a bounded number of open files; safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fds: dict[int, int] = {}
        # A file must not be closed, and its number given to another, in the middle of a read.
        self._lock = Lock()

    def read(self, number: int, offset: int, size_bytes: int) -> bytes:
        """Return exactly these bytes; raises `corrupt-segment` when the file is missing or too short."""
        with self._lock:
            fd = self._fds.get(number)
            if fd is None:
                fd = self._open(number)
            try:
                data = os.pread(fd, size_bytes, offset)
            except OSError as error:
                raise os_failure(error, segment_path(self._folder, number)) from error
        if len(data) != size_bytes:
            raise CorruptStore(
                "corrupt-segment",
                f"segment {number} ends at byte {offset + len(data)} in the middle of an object",
                details={"segment": number, "offset": offset},
            )
        return data

    def _open(self, number: int) -> int:
        if len(self._fds) >= MAX_OPEN_FILES:
            os.close(self._fds.pop(next(iter(self._fds))))
        path = segment_path(self._folder, number)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise CorruptStore(
                "corrupt-segment", f"segment {number} is missing", details={"segment": number, "offset": 0}
            ) from None
        except OSError as error:
            raise os_failure(error, path) from error
        self._fds[number] = fd
        return fd

    def forget(self) -> None:
        """Close all files, so that the next read sees what is on disk now."""
        with self._lock:
            while self._fds:
                os.close(self._fds.popitem()[1])
