"""Addresses: of a hub (`http://host:port`) and of a repository on it (`http://host:port/owner/name`)."""

from __future__ import annotations

import re
from typing import NamedTuple

from muse.errors import UsageError

DEFAULT_PORTS = {"http": 80, "https": 443}
_URL = re.compile(
    r"(https?)://(\[[0-9A-Fa-f:.%]+\]|[^/?#\[\]@:\s]+)(?::([0-9]{1,5}))?(/[^?#\s]*)?(\?[^#\s]*)?"
)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


class Origin(NamedTuple):
    """Scheme, host (an IPv6 address without its brackets) and port: whom a connection is with."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"

    @property
    def netloc(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


class RepositoryUrl(NamedTuple):
    """Where a repository is; `str()` gives the canonical spelling."""

    origin: Origin
    owner: str
    name: str

    def __str__(self) -> str:
        return f"{self.origin}{self.path}"

    @property
    def path(self) -> str:
        return f"/{self.owner}/{self.name}"


def parse_url(url: str) -> tuple[Origin, str]:
    """Split an http(s) URL into its origin and the rest, which begins with `/`; raises `bad-arguments`."""
    match = _URL.fullmatch(url.strip())
    if match is None:
        raise UsageError("bad-arguments", f'"{url}" is not the address of a hub', hint=_explain(url))
    scheme, host, digits, path, query = match.groups()
    port = int(digits) if digits else DEFAULT_PORTS[scheme]
    if not 0 < port < 65536:
        raise UsageError("bad-arguments", f'"{url}" names a port that does not exist ({port})')
    return Origin(scheme, host.strip("[]").lower(), port), (path or "/") + (query or "")


def parse_hub_url(url: str) -> Origin:
    """Parse the address of a hub; a path behind it, as in the address of a repository, is ignored."""
    return parse_url(url)[0]


def parse_repository_url(url: str) -> RepositoryUrl:
    """Parse `http(s)://host[:port]/owner/name`; raises `bad-arguments` with what is wrong."""
    origin, path = parse_url(url)
    parts = path.strip("/").split("/")
    if len(parts) != 2 or not all(map(_NAME.fullmatch, parts)):
        raise UsageError(
            "bad-arguments",
            f'"{url}" is not the address of a repository',
            hint=f"write {origin}/OWNER/NAME",
        )
    return RepositoryUrl(origin, *parts)


def _explain(url: str) -> str:
    if "@" in url.partition("://")[2].partition("/")[0]:
        return "an address holds no user or password; log in with `muse auth login`"
    if url.startswith(("ssh:", "git:", "git@", "file:")):
        return "muse speaks http and https only; `muse git import` reads Git repositories"
    return "write http://HOST:PORT/OWNER/NAME or https://HOST/OWNER/NAME"
