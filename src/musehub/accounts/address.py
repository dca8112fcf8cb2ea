"""From which address a request comes, for limits and logs."""

from __future__ import annotations

from collections.abc import Iterable


def find_client_address(peer: str | None, forwarded_for: str | None, trusted_proxies: str) -> str:
    """The address of the client: the peer's, or what trusted proxies say of it.

    `forwarded_for` is the X-Forwarded-For header; it is read from the right, as far as the proxies
    that wrote it are trusted, because everything further left was sent by the client itself.
    """
    address = peer or "unknown"
    trusted = {part.strip() for part in trusted_proxies.split(",") if part.strip()}
    hops = [part.strip() for part in (forwarded_for or "").split(",") if part.strip()]
    while address in trusted and hops:
        address = hops.pop()
    return address


def find_header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """The first header of that lower-case name in an ASGI scope."""
    for key, value in headers:
        if key.lower() == name:
            return value.decode("latin-1")
    return None
