"""What the operating system's refusals mean for the embedded store."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from muse.errors import Environment, NotFound


def not_found(key: str) -> NotFound:
    return NotFound("pack-not-found", f'the store holds nothing under "{key}"')


@contextmanager
def translated(what: str, key: str = "") -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        if key:
            raise not_found(key) from None
        raise Environment("io-error", f"cannot {what} in the store: {error.strerror}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "the operator of the hub has to make room; what was confirmed is not sent again"
            raise Environment("disk-full", "no space left in the store", hint=hint, retry=True) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise Environment("read-only", f"the store may not be used: {error.strerror}") from error
        raise Environment("io-error", f"cannot {what} in the store: {error.strerror}") from error
