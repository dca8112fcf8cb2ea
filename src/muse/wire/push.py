"""The messages of a push: its header, which refs it moves, and the receipt (docs/formats/wire.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from muse.objects.ids import Kind
from muse.wire.fields import Fields
from muse.wire.frames import PROTOCOL
from muse.wire.refnames import check_ref_name
from muse.wire.refs import Limits, Ref, parse_limits, parse_optional_refs, refs_to_json

PUSH_ID_BYTES = 16
MAX_UPDATES = 10_000


class RefUpdate(NamedTuple):
    """Move a ref from `old` to `new`; None means absent. `force` allows more than fast-forwards."""

    name: str
    old: bytes | None
    new: bytes | None
    kind: Kind = Kind.COMMIT
    force: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "old": _hex(self.old),
            "new": _hex(self.new),
            "kind": self.kind.word,
            "force": self.force,
        }


def _hex(value: bytes | None) -> str | None:
    return value.hex() if value is not None else None


def _parse_update(data: object) -> RefUpdate:
    fields = Fields("an update", data)
    update = RefUpdate(
        name=fields.text("name"),
        old=fields.optional_id("old"),
        new=fields.optional_id("new"),
        kind=fields.kind("kind", "commit"),
        force=fields.flag("force", False),
    )
    check_ref_name(update.name)
    if update.name.startswith("heads/") and update.kind is not Kind.COMMIT:
        raise fields.wrong("kind")
    return update


def _parse_updates(fields: Fields) -> list[RefUpdate]:
    updates = [_parse_update(item) for item in fields.items("updates", MAX_UPDATES)]
    if len({update.name for update in updates}) != len(updates):
        raise fields.wrong("updates")
    return updates


class Create(NamedTuple):
    """Permission to create the repository; `visibility` None means the hub's default, private."""

    visibility: str | None = None
    default_branch: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"visibility": self.visibility, "default_branch": self.default_branch}


def parse_create(fields: Fields) -> Create | None:
    if not fields.has("create"):
        return None
    inner = Fields("create", fields.mapping("create"))
    visibility = inner.text("visibility") if inner.has("visibility") else None
    if visibility not in (None, "public", "private"):
        raise inner.wrong("visibility")
    branch = inner.text("default_branch") if inner.has("default_branch") else None
    if branch is not None:
        check_ref_name(f"heads/{branch}")
    return Create(visibility, branch)


class PushHeader(NamedTuple):
    """H of a push. `counts` by frame type and `size_bytes` of the blobs let the hub refuse what has no room.

    `checked` says that the client has asked what is missing of all that its refs reach. `more` makes it a
    part of a push: it has no updates, and further streams with the same push id follow.
    """

    push_id: bytes
    updates: list[RefUpdate]
    create: Create | None = None
    client: str = ""
    counts: Mapping[str, int] = {}
    size_bytes: int = 0
    checked: bool = False
    more: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "protocol": PROTOCOL,
            "push_id": self.push_id.hex(),
            "client": self.client,
            "create": self.create.to_json() if self.create else None,
            "updates": [update.to_json() for update in self.updates],
            "counts": dict(self.counts),
            "size_bytes": self.size_bytes,
            "checked": self.checked,
            "more": self.more,
        }


def parse_push_header(data: dict[str, Any]) -> PushHeader:
    fields = Fields("the header of a push", data)
    fields.check_protocol()
    updates = _parse_updates(fields)
    more = fields.flag("more", False)
    if bool(updates) is more:
        raise fields.wrong("updates")
    return PushHeader(
        push_id=fields.raw_bytes("push_id", PUSH_ID_BYTES),
        updates=updates,
        create=parse_create(fields),
        client=fields.text("client", "")[:200],
        counts=fields.counts("counts") if fields.has("counts") else {},
        size_bytes=fields.number("size_bytes", 0),
        checked=fields.flag("checked", False),
        more=more,
    )


class PushResult(NamedTuple):
    """R of a push: the receipt. `refs` are the new values of the updated refs, None for deleted ones."""

    push_id: bytes
    repository: str
    created: bool
    up_to_date: bool
    finished_at: str
    updates: list[RefUpdate]
    refs: dict[str, Ref | None]
    counts: dict[str, int]
    limits: Limits
    timeline: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {
            "push_id": self.push_id.hex(),
            "repository": self.repository,
            "created": self.created,
            "up_to_date": self.up_to_date,
            "finished_at": self.finished_at,
            "updates": [update.to_json() for update in self.updates],
            "refs": refs_to_json(self.refs),
            "counts": self.counts,
            "limits": self.limits.to_json(),
            "timeline": self.timeline,
        }


def parse_push_result(data: dict[str, Any]) -> PushResult:
    fields = Fields("the result of a push", data)
    return PushResult(
        push_id=fields.raw_bytes("push_id", PUSH_ID_BYTES),
        repository=fields.text("repository"),
        created=fields.flag("created"),
        up_to_date=fields.flag("up_to_date"),
        finished_at=fields.text("finished_at"),
        updates=_parse_updates(fields),
        refs=parse_optional_refs(fields.mapping("refs")),
        counts=fields.counts("counts"),
        limits=parse_limits(data.get("limits")),
        timeline=fields.mapping("timeline"),
    )


class PartResult(NamedTuple):
    """R of a part of a push; `counts` are those of this part."""

    push_id: bytes
    repository: str
    created: bool
    counts: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        return self._asdict() | {"push_id": self.push_id.hex(), "more": True}


def parse_part_result(data: dict[str, Any]) -> PartResult | PushResult:
    """Parse R of a part of a push; it is the receipt of the whole if that has landed before."""
    fields = Fields("the result of a part", data)
    if not fields.flag("more", False):
        return parse_push_result(data)
    return PartResult(
        push_id=fields.raw_bytes("push_id", PUSH_ID_BYTES),
        repository=fields.text("repository"),
        created=fields.flag("created"),
        counts=fields.counts("counts"),
    )
