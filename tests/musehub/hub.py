"""A real hub on a free port of this machine, and a client that says exactly what a test wants it to say."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import os
import threading
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from tests.memory_objects import Memory

from muse.errors import MuseError, from_json
from muse.history.directory import Put
from muse.history.edit import edit_tree
from muse.history.lookup import find_path
from muse.objects.commit import Tag, decode_commit, encode_tag
from muse.objects.ids import Kind
from muse.packs.pack import PackWriter
from muse.packs.record import Record, encode_object
from muse.wire.frames import (
    BLOBS,
    COMMITS,
    END,
    ERROR,
    FRAME,
    HEADER,
    RESULT,
    TREES,
    Frame,
    FrameParser,
    RecordBatch,
    decode_error,
    encode_json,
)
from muse.wire.push import Create, PushHeader, RefUpdate
from muse.wire.stream import End
from muse.wire.uploads import ConfirmRequest, PresignRequest, encode_missing, parse_missing_ids
from musehub.accounts.service import open_accounts
from musehub.app.compose import create_app
from musehub.app.listen import RunningServer, open_socket, socket_url
from musehub.db.instants import utc_now
from musehub.db.opening import open_database
from musehub.settings import Settings
from musehub.storage.port import Store

PRIVATE = Create()

FRAME_OF = {
    Kind.BLOB: BLOBS,
    Kind.TREE: TREES,
    Kind.CHUNKS: TREES,
    Kind.COMMIT: COMMITS,
    Kind.TAG: COMMITS,
}


class RunningHub:
    """A hub in a thread with an event loop of its own."""

    def __init__(self, settings: Settings, store: Store | None = None) -> None:
        self.settings = settings
        self.database = open_database(settings)
        self.app = create_app(settings, database=self.database, store=store)
        self.accounts = open_accounts(self.database, settings, utc_now)
        self._listener = open_socket("127.0.0.1", 0)
        self.url = socket_url(self._listener)
        self._loop = asyncio.new_event_loop()
        self._server = RunningServer(self.app, self._listener)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._server.run())

    def call(self, awaitable: Any) -> Any:
        """Run something in the hub's event loop."""
        return asyncio.run_coroutine_threadsafe(awaitable, self._loop).result(30)

    def user(self, name: str, scope: str = "write") -> HubUser:
        """Make a user who is logged in."""

        self.call(self.accounts.users.create(name))
        return self.log_in(name, scope)

    def log_in(self, name: str, scope: str = "write") -> HubUser:
        """A user who is there, with a token of their own."""

        async def issue() -> str:
            user = await self.accounts.users.get(name)
            return (await self.accounts.tokens.issue(user.id, scope=scope)).secret

        return HubUser(self.url, name, self.call(issue()))

    def nobody(self) -> HubUser:
        return HubUser(self.url, "", None)

    def stop(self) -> None:
        self.call(self._server.stop(5))
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._loop.close()
        self._listener.close()


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def error(self) -> MuseError:
        return from_json(self.json()["error"])

    def frames(self) -> list[Frame]:
        parser = FrameParser()
        found = list(parser.feed(self.body))
        parser.close()
        return found

    def result(self) -> dict[str, Any]:
        """What R says; raises what X or an HTTP error says."""
        if self.status != 200:
            raise self.error()
        last = self.frames()[-1]
        if last.type == ERROR:
            raise decode_error(last)
        assert last.type == RESULT
        return last.json()


