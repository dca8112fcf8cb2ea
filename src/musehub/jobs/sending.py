"""One HTTP POST to an address that somebody else chose: it reaches no network that it should not.

The name is resolved once, every address is judged, and the connection goes to the address that was judged: a
name server that answers differently the second time gains nothing. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import socket
import ssl
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from muse.errors import UsageError

MAX_RESPONSE_BYTES = 64 << 10
"""Read so much of an answer at most."""
KEPT_CHARACTERS = 2_000
"""Keep so much of it."""
_NAT64 = IPv6Network("64:ff9b::/96")

Network = IPv4Network | IPv6Network


class Answer(NamedTuple):
    status: int
    beginning: str


class SendFailed(Exception):
    """No answer; trying again may help."""


class Refused(Exception):
    """The address may not be reached; trying again does not help."""


class Target(NamedTuple):
    """A URL that was understood."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return host if self.port == default else f"{host}:{self.port}"


def parse_target(url: str) -> Target:
    """Raises UsageError("bad-arguments") for what no webhook can be sent to."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        url.encode("ascii")
    except ValueError:
        raise _bad_url("it is not a URL in ASCII") from None
    if parts.scheme not in ("http", "https") or not host:
        raise _bad_url("it must begin with http:// or https:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise _bad_url("it must not hold a name or password")
    if any(ord(character) <= 32 or ord(character) == 127 for character in url):
        raise _bad_url("it holds a space or a control character")
    path = parts.path or "/"
    if parts.query:
        path += f"?{parts.query}"
    return Target(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), path)


def _bad_url(why: str) -> UsageError:
    return UsageError("bad-arguments", f"a webhook cannot be sent to this URL: {why}")


def parse_networks(text: str) -> list[Network]:
    """The comma-separated networks of a setting."""
    try:
        return [ip_network(part.strip()) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise UsageError("bad-setting", f'setting "webhook_allowed_networks": {error}') from None


def may_reach(address: str, allowed: Sequence[Network]) -> bool:
    """Whether an address is in the public internet, or in a network that the operator allows."""
    ip = ip_address(address.partition("%")[0])
    if any(ip in network for network in allowed):
        return True
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ip_address(int(ip) & 0xFFFFFFFF)  # type: ignore[assignment]
        if inner is not None:
            return may_reach(str(inner), allowed)
    return ip.is_global and not ip.is_multicast


async def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout_s: float,
    allowed: Sequence[Network] = (),
) -> Answer:
    """Send it and read the beginning of the answer, all within `timeout_s`; raises SendFailed, Refused."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _post(parse_target(url), body, headers, allowed)
    except TimeoutError:
        raise SendFailed(f"no answer within {timeout_s:g} s") from None
    except UsageError as error:
        raise Refused(error.message) from None
    except ssl.SSLError as error:
        raise SendFailed(f"no secure connection: {error.reason or error}") from None
    except OSError as error:
        raise SendFailed(f"no connection: {error.strerror or type(error).__name__}") from None


async def _post(
    target: Target, body: bytes, headers: Mapping[str, str], allowed: Sequence[Network]
) -> Answer:
    address = await _resolve(target, allowed)
    secure: dict[str, Any] = {}
    if target.scheme == "https":
        secure = {
            "ssl": await asyncio.to_thread(ssl.create_default_context),
            "server_hostname": target.host,
        }
    reader, writer = await asyncio.open_connection(address, target.port, **secure)
    try:
        lines = [f"POST {target.path} HTTP/1.1", f"Host: {target.authority}", "Connection: close"]
        lines += [f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join((*lines, "", "")).encode("ascii") + body)
        await writer.drain()
        return await _read_answer(reader)
    finally:
        writer.close()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(writer.wait_closed(), 1)


async def _resolve(target: Target, allowed: Sequence[Network]) -> str:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise SendFailed(f'the name "{target.host}" has no address') from None
    addresses = [str(item[4][0]) for item in found]
    for address in addresses:
        if not may_reach(address, allowed):
            raise Refused(f'"{target.host}" is at {address}, which webhooks may not reach')
    return addresses[0]


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read until the end, the limit, or the time-out of the caller once the status is there."""
    received = bytearray()
    length: int | None = None
    try:
        while len(received) < MAX_RESPONSE_BYTES:
            data = await reader.read(8192)
            if not data:
                break
            received += data
            head, end, rest = received.partition(b"\r\n\r\n")
            if end:
                length = _content_length(bytes(head)) if length is None else length
                if length is not None and len(rest) >= length:
                    break
    except (asyncio.CancelledError, OSError):
        if b"\r\n\r\n" not in received:
            raise
    return _parse_answer(bytes(received))


def _content_length(head: bytes) -> int | None:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value.strip())
    return None


class _Received:
    """Bytes, in the form in which the parser of the standard library takes them."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def makefile(self, *_arguments: Any) -> io.BytesIO:
        return self._file


def _parse_answer(data: bytes) -> Answer:
    response = http.client.HTTPResponse(_Received(data), method="POST")  # type: ignore[arg-type]
    try:
        response.begin()
    except (http.client.HTTPException, ValueError):
        raise SendFailed("the answer is not HTTP") from None
    try:
        content = response.read()
    except http.client.IncompleteRead as error:
        content = error.partial
    except (http.client.HTTPException, ValueError):
        content = b""
    text = content.decode("utf-8", "replace").replace("\0", "\ufffd")
    return Answer(response.status, text[:KEPT_CHARACTERS])
