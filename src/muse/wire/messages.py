"""The JSON messages of push and fetch, encoded and validated (docs/formats/wire.md).

Each message is a NamedTuple with `to_json` and a `parse_…` function; whatever is wrong with a received one is
`bad-frame`, another protocol version `unsupported-version`. Members that are not known are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from muse.errors import InvalidData
from muse.objects.ids import ID_BYTES, Kind
from muse.wire.fields import Fields
from muse.wire.frames import PROTOCOL
from muse.wire.refnames import check_ref_name

PUSH_ID_BYTES = 16
MAX_UPDATES = 10_000
MAX_WANTS = 10_000
MAX_MISSING_IDS = 1_000_000


def kind_name(kind: int) -> str:
    return Kind(kind).name.lower()


class Ref(NamedTuple):
    """What a ref points at."""

    target: bytes
    kind: Kind = Kind.COMMIT

    def to_json(self) -> dict[str, Any]:
        return {"target": self.target.hex(), "kind": kind_name(self.kind)}


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


class RefsAnswer(NamedTuple):
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
            "kind": kind_name(self.kind),
            "force": self.force,
        }


class Create(NamedTuple):
    """Permission to create the repository; `visibility` None means the hub's default, private."""

    visibility: str | None = None
    default_branch: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"visibility": self.visibility, "default_branch": self.default_branch}


class PushHeader(NamedTuple):
    """H of a push. `counts` by frame type are for progress only."""

    push_id: bytes
    updates: list[RefUpdate]
    create: Create | None = None
    client: str = ""
    counts: Mapping[str, int] = {}

    def to_json(self) -> dict[str, Any]:
        return {
            "protocol": PROTOCOL,
            "push_id": self.push_id.hex(),
            "client": self.client,
            "create": self.create.to_json() if self.create else None,
            "updates": [update.to_json() for update in self.updates],
            "counts": dict(self.counts),
        }


class End(NamedTuple):
    """E of either direction: records by frame type letter, and the hash of all frame bytes before."""

    counts: Mapping[str, int]
    sha256: bytes

    def to_json(self) -> dict[str, Any]:
        return {"counts": dict(self.counts), "sha256": self.sha256.hex()}


class Progress(NamedTuple):
    phase: str
    done: int
    total: int | None
    unit: str = "objects"

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


class PresignRequest(NamedTuple):
    push_id: bytes
    digest: bytes
    size_bytes: int
    create: Create | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "protocol": PROTOCOL,
            "push_id": self.push_id.hex(),
            "digest": self.digest.hex(),
            "size_bytes": self.size_bytes,
            "create": self.create.to_json() if self.create else None,
        }


class SignedRequest(NamedTuple):
    """An HTTP request that somebody else may make for a short time; `url` may begin with `/`."""

    method: str
    url: str
    headers: dict[str, str]
    expires_at: str

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


class PresignAnswer(NamedTuple):
    """`request` is None when the pack is recorded (`stored`) or need not be sent (`uploaded`)."""

    stored: bool
    uploaded: bool
    request: SignedRequest | None

    def to_json(self) -> dict[str, Any]:
        request = self.request.to_json() if self.request else {}
        return {"stored": self.stored, "uploaded": self.uploaded, **request}


class ConfirmRequest(NamedTuple):
    push_id: bytes
    digest: bytes
    size_bytes: int

    def to_json(self) -> dict[str, Any]:
        return {
            "protocol": PROTOCOL,
            "push_id": self.push_id.hex(),
            "digest": self.digest.hex(),
            "size_bytes": self.size_bytes,
        }


class ConfirmResult(NamedTuple):
    digest: bytes
    objects: int
    size_bytes: int
    raw_bytes: int
    stored: bool

    def to_json(self) -> dict[str, Any]:
        return self._asdict() | {"digest": self.digest.hex()}


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


class FetchRequest(NamedTuple):
    """`wants` are ref names or commit ids in hex; None means all refs. `packs` False: records only."""

    wants: list[str] | None
    haves: list[bytes]
    packs: bool = True
    client: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "protocol": PROTOCOL,
            "client": self.client,
            "wants": self.wants,
            "haves": [have.hex() for have in self.haves],
            "packs": self.packs,
        }


class FetchHeader(NamedTuple):
    """H of a fetch: all refs of the repository."""

    repository: str
    default_branch: str
    refs: dict[str, Ref]
    limits: Limits

    def to_json(self) -> dict[str, Any]:
        return {
            "protocol": PROTOCOL,
            "repository": self.repository,
            "default_branch": self.default_branch,
            "refs": refs_to_json(self.refs),
            "limits": self.limits.to_json(),
        }


class PackAddress(NamedTuple):
    """One pack of a U frame."""

    digest: bytes
    size_bytes: int
    objects: int
    request: SignedRequest

    def to_json(self) -> dict[str, Any]:
        return {
            "digest": self.digest.hex(),
            "size_bytes": self.size_bytes,
            "objects": self.objects,
            **self.request.to_json(),
        }


# ---- parsing


def _hex(value: bytes | None) -> str | None:
    return value.hex() if value is not None else None


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
    if not updates:
        raise fields.wrong("updates")
    return PushHeader(
        push_id=fields.raw_bytes("push_id", PUSH_ID_BYTES),
        updates=updates,
        create=_parse_create(fields),
        client=fields.text("client", "")[:200],
        counts=_parse_counts(fields, required=False),
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
    headers = fields.mapping("headers")
    if not all(isinstance(value, str) for value in headers.values()):
        raise fields.wrong("headers")
    return SignedRequest(fields.text("method"), fields.text("url"), headers, fields.text("expires_at"))


def parse_presign_answer(data: object) -> PresignAnswer:
    fields = Fields("the answer to presign", data)
    stored, uploaded = fields.flag("stored"), fields.flag("uploaded")
    request = None if stored or uploaded else _parse_signed_request(fields)
    return PresignAnswer(stored, uploaded, request)


def parse_confirm_request(data: object) -> ConfirmRequest:
    fields = Fields("the request", data)
    fields.check_protocol()
    return ConfirmRequest(
        push_id=fields.raw_bytes("push_id", PUSH_ID_BYTES),
        digest=fields.raw_bytes("digest", ID_BYTES),
        size_bytes=fields.number("size_bytes"),
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


def encode_missing(kind: Kind, ids: list[bytes]) -> bytes:
    """The body of `push/missing`."""
    return bytes((kind,)) + b"".join(ids)


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
