"""Canonical JSON for commits and tags (docs/formats/objects.md, "Commits and tags").

One value has one encoding: keys sorted by code point, no white space, no escapes but the necessary ones,
UTF-8, integers only. A decoder re-encodes and compares, so nothing else is ever accepted.
"""

from __future__ import annotations

import json
from typing import Any

from muse.errors import InvalidData


def encode_canonical(type_line: bytes, value: dict[str, Any]) -> bytes:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    try:
        return type_line + text.encode()
    except UnicodeEncodeError:
        raise InvalidData("bad-object", "text in a commit or tag is not valid Unicode") from None


def decode_canonical(type_line: bytes, data: bytes) -> dict[str, Any]:
    """Decode; raises `bad-object` unless `data` is exactly what `encode_canonical` would write."""
    try:
        value = json.loads(data[len(type_line) :].decode())
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or encode_canonical(type_line, value) != data:
        raise InvalidData("bad-object", f"not a canonical {type_line.decode().strip()} object")
    return value
