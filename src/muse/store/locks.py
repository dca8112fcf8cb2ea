"""Advisory locks between processes: flock, freed by the kernel however its holder dies."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from muse.errors import Environment
from muse.store.failure import os_failure

POLL_S = 0.02


def try_lock(fd: int, exclusive: bool = True) -> bool:
    """Lock an open file without waiting; False when somebody else holds it."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


class RepositoryLock:
    """The lock that every transaction holds shared and a clean-up holds exclusively."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def acquire(self, exclusive: bool, timeout_s: float) -> None:
        """Take the lock; raises `locked` after `timeout_s`, `read-only` where nothing may be written."""
        try:
            if self._fd < 0:
                self._fd = self._open()
            deadline = time.monotonic() + timeout_s
            while not try_lock(self._fd, exclusive):
                if time.monotonic() >= deadline:
                    raise Environment(
                        "locked",
                        "another process works on this repository"
                        + ("" if exclusive else ": it is being cleaned up"),
                        hint="wait for it to end and run this command again",
                        retry=True,
                    )
                time.sleep(POLL_S)
        except OSError as error:
            raise os_failure(error, self._path) from error

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES):
                raise
            return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)  # enough to check what may only be read

    def release(self) -> None:
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
