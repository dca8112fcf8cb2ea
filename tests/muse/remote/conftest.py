"""A repository to take from, one to bring to, and a server that answers a fetch in any way a test likes."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.histories import commit_random, make_repository
from tests.plans import find_new_objects
from tests.scripted_server import Peer, ScriptedServer

from muse.objects.ids import Kind
from muse.packs.pack import PackWriter
from muse.packs.record import Record
from muse.remote.client import HubClient
from muse.remote.retry import Retry
from muse.store.repository import Repository
from muse.wire.fetch import FetchHeader, PackAddress
from muse.wire.frames import BLOBS, COMMITS, END, HEADER, MEDIA_TYPE, PACKS, TREES, RecordBatch, encode_json
from muse.wire.refs import Limits, Ref
from muse.wire.uploads import SignedRequest


class FakeHub:
    """Answers `POST fetch` with what the test put into `blobs`, `packs`, `metadata` and `commits`.

    They begin as everything that the source's branch reaches, blobs in `packs` if there are any. `end`
    changes the E frame, `cut` the whole answer; `pack_bytes` are the files behind the packs' addresses, which
    are refused, or damaged on their way, once for each number in `refuse_packs` or `damage_packs`.
    """

    def __init__(self, source: Repository, pack_size: int = 0) -> None:
        objects = source.objects
        self.head = source.refs.get("heads/main").target
        plan = find_new_objects(objects.load, source.graph, [self.head])
        blobs = list(objects.iter_records((Kind.BLOB, blob) for blob in plan.blobs))
        self.metadata = [objects.load_record(*key) for key in plan.metadata]
        self.commits = [objects.load_record(Kind.COMMIT, commit) for commit in plan.commits]
        self.blobs: list[Record] = []
        self.pack_bytes: list[bytes] = []
        self.packs: list[PackAddress] = []
        self.refs = {"heads/main": Ref(self.head)}
        self.end: Callable[[dict[str, object]], None] = lambda end: None
        self.cut: Callable[[bytes], bytes] = lambda answer: answer
        self.refuse_packs: list[int] = []
        self.damage_packs: list[int] = []
        self.requests: list[str] = []
        self.fetch_requests: list[dict[str, object]] = []
        if pack_size:
            for start in range(0, len(blobs), pack_size):
                writer = PackWriter()
                for _, object_id, record in blobs[start : start + pack_size]:
                    writer.add(object_id, record)
                self.add_pack(writer)
        else:
            self.blobs = [record for _, _, record in blobs]

    def add_pack(self, writer: PackWriter) -> None:
        digest, parts = writer.seal()
        data = b"".join(parts)
        request = SignedRequest("GET", f"/pack/{len(self.packs)}", {}, "")
        self.packs.append(PackAddress(digest, len(data), len(writer), request))
        self.pack_bytes.append(data)

    def make_answer(self) -> bytes:
        header = FetchHeader("ada/songs", "main", self.refs, Limits())
        frames = [encode_json(HEADER, header.to_json())]
        counts = {}
        if self.packs:
            frames.append(encode_json(PACKS, {"packs": [pack.to_json() for pack in self.packs]}))
            counts["U"] = len(self.packs)
        for frame_type, records in ((BLOBS, self.blobs), (TREES, self.metadata), (COMMITS, self.commits)):
            batch = RecordBatch(frame_type)
            frames += [frame for record in records if (frame := batch.add(record))]
            frames += [frame for frame in (batch.flush(),) if frame]
            if records:
                counts[frame_type.decode()] = len(records)
        whole = b"".join(frames)
        end: dict[str, object] = {"counts": counts, "sha256": hashlib.sha256(whole).hexdigest()}
        self.end(end)
        return self.cut(whole + encode_json(END, end))

    def serve(self, peer: Peer) -> None:
        while True:
            first, _, body = peer.read_request()
            if not first:
                return
            target = first.split()[1]
            self.requests.append(target)
            if target.startswith("/pack/"):
                number = int(target.rpartition("/")[2].partition("?")[0])
                if number in self.refuse_packs:
                    self.refuse_packs.remove(number)
                    peer.answer(403, b"expired")
                elif number in self.damage_packs:
                    self.damage_packs.remove(number)
                    whole = self.pack_bytes[number]
                    peer.answer(200, whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
                else:
                    peer.answer(200, self.pack_bytes[number])
            elif target.endswith("/fetch/presign"):
                wanted = json.loads(body)["digests"]
                fresh = [
                    pack._replace(request=pack.request._replace(url=pack.request.url + "?fresh"))
                    for pack in self.packs
                    if pack.digest.hex() in wanted
                ]
                answer = json.dumps({"packs": [pack.to_json() for pack in fresh]}).encode()
                peer.answer(200, answer, content_type="application/json")
            else:
                self.fetch_requests.append(json.loads(body))
                peer.answer(200, self.make_answer(), content_type=MEDIA_TYPE)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Repository]:
    """A repository with some dozens of commits, blobs based on other blobs among them."""
    with make_repository(tmp_path / "source") as repository:
        commit_random(repository, random.Random(5), commits=12, files=6)
        yield repository


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Repository]:
    with make_repository(tmp_path / "target") as repository:
        yield repository


@pytest.fixture
def serve(target: Repository) -> Iterator[Callable[[FakeHub], HubClient]]:
    """Start a server for a fake hub, make it the remote of `target`, return a client without pauses."""
    servers: list[ScriptedServer] = []
    clients: list[HubClient] = []

    def start(hub: FakeHub) -> HubClient:
        server = ScriptedServer(hub.serve)
        servers.append(server)
        target.settings.set("remote.origin.url", f"{server.origin}/ada/songs")
        client = HubClient(server.origin, retry=Retry(attempts=3, sleep=lambda seconds: None))
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.close()
    for server in servers:
        server.close()
