"""From which address a request comes, for limits and logs."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

IPV6_PREFIX = 64
"""Who has one address of such a network has them all."""


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


def limit_subject(address: str) -> str:
    """By what failed logins from an address are counted: IPv4 as it is, IPv6 by its network."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, IPV6_PREFIX), strict=False))
    return str(parsed)


def find_header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """The first header of that lower-case name in an ASGI scope."""
    for key, value in headers:
        if key.lower() == name:
            return value.decode("latin-1")
    return None
