"""Received messages, validated (docs/formats/wire.md).

Whatever is wrong with one is `bad-frame`, another protocol version `unsupported-version`. Unknown members are
ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from muse.errors import InvalidData
from muse.objects.ids import ID_BYTES, Kind
from muse.wire.fields import Fields
from muse.wire.messages import (
    MAX_MISSING_IDS,
    MAX_PARTS,
    MAX_UPDATES,
    MAX_WANTS,
    PUSH_ID_BYTES,
    ConfirmRequest,
    ConfirmResult,
    Create,
    End,
    FetchHeader,
    FetchRequest,
    Limits,
    Multipart,
    PackAddress,
    PartRequest,
    PartResult,
    PresignAnswer,
    PresignRequest,
    Progress,
    PushHeader,
    PushResult,
    Ref,
    RefsAnswer,
    RefUpdate,
    SignedRequest,
)
from muse.wire.refnames import check_ref_name

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t -~\xa0-\xff]*")
_ADDRESS = re.compile(r"[!-~\xa1-\xff]+")
_FRAMING = frozenset(("connection", "host", "te", "trailer", "transfer-encoding", "upgrade"))
"""Headers that say where a request ends and to whom it goes: the client's own business."""


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


def _parse_create(fields: Fields) -> Create | None:
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


def _parse_counts(fields: Fields, required: bool) -> dict[str, int]:
    if not required and not fields.has("counts"):
        return {}
    inner = Fields("counts", fields.mapping("counts"))
    return {name: inner.number(name) for name in fields.mapping("counts")}


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
        create=_parse_create(fields),
        client=fields.text("client", "")[:200],
        counts=_parse_counts(fields, required=False),
        size_bytes=fields.number("size_bytes", 0),
        checked=fields.flag("checked", False),
        more=more,
    )


def parse_end(data: dict[str, Any]) -> End:
    fields = Fields("the end of a stream", data)
    return End(_parse_counts(fields, required=True), fields.raw_bytes("sha256", ID_BYTES))


def parse_progress(data: dict[str, Any]) -> Progress:
    fields = Fields("progress", data)
    total = fields.number("total") if fields.has("total") else None
    return Progress(fields.text("phase"), fields.number("done"), total, fields.text("unit", "objects"))


def parse_presign_request(data: object) -> PresignRequest:
    fields = Fields("the request", data)
    fields.check_protocol()
    return PresignRequest(
        push_id=fields.raw_bytes("push_id", PUSH_ID_BYTES),
        digest=fields.raw_bytes("digest", ID_BYTES),
        size_bytes=fields.number("size_bytes"),
        create=_parse_create(fields),
    )


def _parse_signed_request(fields: Fields) -> SignedRequest:
    """What may be sent to whomever a hub names, and nothing that would become another request there."""
    headers = fields.mapping("headers")
    # The client counts for itself.
    headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
    for name, value in headers.items():
        fits = isinstance(value, str) and _HEADER.fullmatch(f"{name}: {value}")
        if not fits or name.lower() in _FRAMING:
            raise fields.wrong("headers")
    if fields.text("method") not in ("GET", "PUT"):
        raise fields.wrong("method")
    if not _ADDRESS.fullmatch(fields.text("url")):
        raise fields.wrong("url")
    return SignedRequest(fields.text("method"), fields.text("url"), headers, fields.text("expires_at"))


def parse_presign_answer(data: object) -> PresignAnswer:
    fields = Fields("the answer to presign", data)
    stored, uploaded = fields.flag("stored"), fields.flag("uploaded")
    if stored or uploaded:
        return PresignAnswer(stored, uploaded, None)
    if fields.has("multipart"):
        return PresignAnswer(False, False, None, _parse_multipart(fields.mapping("multipart")))
    return PresignAnswer(False, False, _parse_signed_request(fields))


def _parse_multipart(data: dict[str, Any]) -> Multipart:
    fields = Fields("an upload in parts", data)
    size = fields.number("part_size_bytes")
    stored = fields.items("stored", MAX_PARTS)
    if not size or not all(type(number) is int for number in stored):
        raise fields.wrong("part_size_bytes")
    return Multipart(fields.text("upload"), size, stored)


