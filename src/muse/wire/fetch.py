"""The messages of a fetch: what is wanted, what the remote has, and where its packs are
(docs/formats/wire.md).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from muse.objects.ids import ID_BYTES
from muse.wire.fields import Fields
from muse.wire.frames import PROTOCOL
from muse.wire.refs import Limits, Ref, parse_limits, parse_refs, refs_to_json
from muse.wire.uploads import SignedRequest, parse_signed_fields

MAX_WANTS = 10_000


class FetchRequest(NamedTuple):
    """`wants` are ref names or commit ids in hex; None means all refs. `packs` False: records only.

    `all_refs` False: the answer lists those refs only that are wanted by name.
    """

    wants: list[str] | None
    haves: list[bytes]
    packs: bool = True
    client: str = ""
    all_refs: bool = True

    def to_json(self) -> dict[str, Any]:
        return {
            "protocol": PROTOCOL,
            "client": self.client,
            "wants": self.wants,
            "haves": [have.hex() for have in self.haves],
            "packs": self.packs,
            "all_refs": self.all_refs,
        }


def parse_fetch_request(data: object) -> FetchRequest:
    fields = Fields("the request", data)
    fields.check_protocol()
    wants = None
    if fields.has("wants"):
        wants = fields.items("wants", MAX_WANTS)
        if not all(isinstance(want, str) for want in wants):
            raise fields.wrong("wants")
    haves = [fields.from_hex("haves", have, ID_BYTES) for have in fields.items("haves", MAX_WANTS)]
    return FetchRequest(
        wants,
        haves,
        fields.flag("packs", True),
        fields.text("client", "")[:200],
        fields.flag("all_refs", True),
    )


class FetchHeader(NamedTuple):
    """H of a fetch: the refs of the repository, or those of them that were asked for."""

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


def parse_fetch_header(data: dict[str, Any]) -> FetchHeader:
    fields = Fields("the header of a fetch", data)
    fields.check_protocol()
    return FetchHeader(
        repository=fields.text("repository"),
        default_branch=fields.text("default_branch"),
        refs=parse_refs(fields.mapping("refs")),
        limits=parse_limits(data.get("limits")),
    )


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
                request=parse_signed_fields(fields),
            )
        )
    return addresses
