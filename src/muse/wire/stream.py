"""The messages that every stream of frames has: how far it is, and its end (docs/formats/wire.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from muse.objects.ids import ID_BYTES
from muse.wire.fields import Fields


class Progress(NamedTuple):
    """P: how far the hub is; `total` is None where it cannot know."""

    phase: str
    done: int
    total: int | None
    unit: str = "objects"

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


def parse_progress(data: dict[str, Any]) -> Progress:
    fields = Fields("progress", data)
    total = fields.number("total") if fields.has("total") else None
    return Progress(fields.text("phase"), fields.number("done"), total, fields.text("unit", "objects"))


class End(NamedTuple):
    """E of either direction: records by frame type letter, and the hash of all frame bytes before."""

    counts: Mapping[str, int]
    sha256: bytes

    def to_json(self) -> dict[str, Any]:
        return {"counts": dict(self.counts), "sha256": self.sha256.hex()}


def parse_end(data: dict[str, Any]) -> End:
    fields = Fields("the end of a stream", data)
    return End(fields.counts("counts"), fields.raw_bytes("sha256", ID_BYTES))
