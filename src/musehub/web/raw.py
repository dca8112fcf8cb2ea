"""The bytes of files, whole or in part, for programs and for pictures on pages."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Stream

from muse.objects.tree import DIRECTORY, SUBMODULE
from musehub.repos.files import measure_file, open_file
from musehub.web.content import LOOK_BYTES, raw_headers, raw_type
from musehub.web.files import locate, unknown_path
from musehub.web.given import GivenBrowser
from musehub.web.page import AnyRequest

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Part(NamedTuple):
    """The bytes `start` to `end` of a file; none if they are equal."""

    start: int
    end: int


@get("/{owner:str}/{name:str}/raw/{rest:path}")
async def send_raw(request: AnyRequest, rest: FromPath[Path], browser: GivenBrowser) -> Response[Any]:
    """The bytes of a file, streamed, under a type that no browser runs; or one range of them."""
    _revision, path, entry = await locate(browser, rest)
    if entry is None or entry.kind in (DIRECTORY, SUBMODULE):
        raise unknown_path(path)
    etag = f'"{entry.kind}-{entry.id.hex()}"'
    headers = {
        "etag": etag,
        "cache-control": "private, no-cache",
        "vary": "cookie",
        "accept-ranges": "bytes",
        **raw_headers(path),
    }
    if matches(request.headers.get("if-none-match", ""), etag):
        return Response(b"", status_code=304, headers=headers)
    size_bytes = await measure_file(browser.reader, entry)
    part = None
    if request.headers.get("if-range", etag) == etag:
        part = find_part(request.headers.get("range", ""), size_bytes)
    if part is not None and part.start >= part.end:
        return Response(b"", status_code=416, headers={**headers, "content-range": f"bytes */{size_bytes}"})
    # Read before the answer begins, so that what cannot be read is an error and not half a file.
    beginning = await anext(open_file(browser.reader, entry, 0, LOOK_BYTES), b"")
    start, end = part or Part(0, size_bytes)
    headers |= {"content-type": raw_type(path, beginning), "content-length": str(end - start)}
    if part is not None:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size_bytes}"
    pieces = open_file(browser.reader, entry, start, end)
    first = await anext(pieces, b"")

    async def body() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return Stream(body(), status_code=206 if part is not None else 200, headers=headers)


def matches(if_none_match: str, etag: str) -> bool:
    """Whether a client's If-None-Match says that it has what this tag names."""
    known = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in known or known == ["*"]


def find_part(header: str, size_bytes: int) -> Part | None:
    """What a Range header asks for; None, which is all, where it makes no sense or asks for several."""
    found = _RANGE.fullmatch(header.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return Part(max(0, size_bytes - int(last)), size_bytes)
    end = min(int(last) + 1, size_bytes) if last else size_bytes
    if last and int(last) < int(first):
        return None
    return Part(min(int(first), size_bytes), end)
