"""Refs and limits: what a hub says of a repository (docs/formats/wire.md, "Refs")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from muse.objects.ids import ID_BYTES, Kind
from muse.wire.fields import Fields
from muse.wire.frames import PROTOCOL
from muse.wire.refnames import check_ref_name


class Ref(NamedTuple):
    """What a ref points at."""

    target: bytes
    kind: Kind = Kind.COMMIT

    def to_json(self) -> dict[str, Any]:
        return {"target": self.target.hex(), "kind": self.kind.word}


def refs_to_json(refs: Mapping[str, Ref] | Mapping[str, Ref | None]) -> dict[str, Any]:
    return {name: ref.to_json() if ref else None for name, ref in refs.items()}


def parse_ref(data: object) -> Ref:
    fields = Fields("a ref", data)
    return Ref(fields.raw_bytes("target", ID_BYTES), fields.kind("kind"))


def parse_refs(data: Mapping[str, Any]) -> dict[str, Ref]:
    """Parse a mapping of names to refs; names are checked (`bad-name`)."""
    for name in data:
        check_ref_name(name)
    return {name: parse_ref(value) for name, value in data.items()}


def parse_optional_refs(data: Mapping[str, Any]) -> dict[str, Ref | None]:
    """As `parse_refs`, where null stands for a ref that is not there (R, and `details` of `stale-head`)."""
    for name in data:
        check_ref_name(name)
    return {name: parse_ref(value) if value is not None else None for name, value in data.items()}


class Limits(NamedTuple):
    """What a hub accepts and when it wants packs; the defaults hold for a hub never met before."""

    stream_max_objects: int = 500
    stream_max_size_bytes: int = 50_000_000
    pack_max_bytes: int = 64 << 20
    frame_max_bytes: int = 16 << 20
    object_max_bytes: int = 16 << 20
    heartbeat_s: float = 10.0

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


def parse_limits(data: object) -> Limits:
    fields = Fields("limits", data)
    return Limits(
        fields.number("stream_max_objects"),
        fields.number("stream_max_size_bytes"),
        fields.number("pack_max_bytes"),
        fields.number("frame_max_bytes"),
        fields.number("object_max_bytes"),
        fields.seconds("heartbeat_s", Limits().heartbeat_s),
    )


class RefsAnswer(NamedTuple):
    """The answer to `refs`: what a repository has, and what its hub accepts."""

    repository: str
    default_branch: str
    refs: dict[str, Ref]
    limits: Limits
    visibility: str = "private"
    may_write: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "protocol": PROTOCOL,
            "repository": self.repository,
            "visibility": self.visibility,
            "default_branch": self.default_branch,
            "refs": refs_to_json(self.refs),
            "may_write": self.may_write,
            "limits": self.limits.to_json(),
        }


def parse_refs_answer(data: dict[str, Any]) -> RefsAnswer:
    fields = Fields("the list of refs", data)
    fields.check_protocol()
    return RefsAnswer(
        repository=fields.text("repository"),
        default_branch=fields.text("default_branch"),
        refs=parse_refs(fields.mapping("refs")),
        limits=parse_limits(data.get("limits")),
        visibility=fields.text("visibility", "private"),
        may_write=fields.flag("may_write", False),
    )