def parse_part_request(data: object) -> PartRequest:
    fields = Fields("the request", data)
    fields.check_protocol()
    return PartRequest(
        push_id=fields.raw_bytes("push_id", PUSH_ID_BYTES),
        digest=fields.raw_bytes("digest", ID_BYTES),
        size_bytes=fields.number("size_bytes"),
        upload=fields.text("upload"),
        number=fields.number("number"),
        sha256=fields.raw_bytes("sha256", ID_BYTES),
    )


def parse_signed_request(data: object) -> SignedRequest:
    return _parse_signed_request(Fields("the answer", data))


def parse_confirm_request(data: object) -> ConfirmRequest:
    fields = Fields("the request", data)
    fields.check_protocol()
    upload = fields.text("upload") if fields.has("upload") else None
    parts = fields.items("parts", MAX_PARTS) if upload is not None else []
    return ConfirmRequest(
        push_id=fields.raw_bytes("push_id", PUSH_ID_BYTES),
        digest=fields.raw_bytes("digest", ID_BYTES),
        size_bytes=fields.number("size_bytes"),
        upload=upload,
        parts=[fields.from_hex("parts", part, ID_BYTES) for part in parts],
    )


def parse_confirm_result(data: dict[str, Any]) -> ConfirmResult:
    fields = Fields("the answer to confirm", data)
    return ConfirmResult(
        digest=fields.raw_bytes("digest", ID_BYTES),
        objects=fields.number("objects"),
        size_bytes=fields.number("size_bytes"),
        raw_bytes=fields.number("raw_bytes"),
        stored=fields.flag("stored"),
    )


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
        counts=_parse_counts(fields, required=True),
        limits=parse_limits(data.get("limits")),
        timeline=fields.mapping("timeline"),
    )


def parse_part_result(data: dict[str, Any]) -> PartResult | PushResult:
    """Parse R of a part of a push; it is the receipt of the whole if that has landed before."""
    fields = Fields("the result of a part", data)
    if not fields.flag("more", False):
        return parse_push_result(data)
    return PartResult(
        push_id=fields.raw_bytes("push_id", PUSH_ID_BYTES),
        repository=fields.text("repository"),
        created=fields.flag("created"),
        counts=_parse_counts(fields, required=True),
    )


def parse_fetch_request(data: object) -> FetchRequest:
    fields = Fields("the request", data)
    fields.check_protocol()
    wants = None
    if fields.has("wants"):
        wants = fields.items("wants", MAX_WANTS)
        if not all(isinstance(want, str) for want in wants):
            raise fields.wrong("wants")
    haves = [fields.from_hex("haves", have, ID_BYTES) for have in fields.items("haves", MAX_WANTS)]
    return FetchRequest(wants, haves, fields.flag("packs", True), fields.text("client", "")[:200])


def parse_fetch_header(data: dict[str, Any]) -> FetchHeader:
    fields = Fields("the header of a fetch", data)
    fields.check_protocol()
    return FetchHeader(
        repository=fields.text("repository"),
        default_branch=fields.text("default_branch"),
        refs=parse_refs(fields.mapping("refs")),
        limits=parse_limits(data.get("limits")),
    )


def parse_pack_addresses(data: dict[str, Any]) -> list[PackAddress]:
    """Parse a U frame or the answer of `fetch/presign`."""
    addresses = []
    for item in Fields("the list of packs", data).items("packs", 1_000_000):
        fields = Fields("a pack", item)
        addresses.append(
            PackAddress(
                digest=fields.raw_bytes("digest", ID_BYTES),
                size_bytes=fields.number("size_bytes"),
                objects=fields.number("objects"),
                request=_parse_signed_request(fields),
            )
        )
    return addresses


def parse_missing(body: bytes) -> tuple[Kind, list[bytes]]:
    count, rest = divmod(len(body) - 1, ID_BYTES)
    if not body or rest or not Kind.BLOB <= body[0] <= Kind.CHUNKS or count > MAX_MISSING_IDS:
        raise InvalidData("bad-frame", "not one kind byte and whole ids")
    return Kind(body[0]), split_ids(body[1:])


def split_ids(data: bytes) -> list[bytes]:
    """The ids in an answer of `push/missing`; raises `truncated`."""
    if len(data) % ID_BYTES:
        raise InvalidData("truncated", "the list of ids ends inside an id")
    return [data[i : i + ID_BYTES] for i in range(0, len(data), ID_BYTES)]
