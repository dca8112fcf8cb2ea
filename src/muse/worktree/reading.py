"""Reading the user's files: never through a link, and never half of one version and half of the next."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from muse.errors import Conflict
from muse.history.directory import Load
from muse.objects.chunks import decode_chunks
from muse.objects.ids import Kind
from muse.objects.tree import BLOB_KINDS, EXECUTABLE, FILE, SYMLINK, Entry
from muse.store.failure import os_failure
from muse.worktree.statrow import Stats, is_settled, stats_of

T = TypeVar("T")

_PIECE_BYTES = 1 << 20
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Not blocking: the file may have become a pipe that nobody writes to."""

_CHANGED = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EISDIR}


class Read(NamedTuple):
    """What reading a file gave; `trusted` says that any later change will show in the stats."""

    stats: Stats
    trusted: bool


def kind_of_mode(mode: int) -> str | None:
    """Return FILE, EXECUTABLE or SYMLINK; None for what a tree cannot hold."""
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFREG:
        return EXECUTABLE if mode & stat.S_IXUSR else FILE
    return SYMLINK if kind == stat.S_IFLNK else None


def read_stable(path: str, shown: str, consume: Callable[[int, int], tuple[T, int]]) -> tuple[T, Read]:
    """Read a file with `consume(fd, size) -> (result, bytes read)`; once more if it changed meanwhile.

    Raises `changed-while-reading` naming `shown` when it changes again or is no regular file any more.
    """
    for _ in range(2):
        started_ns = time.time_ns()
        try:
            fd = os.open(path, _OPEN_FLAGS)
        except OSError as error:
            if error.errno in _CHANGED:
                continue
            raise os_failure(error, shown) from error
        try:
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                continue
            result, read_bytes = consume(fd, before.st_size)
            stats = stats_of(before)
            if read_bytes == before.st_size and stats == stats_of(os.fstat(fd)):
                return result, Read(stats, is_settled(stats, started_ns))
        except OSError as error:
            raise os_failure(error, shown) from error
        finally:
            os.close(fd)
    raise changed(shown)


def read_link(path: str, shown: str) -> tuple[bytes, Read]:
    """Return a symlink's target; raises `changed-while-reading` when it is none any more."""
    started_ns = time.time_ns()
    try:
        target = os.fsencode(os.readlink(path))
        found = os.lstat(path)
    except OSError as error:
        if error.errno in _CHANGED or error.errno == errno.EINVAL:
            raise changed(shown) from error
        raise os_failure(error, shown) from error
    stats = stats_of(found)
    if not stat.S_ISLNK(found.st_mode):
        raise changed(shown)
    return target, Read(stats, stats[1] == len(target) and is_settled(stats, started_ns))


def read_all(fd: int, size_bytes: int) -> tuple[bytes, int]:
    """Read a file that is small enough for memory."""
    data = os.read(fd, size_bytes + 1)
    while piece := os.read(fd, _PIECE_BYTES):
        data += piece
        if len(data) > size_bytes:
            break
    return data, len(data)


def digest_file(path: str, shown: str, kind: str) -> tuple[bytes, Read]:
    """Return the SHA-256 of a file's content or of a link's target."""
    if kind == SYMLINK:
        target, read = read_link(path, shown)
        return hashlib.sha256(target).digest(), read
    return read_stable(path, shown, _digest)


def _digest(fd: int, size_bytes: int) -> tuple[bytes, int]:
    digest = hashlib.sha256()
    done = 0
    while piece := os.read(fd, min(size_bytes + 1, _PIECE_BYTES)):
        digest.update(piece)
        done += len(piece)
        if done > size_bytes:
            break
    return digest.digest(), done


def digest_of(entry: Entry, load: Load) -> bytes:
    """Return the SHA-256 of the content that a tree entry of any file kind names."""
    return entry.id if entry.kind in BLOB_KINDS else decode_chunks(load(Kind.CHUNKS, entry.id)).file_id


def changed(shown: str) -> Conflict:
    return Conflict(
        "changed-while-reading",
        f'"{shown}" changed while it was read',
        hint="nothing was committed; run the command again when the file is complete",
        retry=True,
        details={"path": shown},
    )
