"""Passwords are kept as Argon2id hashes; hashing takes tens of milliseconds and so runs in a thread."""

from __future__ import annotations

import asyncio
import hashlib
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from muse.errors import UsageError

# The second recommended choice of RFC 9106 has 64 MiB and 3 passes; 19 MiB and 2 passes is the least that
# OWASP recommends. A hub with a 256 MiB budget that hashes a few logins at once takes the latter.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_at_once = 4
_slots: dict[int, asyncio.Semaphore] = {}


async def hash_password(password: str) -> str:
    """The text to store for a password."""
    async with _slot():
        return await asyncio.to_thread(_hasher.hash, password)


async def verify_password(password: str, stored: str | None) -> bool:
    """Whether `password` is the one that `stored` was made from.

    With `stored` None it takes as long and says no, so that time does not tell which users exist.
    """
    async with _slot():
        return await asyncio.to_thread(_verify, password, stored)


def mark_of(stored: str | None) -> bytes | None:
    """What tells a stored password from every other one, and is of no use to whoever sees it."""
    return hashlib.sha256(stored.encode()).digest() if stored is not None else None


def check_password_rules(password: str, min_length: int) -> None:
    """Raise UsageError("bad-arguments") for a password that is too short or too long."""
    if len(password) < min_length:
        raise UsageError("bad-arguments", f"a password has at least {min_length} characters")
    if len(password) > 1000:
        raise UsageError("bad-arguments", "a password has at most 1000 characters")


def make_password() -> str:
    """A random password of 120 bits."""
    return secrets.token_urlsafe(15)


def _verify(password: str, stored: str | None) -> bool:
    if stored is None:
        _hasher.hash(password)
        return False
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def _slot() -> asyncio.Semaphore:
    """Bounds how many hashes run at once, per event loop."""
    loop = asyncio.get_running_loop()
    if id(loop) not in _slots:
        _slots.clear()
        _slots[id(loop)] = asyncio.Semaphore(_at_once)
    return _slots[id(loop)]
