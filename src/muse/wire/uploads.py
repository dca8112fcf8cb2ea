"""What goes before and after the upload of a pack: missing, presign, part, confirm (docs/formats/wire.md)."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from muse.errors import InvalidData
from muse.objects.ids import ID_BYTES, Kind, split_ids
from muse.wire.fields import Fields
from muse.wire.frames import PROTOCOL
from muse.wire.push import PUSH_ID_BYTES, Create, parse_create

MAX_MISSING_IDS = 65_536
"""Of one question: 2 MiB, and at either end a few times that."""
MAX_PARTS = 10_000

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t -~\xa0-\xff]*")
_ADDRESS = re.compile(r"[!-~\xa1-\xff]+")
_FRAMING = frozenset(("connection", "host", "te", "trailer", "transfer-encoding", "upgrade"))
"""Headers that say where a request ends and to whom it goes: the client's own business."""


def encode_missing(kind: Kind, ids: list[bytes]) -> bytes:
    """Encode the body of `push/missing`: one kind byte and the ids."""
    return bytes((kind,)) + b"".join(ids)


def parse_missing(body: bytes) -> tuple[Kind, list[bytes]]:
    """Parse the body of `push/missing`: the kind and ids to look for."""
    count, rest = divmod(len(body) - 1, ID_BYTES)
    if not body or rest or not Kind.BLOB <= body[0] <= Kind.CHUNKS or count > MAX_MISSING_IDS:
        raise InvalidData("bad-frame", "not one kind byte and whole ids")
    return Kind(body[0]), split_ids(body[1:])


def parse_missing_ids(body: bytes) -> list[bytes]:
    """Parse the answer to `push/missing`: the ids that the hub lacks; raises `truncated`."""
    if len(body) % ID_BYTES:
        raise InvalidData("truncated", "the list of ids ends inside an id")
    return split_ids(body)


class SignedRequest(NamedTuple):
    """An HTTP request that somebody else may make for a short time; `url` may begin with `/`."""

    method: str
    url: str
    headers: dict[str, str]
    expires_at: str

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


def parse_signed_fields(fields: Fields) -> SignedRequest:
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


def parse_signed_request(data: object) -> SignedRequest:
    return parse_signed_fields(Fields("the answer", data))


def _pack_to_json(request: PresignRequest | PartRequest | ConfirmRequest) -> dict[str, Any]:
    """What every request about a pack says of it."""
    return {
        "protocol": PROTOCOL,
        "push_id": request.push_id.hex(),
        "digest": request.digest.hex(),
        "size_bytes": request.size_bytes,
    }


def _parse_pack(fields: Fields) -> tuple[bytes, bytes, int]:
    fields.check_protocol()
    push_id = fields.raw_bytes("push_id", PUSH_ID_BYTES)
    return push_id, fields.raw_bytes("digest", ID_BYTES), fields.number("size_bytes")


class PresignRequest(NamedTuple):
    """Asks where to send a pack."""

    push_id: bytes
    digest: bytes
    size_bytes: int
    create: Create | None = None

    def to_json(self) -> dict[str, Any]:
        create = self.create.to_json() if self.create else None
        return _pack_to_json(self) | {"create": create}


def parse_presign_request(data: object) -> PresignRequest:
    fields = Fields("the request", data)
    return PresignRequest(
        *_parse_pack(fields),
        create=parse_create(fields),
    )


class Multipart(NamedTuple):
    """A pack goes in parts of `part_size_bytes`, the last one of the rest; those of `stored` are there."""

    upload: str
    part_size_bytes: int
    stored: list[int]

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


def _parse_multipart(data: dict[str, Any]) -> Multipart:
    fields = Fields("an upload in parts", data)
    size = fields.number("part_size_bytes")
    stored = fields.items("stored", MAX_PARTS)
    if not size or not all(type(number) is int for number in stored):
        raise fields.wrong("part_size_bytes")
    return Multipart(fields.text("upload"), size, stored)


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


def parse_presign_answer(data: object) -> PresignAnswer:
    fields = Fields("the answer to presign", data)
    stored, uploaded = fields.flag("stored"), fields.flag("uploaded")
    if stored or uploaded:
        return PresignAnswer(stored, uploaded, None)
    if fields.has("multipart"):
        return PresignAnswer(False, False, None, _parse_multipart(fields.mapping("multipart")))
    return PresignAnswer(False, False, parse_signed_fields(fields))


class PartRequest(NamedTuple):
    """Asks for an address for one part, numbered from 1, whose SHA-256 is `sha256`."""

    push_id: bytes
    digest: bytes
    size_bytes: int
    upload: str
    number: int
    sha256: bytes

    def to_json(self) -> dict[str, Any]:
        part = {"upload": self.upload, "number": self.number, "sha256": self.sha256.hex()}
        return _pack_to_json(self) | part


def parse_part_request(data: object) -> PartRequest:
    fields = Fields("the request", data)
    return PartRequest(
        *_parse_pack(fields),
        upload=fields.text("upload"),
        number=fields.number("number"),
        sha256=fields.raw_bytes("sha256", ID_BYTES),
    )


class ConfirmRequest(NamedTuple):
    """Says that a pack was sent; `upload` and the SHA-256 of its `parts` where it went in parts."""

    push_id: bytes
    digest: bytes
    size_bytes: int
    upload: str | None = None
    parts: list[bytes] = []

    def to_json(self) -> dict[str, Any]:
        value = _pack_to_json(self)
        if self.upload is not None:
            value |= {"upload": self.upload, "parts": [part.hex() for part in self.parts]}
        return value


def parse_confirm_request(data: object) -> ConfirmRequest:
    fields = Fields("the request", data)
    upload = fields.text("upload") if fields.has("upload") else None
    parts = fields.items("parts", MAX_PARTS) if upload is not None else []
    return ConfirmRequest(
        *_parse_pack(fields),
        upload=upload,
        parts=[fields.from_hex("parts", part, ID_BYTES) for part in parts],
    )


class ConfirmResult(NamedTuple):
    """The hub has read the pack and recorded what is in it."""

    digest: bytes
    objects: int
    size_bytes: int
    raw_bytes: int
    stored: bool

    def to_json(self) -> dict[str, Any]:
        return self._asdict() | {"digest": self.digest.hex()}


def parse_confirm_result(data: dict[str, Any]) -> ConfirmResult:
    fields = Fields("the answer to confirm", data)
    return ConfirmResult(
        digest=fields.raw_bytes("digest", ID_BYTES),
        objects=fields.number("objects"),
        size_bytes=fields.number("size_bytes"),
        raw_bytes=fields.number("raw_bytes"),
        stored=fields.flag("stored"),
    )
