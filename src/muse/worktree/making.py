"""Making single files, in a folder that is open: whole, or nothing is left."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from muse.worktree.statrow import Stats, stats_of

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ON_LINUX = os.uname().sysname == "Linux"
_COARSE = 5
"""CLOCK_REALTIME_COARSE, which Linux stamps files with; Python has no name for it."""


def create_file(folder: int, name: str, executable: bool, pieces: Iterable[bytes | memoryview]) -> Stats:
    """Make a file, which must not be there, and return its stats; a failure leaves nothing."""
    fd = os.open(name, _CREATE, 0o777 if executable else 0o666, dir_fd=folder)
    try:
        try:
            for piece in pieces:
                _write_all(fd, piece)
            # One nanosecond before the time of this very change: see `is_settled`.
            mtime_ns = (time.clock_gettime_ns(_COARSE) if _ON_LINUX else os.fstat(fd).st_mtime_ns) - 1
            os.utime(fd, ns=(mtime_ns, mtime_ns))
            return stats_of(os.fstat(fd))
        finally:
            os.close(fd)
    except BaseException:
        unlink_quietly(name, folder)
        raise


def _write_all(fd: int, data: bytes | memoryview) -> None:
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


def copy_entry(folder: int, name: str, target: int, target_name: str) -> None:
    """Copy a file or link; an error may leave half of it."""
    try:
        link = os.readlink(name, dir_fd=folder)
    except OSError:
        link = None
    if link is not None:
        os.symlink(link, target_name, dir_fd=target)
        return
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        copy = os.open(target_name, _CREATE, os.fstat(source).st_mode & 0o777, dir_fd=target)
        try:
            while piece := os.read(source, 1 << 20):
                _write_all(copy, piece)
        finally:
            os.close(copy)
    finally:
        os.close(source)


def unlink_quietly(name: str, directory: int) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except OSError:
        pass
