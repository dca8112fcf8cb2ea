"""Ed25519 keys: adding them, and proving that one has the private half.

To log in with a key a client asks for a challenge and signs `challenge_message`. The challenge is
not stored: it carries its own end and a seal of the hub. What is stored is that it was used.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy.exc import IntegrityError

from muse.errors import AccessDenied, Conflict, NotFound, UsageError
from musehub.accounts.users import User, to_user
from musehub.db import keys as queries
from musehub.db.engine import Database
from musehub.db.instants import Clock, from_micros, to_micros
from musehub.db.secrets import get_secret
from musehub.settings import Settings

_MESSAGE_HEADER = b"muse key login 1\n"
_NONCE_BYTES = 16
_SEAL_BYTES = 32


class Key(msgspec.Struct, frozen=True):
    """A public key of a user, as 64 hex digits."""

    id: int
    public_key: str
    label: str
    created_at: datetime


class Challenge(msgspec.Struct, frozen=True):
    """What to sign: `challenge_message(hub, challenge)`."""

    challenge: str
    hub: str
    expires_at: datetime


class Keys:
    """The keys of this hub's users."""

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock

    async def add(self, user_id: int, public_key: str, label: str = "") -> Key:
        """Add a key; raises Conflict("already-exists") if anybody has it, also if it was revoked."""
        raw = parse_public_key(public_key)
        now = self._clock()
        try:
            async with self._database.transaction("add key") as conn:
                key_id = await queries.insert_key(
                    conn, user_id=user_id, public_key=raw, label=label, created_at=now
                )
        except IntegrityError:
            raise Conflict(
                "already-exists", "this key is known already", hint="a revoked key cannot be added again"
            ) from None
        return Key(key_id, raw.hex(), label, now)

    async def list(self, user_id: int) -> list[Key]:
        async with self._database.read("list keys") as conn:
            return [_to_key(row) for row in await queries.list_keys(conn, user_id)]

    async def find_owner(self, public_key: bytes) -> str | None:
        """The name of the user who has that key, if it was not revoked."""
        async with self._database.read("find key owner") as conn:
            row = await queries.find_user_by_key(conn, public_key)
        return str(row["name"]) if row is not None else None

    async def revoke(self, user_id: int, key_id: int) -> None:
        """End a key of that user now; raises NotFound("key-not-found")."""
        async with self._database.transaction("revoke key") as conn:
            if not await queries.revoke_key(conn, user_id, key_id, self._clock()):
                raise NotFound("key-not-found", f"no key {key_id}")

    async def make_challenge(self, public_key: str) -> Challenge:
        """A challenge for the owner of `public_key`; the same answer whether or not the key is known."""
        raw = parse_public_key(public_key)
        expires_at = self._clock() + timedelta(seconds=self._settings.challenge_ttl_s)
        body = os.urandom(_NONCE_BYTES) + to_micros(expires_at).to_bytes(8, "big")
        sealed = body + await self._seal(body, raw)
        return Challenge(sealed.hex(), self._settings.public_url, expires_at)

    async def verify_answer(self, public_key: str, challenge: str, signature: str) -> User:
        """The user who proved to have a key; raises AccessDenied("bad-credentials").

        A challenge is good for one login.
        """
        raw = parse_public_key(public_key)
        sealed = _from_hex(challenge, "challenge")
        body, seal = sealed[:-_SEAL_BYTES], sealed[-_SEAL_BYTES:]
        if len(body) != _NONCE_BYTES + 8 or not hmac.compare_digest(seal, await self._seal(body, raw)):
            raise _refused("the challenge is not one of this hub for this key")
        now = self._clock()
        expires_at = from_micros(int.from_bytes(body[_NONCE_BYTES:], "big"))
        if expires_at <= now:
            raise _refused("the challenge has expired")
        try:
            message = challenge_message(self._settings.public_url, challenge)
            Ed25519PublicKey.from_public_bytes(raw).verify(_from_hex(signature, "signature"), message)
        except (InvalidSignature, ValueError):
            raise _refused("the signature does not fit the key and the challenge") from None
        async with self._database.transaction("use challenge") as conn:
            if not await queries.use_challenge(conn, body[:_NONCE_BYTES], expires_at, now):
                raise _refused("the challenge was used before")
            row = await queries.find_user_by_key(conn, raw)
        if row is None or row["disabled_at"] is not None:
            raise _refused("no user of this hub has that key")
        return to_user(row)

    async def _seal(self, body: bytes, public_key: bytes) -> bytes:
        secret = await get_secret(self._database, "key-login", self._clock())
        return hmac.digest(secret, body + public_key, hashlib.sha256)


def challenge_message(hub: str, challenge: str) -> bytes:
    """The bytes that a client signs: bound to the hub's address, so that no other hub can use them."""
    return _MESSAGE_HEADER + hub.encode() + b"\n" + challenge.encode()


def parse_public_key(text: str) -> bytes:
    """The 32 bytes of a key given as 64 hex digits or as base64, with or without `ed25519:`."""
    body = text.strip().removeprefix("ed25519:")
    for decode in (bytes.fromhex, lambda value: base64.b64decode(value, validate=True)):
        try:
            raw = decode(body)
        except (ValueError, binascii.Error):
            continue
        if len(raw) == 32:
            return raw
    raise UsageError(
        "bad-arguments",
        "this is not an Ed25519 public key",
        hint="give 64 hex digits, as `muse auth keygen` shows",
    )


def _from_hex(text: str, what: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise UsageError("bad-arguments", f"the {what} is not hexadecimal") from None


def _to_key(row: sa.RowMapping) -> Key:
    return Key(row["id"], bytes(row["public_key"]).hex(), row["label"], row["created_at"])


def _refused(why: str) -> AccessDenied:
    return AccessDenied("bad-credentials", why, hint="run `muse auth login` again")
