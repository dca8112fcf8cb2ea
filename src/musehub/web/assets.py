"""The style sheet and the icon."""

from __future__ import annotations

from litestar import Response, get
from litestar.params import FromPath

from muse.errors import NotFound
from musehub.web.page import ICON_NAME, SECURITY_HEADERS, STYLE_NAME, static_file

_TYPES = {STYLE_NAME: "text/css", ICON_NAME: "image/svg+xml"}
# Pages name these files with the hash of their content behind a question mark.
_HEADERS = {**SECURITY_HEADERS, "cache-control": "public, max-age=31536000, immutable"}


@get("/static/{file_name:str}", sync_to_thread=False)
def static(file_name: FromPath[str]) -> Response[bytes]:
    """One of the files that pages name."""
    if file_name not in _TYPES:
        raise NotFound("page-not-found", "there is nothing at this address")
    return Response(static_file(file_name), media_type=_TYPES[file_name], headers=_HEADERS)
