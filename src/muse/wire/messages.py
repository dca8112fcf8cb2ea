"""The JSON messages of push and fetch (docs/formats/wire.md).

Each message is a NamedTuple with `to_json`; `muse.wire.parsing` has a `parse_…` for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from muse.objects.ids import Kind
from muse.wire.frames import PROTOCOL

PUSH_ID_BYTES = 16
MAX_UPDATES = 10_000
MAX_WANTS = 10_000
MAX_MISSING_IDS = 65_536
"""Of one question: 2 MiB, and at either end a few times that."""
MAX_PARTS = 10_000


class Ref(NamedTuple):
    """What a ref points at."""

    target: bytes
    kind: Kind = Kind.COMMIT

    def to_json(self) -> dict[str, Any]:
        return {"target": self.target.hex(), "kind": self.kind.word}


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
            "kind": self.kind.word,
            "force": self.force,
        }


class Create(NamedTuple):
    """Permission to create the repository; `visibility` None means the hub's default, private."""

    visibility: str | None = None
    default_branch: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"visibility": self.visibility, "default_branch": self.default_branch}


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


class Multipart(NamedTuple):
    """A pack goes in parts of `part_size_bytes`, the last one of the rest; those of `stored` are there."""

    upload: str
    part_size_bytes: int
    stored: list[int]

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


class PresignAnswer(NamedTuple):
    """`request` is None when the pack is recorded (`stored`), need not be sent (`uploaded`) or goes in
    parts.
    """

    stored: bool
    uploaded: bool
    request: SignedRequest | None
    multipart: Multipart | None = None

    def to_json(self) -> dict[str, Any]:
        request = self.request.to_json() if self.request else {}
        multipart = {"multipart": self.multipart.to_json()} if self.multipart else {}
        return {"stored": self.stored, "uploaded": self.uploaded, **request, **multipart}


class PartRequest(NamedTuple):
    """Asks for an address for one part, numbered from 1, whose SHA-256 is `sha256`."""

    push_id: bytes
    digest: bytes
    size_bytes: int
    upload: str
    number: int
    sha256: bytes

    def to_json(self) -> dict[str, Any]:
        return {
            "protocol": PROTOCOL,
            "push_id": self.push_id.hex(),
            "digest": self.digest.hex(),
            "size_bytes": self.size_bytes,
            "upload": self.upload,
            "number": self.number,
            "sha256": self.sha256.hex(),
        }


class ConfirmRequest(NamedTuple):
    """`upload` and the SHA-256 of its `parts` where the pack was sent in parts."""

    push_id: bytes
    digest: bytes
    size_bytes: int
    upload: str | None = None
    parts: list[bytes] = []

    def to_json(self) -> dict[str, Any]:
        value = {
            "protocol": PROTOCOL,
            "push_id": self.push_id.hex(),
            "digest": self.digest.hex(),
            "size_bytes": self.size_bytes,
        }
        if self.upload is not None:
            value |= {"upload": self.upload, "parts": [part.hex() for part in self.parts]}
        return value


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


class PartResult(NamedTuple):
    """R of a part of a push; `counts` are those of this part."""

    push_id: bytes
    repository: str
    created: bool
    counts: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        return self._asdict() | {"push_id": self.push_id.hex(), "more": True}


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


def _hex(value: bytes | None) -> str | None:
    return value.hex() if value is not None else None


def refs_to_json(refs: Mapping[str, Ref] | Mapping[str, Ref | None]) -> dict[str, Any]:
    return {name: ref.to_json() if ref else None for name, ref in refs.items()}


def encode_missing(kind: Kind, ids: list[bytes]) -> bytes:
    """The body of `push/missing`."""
    return bytes((kind,)) + b"".join(ids)
