"""Addresses of the embedded store, each with its own proof: one method, key, length and hash, for a time."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlencode

from muse.errors import AccessDenied
from muse.wire.uploads import SignedRequest

STORE_PATH = "/store/"


class Permit(NamedTuple):
    """What a valid address allows; length and hash are None for reading."""

    method: str
    key: str
    size_bytes: int | None
    sha256: bytes | None


class UrlSigner:
    """Signs and checks with a secret of the hub, which every process of a hub shares; asked for once.

    Addresses are relative to the hub's own.
    """

    def __init__(self, get_secret: Callable[[], Awaitable[bytes]]) -> None:
        self._get_secret = get_secret
        self._secret = b""

    async def sign(self, permit: Permit, ttl_s: int) -> SignedRequest:
        expires = int(time.time()) + ttl_s
        query = {"expires": str(expires)}
        if permit.size_bytes is not None and permit.sha256 is not None:
            query |= {"size": str(permit.size_bytes), "sha256": permit.sha256.hex()}
        query["signature"] = await self._signature(permit, expires)
        return SignedRequest(
            method=permit.method,
            url=f"{STORE_PATH}{permit.key}?{urlencode(query)}",
            headers={},
            expires_at=datetime.fromtimestamp(expires, UTC).isoformat(),
        )

    async def check(self, method: str, key: str, query: Mapping[str, str]) -> Permit:
        """Return what the address allows; raises `bad-upload-url`."""
        try:
            expires = int(query["expires"])
            signature = query["signature"]
            size = int(query["size"]) if "size" in query else None
            sha256 = bytes.fromhex(query["sha256"]) if "sha256" in query else None
        except (KeyError, ValueError):
            raise _bad("the address is not complete") from None
        permit = Permit(method, key, size, sha256)
        if not hmac.compare_digest(signature.encode(), (await self._signature(permit, expires)).encode()):
            raise _bad("the address was not issued by this hub")
        if expires < time.time():
            raise _bad("the address has expired")
        return permit

    async def _signature(self, permit: Permit, expires: int) -> str:
        if not self._secret:
            self._secret = await self._get_secret()
        sha256 = permit.sha256.hex() if permit.sha256 is not None else ""
        text = f"{permit.method}\n{permit.key}\n{permit.size_bytes}\n{sha256}\n{expires}"
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()


def _bad(reason: str) -> AccessDenied:
    return AccessDenied("bad-upload-url", reason, hint="ask for a new one", retry=True)
