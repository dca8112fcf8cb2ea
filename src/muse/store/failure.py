"""What the operating system and SQLite report, as errors somebody can act on."""

from __future__ import annotations

import errno
import sqlite3

from muse.errors import CorruptStore, Environment, MuseError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}

# Primary SQLite result codes; the module names them only from Python 3.11 on, and only some.
_BUSY, _LOCKED, _READONLY, _IOERR, _CORRUPT, _FULL_DB, _CANTOPEN, _NOTADB = 5, 6, 8, 10, 11, 13, 14, 26


def os_failure(error: OSError, path: object) -> MuseError:
    """Turn an `OSError` about `path` into `disk-full`, `read-only` or `io-error`."""
    if error.errno in _FULL:
        return Environment(
            "disk-full",
            f'no space left to write "{path}"',
            hint="make room and run the command again; nothing that was reported as done is lost",
            retry=True,
        )
    if error.errno in _READ_ONLY:
        return Environment("read-only", f'"{path}" may not be written or read: {error.strerror}')
    return Environment("io-error", f'"{path}": {error.strerror or error}')


def database_failure(error: sqlite3.Error, path: object) -> MuseError:
    """Turn an error of SQLite into `locked`, `disk-full`, `read-only`, `io-error` or `corrupt-database`."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (_BUSY, _LOCKED):
        return Environment(
            "locked",
            "another process has been writing to this repository for too long",
            hint="wait for the other command to end and run this one again",
            retry=True,
        )
    if code == _FULL_DB:
        return os_failure(OSError(errno.ENOSPC, ""), path)
    if code == _READONLY:
        return Environment("read-only", f'"{path}" may not be written')
    if code in (_IOERR, _CANTOPEN):
        return Environment("io-error", f'"{path}": {error}')
    return CorruptStore(
        "corrupt-database",
        f'the database "{path}" is damaged: {error}',
        hint="`muse fsck --rebuild` makes a new one from the segments",
    )