class HubUser:
    """Somebody with a token, or nobody."""

    def __init__(self, url: str, name: str, token: str | None) -> None:
        self.url = url
        self.name = name
        self._token = token

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Make a request to the hub, or to whatever a whole address leads to."""
        sent = dict(headers or {})
        issued = path.startswith(("/store/", "http://"))
        if self._token is not None and not issued:
            sent["Authorization"] = f"Bearer {self._token}"
        connection = http.client.HTTPConnection(
            urlsplit(path).netloc or urlsplit(self.url).netloc, timeout=30
        )
        path = path.removeprefix(f"http://{urlsplit(path).netloc}")
        try:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def post_json(self, path: str, value: Any) -> Answer:
        return self.request("POST", path, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def repository(self, name: str, owner: str | None = None) -> Remote:
        return Remote(self, f"/{owner or self.name}/{name}")


class Remote:
    """A repository on a hub as one user reaches it."""

    def __init__(self, user: HubUser, path: str) -> None:
        self.user = user
        self.path = path

    def refs(self) -> Answer:
        return self.user.request("GET", f"{self.path}/refs")

    def stream(self, body: bytes | Iterable[bytes]) -> Answer:
        joined = body if isinstance(body, bytes) else b"".join(body)
        return self.user.request("POST", f"{self.path}/push/stream", joined)

    def push(self, history: History, updates: list[RefUpdate], **options: Any) -> dict[str, Any]:
        """Send everything that the history has not sent before, in one stream."""
        header = header_of(updates, **options)
        taken = history.take()
        try:
            return self.stream(push_body(header, taken)).result()
        except MuseError:
            history.put_back(taken)
            raise

    def push_main(
        self, history: History, new: bytes, old: bytes | None = None, **options: Any
    ) -> dict[str, Any]:
        return self.push(history, [RefUpdate("heads/main", old, new)], **options)

    def presign(self, push_id: bytes, digest: bytes, size: int, create: Create | None = PRIVATE) -> Answer:
        request = PresignRequest(push_id, digest, size, create)
        return self.user.post_json(f"{self.path}/push/presign", request.to_json())

    def upload(self, push_id: bytes, pack: bytes) -> Answer:
        signed = self.presign(push_id, hashlib.sha256(pack).digest(), len(pack)).json()
        return self.user.request(signed["method"], signed["url"], pack, signed["headers"])

    def confirm(self, push_id: bytes, pack: bytes) -> Answer:
        request = ConfirmRequest(push_id, hashlib.sha256(pack).digest(), len(pack))
        return self.user.post_json(f"{self.path}/push/confirm", request.to_json())

    def missing(self, kind: Kind, ids: list[bytes]) -> list[bytes]:
        answer = self.user.request("POST", f"{self.path}/push/missing", encode_missing(kind, ids))
        assert answer.status == 200, answer.body
        return parse_missing_ids(answer.body)

    def receipt(self, push_id: bytes) -> Answer:
        return self.user.request("GET", f"{self.path}/push/{push_id.hex()}")

    def fetch(self, wants: list[str] | None = None, haves: Iterable[bytes] = (), **more: Any) -> Answer:
        value = {"protocol": 1, "wants": wants, "haves": [have.hex() for have in haves], **more}
        return self.user.post_json(f"{self.path}/fetch", value)


class History(Memory):
    """Objects in the order in which they were made: children before parents."""

    def __init__(self) -> None:
        super().__init__()
        self._sent: set[tuple[Kind, bytes]] = set()
        self.bases: dict[tuple[Kind, bytes], bytes] = {}
        self._depths: dict[tuple[Kind, bytes], int] = {}

    def put(self, kind: Kind, data: bytes, base: bytes | None = None) -> bytes:
        object_id = super().put(kind, data, base)
        if base is not None and base != object_id:
            self.bases.setdefault((kind, object_id), base)
        return object_id

    def snapshot(self, files: dict[str, bytes | None], tree: bytes | None = None) -> bytes:
        """The tree that `tree` becomes when these files are written; None deletes."""
        changes = {
            path: None if content is None else self.file(path.rpartition("/")[2], content)
            for path, content in files.items()
        }
        put: Put = self.put
        return edit_tree(self.load, tree, changes, put).id

    def commit_files(self, files: dict[str, bytes | None], *parents: bytes, message: str = "m") -> bytes:
        tree = decode_commit(self.objects[Kind.COMMIT, parents[0]]).tree if parents else None
        return self.commit(self.snapshot(files, tree), *parents, message=message)

    def load_file(self, commit_id: bytes, path: str) -> bytes:
        entry = find_path(self.load, decode_commit(self.objects[Kind.COMMIT, commit_id]).tree, path)
        assert entry is not None
        return self.objects[Kind.BLOB, entry.id]

    def tag(self, name: str, target: bytes, kind: Kind = Kind.COMMIT) -> bytes:
        return self.put(Kind.TAG, encode_tag(Tag(target, kind, name, None, "a tag")))

    def take(self, *, deltas: bool = True) -> list[tuple[Kind, bytes, Record]]:
        """Records of everything that was not taken before, in order."""
        taken = []
        for (kind, object_id), data in self.objects.items():
            if (kind, object_id) in self._sent:
                continue
            base = self.bases.get((kind, object_id)) if deltas else None
            depth = self._depths.get((kind, base), 0) + 1 if base is not None else 0
            if depth > 8:
                base = None
            self._depths[kind, object_id] = depth if base is not None else 0
            prefix = (base, self.objects[kind, base]) if base is not None else None
            taken.append((kind, object_id, encode_object(kind, data, prefix)))
            self._sent.add((kind, object_id))
        return taken

    def put_back(self, taken: list[tuple[Kind, bytes, Record]]) -> None:
        """Say that these were not received after all."""
        self._sent.difference_update((kind, object_id) for kind, object_id, _record in taken)


def header_of(
    updates: list[RefUpdate], *, push_id: bytes | None = None, create: Create | None = PRIVATE
) -> PushHeader:
    return PushHeader(push_id or os.urandom(16), updates, create, "test")


def push_body(header: PushHeader, objects: Iterable[tuple[Kind, bytes, Record]]) -> bytes:
    """A whole, well-formed push, blobs before trees before commits."""
    batches = {frame_type: RecordBatch(frame_type) for frame_type in (BLOBS, TREES, COMMITS)}
    frames: dict[bytes, list[bytes | None]] = {frame_type: [] for frame_type in batches}
    for kind, _object_id, record in objects:
        frame_type = FRAME_OF[kind]
        frames[frame_type].append(batches[frame_type].add(record))
    for frame_type, batch in batches.items():
        frames[frame_type].append(batch.flush())
    full = [frame for found in frames.values() for frame in found if frame is not None]
    return finish_body([encode_json(HEADER, header.to_json()), *full])


def finish_body(frames: list[bytes]) -> bytes:
    """Append the E that fits these frames."""
    counts: dict[str, int] = {}
    for encoded in frames[1:]:
        frame_type, _size = FRAME.unpack_from(encoded)
        records = sum(1 for _ in Frame(frame_type, encoded[FRAME.size :]).records())
        counts[frame_type.decode()] = counts.get(frame_type.decode(), 0) + records
    digest = hashlib.sha256(b"".join(frames)).digest()
    return b"".join((*frames, encode_json(END, End(counts, digest).to_json())))


def pack_of(objects: Iterable[tuple[bytes, Record]]) -> bytes:
    writer = PackWriter()
    for object_id, record in objects:
        writer.add(object_id, record)
    return b"".join(writer.seal()[1])


def hub_settings(settings: Settings, **values: Any) -> Settings:
    return msgspec.structs.replace(settings, **values)
