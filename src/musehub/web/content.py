"""What a file is, judged by its name; and how a browser may be given its bytes."""

from __future__ import annotations

import posixpath
from urllib.parse import quote

from musehub.web.markdown import MARKDOWN_NAMES

_PICTURES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".ico": "image/x-icon",
    ".svg": "image/svg+xml",
}
_README_ENDINGS = (*MARKDOWN_NAMES, "", ".txt", ".rst", ".adoc", ".org")
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
LOOK_BYTES = 8000
"""Of so many first bytes is said whether a file is a text."""


def picture_type(path: str) -> str | None:
    """The media type of a picture that browsers show, None for anything else."""
    return _PICTURES.get(posixpath.splitext(path.lower())[1])


def raw_type(path: str, beginning: bytes) -> str:
    """The media type under which a file may be sent and nothing of it is run: never HTML or a script."""
    return picture_type(path) or (BYTES if b"\0" in beginning[:LOOK_BYTES] else TEXT)


def raw_headers(path: str) -> dict[str, str]:
    """Headers that keep a file of a stranger from acting as a page of this hub."""
    name = posixpath.basename(path)
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in name)
    return {
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "content-disposition": f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
    }


def choose_readme(names: list[str]) -> str | None:
    """The name of the file that introduces a folder, if it has one; Markdown before other forms."""
    ranked = []
    for name in names:
        stem, ending = posixpath.splitext(name.lower())
        if stem == "readme" and ending in _README_ENDINGS:
            ranked.append((_README_ENDINGS.index(ending), name))
    return min(ranked)[1] if ranked else None
