"""Somebody who fetches and believes nothing, for tests."""

from __future__ import annotations

import hashlib

from tests.musehub.hub import Answer, History, Remote

from muse.objects.ids import Kind, hash_bytes
from muse.objects.references import iter_references
from muse.packs.pack import verify_pack
from muse.packs.record import decode_object
from muse.wire.fetch import parse_fetch_header, parse_pack_addresses
from muse.wire.frames import BLOBS, COMMITS, END, ERROR, HEADER, PACKS, TREES, decode_error, encode_frame
from muse.wire.stream import parse_end

Objects = dict[tuple[Kind, bytes], bytes]
RECORD_FRAMES = {BLOBS, TREES, COMMITS}


class Receiver:
    """Takes answers as a client must: resolves bases, hashes everything, refuses what is out of order."""

    def __init__(self, remote: Remote, known: Objects | None = None) -> None:
        self.remote = remote
        self.objects: Objects = dict(known or {})
        self.received: Objects = {}
        self.packs = 0

    def take(self, answer: Answer) -> Receiver:
        if answer.status != 200:
            raise answer.error()
        frames = answer.frames()
        if frames[-1].type == ERROR:
            raise decode_error(frames[-1])
        assert frames[0].type == HEADER
        parse_fetch_header(frames[0].json())
        end = parse_end(frames[-1].json())
        assert frames[-1].type == END
        sent = b"".join(encode_frame(frame.type, frame.payload) for frame in frames[:-1])
        assert end.sha256 == hashlib.sha256(sent).digest()
        counts: dict[str, int] = {}
        stage = 0
        for frame in frames[1:-1]:
            order = {PACKS: 0, BLOBS: 1, TREES: 2, COMMITS: 3}.get(frame.type, stage)
            assert order >= stage
            stage = order
            if frame.type == PACKS:
                for address in parse_pack_addresses(frame.json()):
                    self._download(address.request.url, address.digest, address.objects)
                    counts["U"] = counts.get("U", 0) + 1
            elif frame.type in RECORD_FRAMES:
                for record in frame.records():
                    kind = Kind(record.kind)
                    base = self.objects[kind, record.base] if record.base is not None else None
                    self._add(kind, decode_object(record, base))
                    name = frame.type.decode()
                    counts[name] = counts.get(name, 0) + 1
        assert counts == end.counts
        return self

    def _download(self, url: str, digest: bytes, count: int) -> None:
        pack = self.remote.user.request("GET", url).body
        assert hashlib.sha256(pack).digest() == digest
        self.packs += 1
        found = verify_pack(
            memoryview(pack),
            lambda kind, object_id: self.objects[kind, object_id],
            visit=lambda kind, _object_id, data: self._add(kind, data),
        )
        assert len(found) == count

    def _add(self, kind: Kind, data: bytes) -> None:
        if kind is not Kind.BLOB:
            for reference in iter_references(kind, data):
                assert reference in self.objects, "an object arrived before what it names"
        self.objects[kind, hash_bytes(data)] = self.received[kind, hash_bytes(data)] = data


def reachable(history: History, *commits: bytes, kind: Kind = Kind.COMMIT) -> Objects:
    found: Objects = {}
    todo = [(kind, commit) for commit in commits]
    while todo:
        key = todo.pop()
        if key not in found:
            found[key] = history.objects[key]
            if key[0] is not Kind.BLOB:
                todo += iter_references(key[0], found[key])
    return found
