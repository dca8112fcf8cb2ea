"""Takes typed members out of received JSON.

Whatever is wrong with one is `bad-frame`. Members that nobody asks for are ignored.
"""

from __future__ import annotations

from typing import Any

from muse.errors import InvalidData, UsageError
from muse.objects.ids import ID_BYTES, KINDS_BY_WORD, Kind
from muse.wire.frames import PROTOCOL

MAX_SIZE_BYTES = 1 << 53
MAX_TEXT = 65_536


class Fields:
    """Takes typed members out of a received JSON object; anything missing or wrong is `bad-frame`."""

    def __init__(self, what: str, data: object) -> None:
        if not isinstance(data, dict):
            raise InvalidData("bad-frame", f"{what} is not a JSON object")
        self._what = what
        self._data: dict[str, Any] = data

    def wrong(self, name: str) -> InvalidData:
        return InvalidData("bad-frame", f'{self._what} has no valid "{name}"')

    def check_protocol(self) -> None:
        """Raise `unsupported-version` unless the other side speaks this protocol."""
        version = self._data.get("protocol")
        if version != PROTOCOL:
            raise UsageError(
                "unsupported-version",
                f"the other side speaks version {version!r} of the protocol, this one {PROTOCOL}",
                hint="update the older of client and hub",
                details={"supported": [PROTOCOL]},
            )

    def has(self, name: str) -> bool:
        return self._data.get(name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        value = self._data.get(name, default)
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise self.wrong(name)
        return value

    def flag(self, name: str, default: bool | None = None) -> bool:
        value = self._data.get(name, default)
        if not isinstance(value, bool):
            raise self.wrong(name)
        return value

    def number(self, name: str, default: int | None = None) -> int:
        """A count or a size: not negative, below 2^53."""
        value = self._data.get(name, default)
        if type(value) is not int or not 0 <= value < MAX_SIZE_BYTES:
            raise self.wrong(name)
        return value

    def raw_bytes(self, name: str, size_bytes: int) -> bytes:
        return self.from_hex(name, self._data.get(name), size_bytes)

    def from_hex(self, name: str, value: object, size_bytes: int) -> bytes:
        if isinstance(value, str) and len(value) == 2 * size_bytes:
            try:
                return bytes.fromhex(value)
            except ValueError:
                pass
        raise self.wrong(name)

    def optional_id(self, name: str) -> bytes | None:
        return self.raw_bytes(name, ID_BYTES) if self.has(name) else None

    def kind(self, name: str, default: str | None = None) -> Kind:
        kind = KINDS_BY_WORD.get(self.text(name, default))
        if kind is None:
            raise self.wrong(name)
        return kind

    def items(self, name: str, max_items: int) -> list[Any]:
        value = self._data.get(name)
        if not isinstance(value, list) or len(value) > max_items:
            raise self.wrong(name)
        return value

    def seconds(self, name: str, default: float) -> float:
        value = self._data.get(name, default)
        if type(value) not in (int, float) or not 0 < value < 1e9:
            raise self.wrong(name)
        return float(value)

    def counts(self, name: str) -> dict[str, int]:
        """A mapping of names to counts."""
        inner = Fields(name, self.mapping(name))
        return {key: inner.number(key) for key in self.mapping(name)}

    def mapping(self, name: str) -> dict[str, Any]:
        value = self._data.get(name)
        if not isinstance(value, dict):
            raise self.wrong(name)
        return value
