"""Uploads of packs straight to the object store, several at once: presign, PUT, confirm."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from muse.errors import AccessDenied, InvalidData, LimitReached, MuseError, RemoteFailure
from muse.remote.client import JSON_TYPE
from muse.remote.retry import RETRY_AFTER
from muse.wire.messages import (
    ConfirmRequest,
    Create,
    Multipart,
    PartRequest,
    PresignRequest,
    SignedRequest,
)
from muse.wire.parsing import parse_confirm_result, parse_presign_answer, parse_signed_request

if TYPE_CHECKING:
    from muse.remote.client import HubClient
    from muse.remote.connections import OpenAnswer
    from muse.remote.packing import Pack
    from muse.store.progress import Progress

Parts = Sequence[bytes | memoryview]

MAX_CONCURRENT = 64
FIRST_CONCURRENT = 4
MAX_BYTES_IN_FLIGHT = 48 << 20
"""Packs that are sealed and not confirmed: four of 16 MiB or three of 24, because the one that passes it is
still taken. With the one being built, a plan of 100,000 blobs and the interpreter that comes to 202 MiB; with
64 MiB it was 30 more, and no faster.
"""
PIECE_BYTES = 256 << 10
AGAIN = "push again; what was confirmed is not sent twice"


class Uploaded(NamedTuple):
    packs: int
    objects: int
    size_bytes: int


class Uploader:
    """Sends packs in threads of its own. `submit` waits while too much is in flight; `finish` until all is
    confirmed.

    How many go at once adapts: one more for every round that went well, half after a failure that a retry may
    cure. `confirmed` is called for every pack that the hub has, never for two at once. Leave the `with` block
    with an exception and what is in flight is given up. Both methods raise what made a pack fail for good.
    """

    def __init__(
        self,
        hub: HubClient,
        path: str,
        push_id: bytes,
        create: Create | None,
        progress: Progress,
        confirmed: Callable[[Pack], None] = lambda pack: None,
        max_bytes_in_flight: int = MAX_BYTES_IN_FLIGHT,
    ) -> None:
        self._hub = hub
        self._path = path
        self._push_id = push_id
        self._create = create
        self._progress = progress
        self._confirmed = confirmed
        self._max_bytes_in_flight = max_bytes_in_flight
        self._changed = threading.Condition()
        self._queue: deque[Pack] = deque()
        self._submitted = 0
        self._threads = 0
        self._busy = 0
        self._width = float(FIRST_CONCURRENT)
        self._bytes_in_flight = 0
        self._bytes_sent = 0
        self._bytes_sealed = 0
        self._objects_sealed = 0
        self._following: int | None = None
        self._failure: BaseException | None = None
        self._closed = False
        self._done = Uploaded(0, 0, 0)

    def __enter__(self) -> Uploader:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with self._changed:
            self._closed = True
            if error is not None and self._failure is None:
                self._failure = error
            self._changed.notify_all()

    def submit(self, pack: Pack, plan_more: Callable[[], bool] = lambda: False) -> None:
        """Take a pack; returns when there is room for the next.

        Where it would have to wait it calls `plan_more` until that returns False: what is planned has a size.
        """
        with self._changed:
            self._check()
            self._queue.append(pack)
            self._submitted += 1
            self._bytes_in_flight += pack.size_bytes
            self._bytes_sealed += pack.size_bytes
            self._objects_sealed += pack.objects
            self._following = pack.following
            self._start_threads()
            self._changed.notify_all()
        while self._must_wait() and plan_more():
            pass
        with self._changed:
            while self._must_wait():
                self._changed.wait()
            self._check()

    def _must_wait(self) -> bool:
        with self._changed:
            return self._failure is None and self._is_full()

    def _is_full(self) -> bool:
        """Say whether another pack had to wait: too many bytes, or as many packs waiting as on their way."""
        return self._bytes_in_flight >= self._max_bytes_in_flight or len(self._queue) >= self._width

    def finish(self) -> Uploaded:
        """Wait until all is confirmed; returns what was sent, packs that were stored before included."""
        with self._changed:
            self._following = 0
            while self._failure is None and self._done.packs < self._submitted:
                self._changed.wait()
            self._check()
            return self._done

    def _start_threads(self) -> None:
        wanted = min(MAX_CONCURRENT, int(self._width), self._busy + len(self._queue))
        while self._threads < wanted:
            self._threads += 1
            threading.Thread(target=self._work, name="upload", daemon=True).start()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    # ---- in the threads

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and not (self._queue and self._busy < self._width):
                    self._changed.wait()
                if self._closed:
                    self._threads -= 1
                    return
                pack = self._queue.popleft()
                self._busy += 1
            try:
                self._send(pack)
            except BaseException as error:
                with self._changed:
                    self._failure = self._failure or error
                    self._closed = True
                    self._threads -= 1
                    self._changed.notify_all()
                return
            with self._changed:
                self._note_confirmed(pack)

    def _note_confirmed(self, pack: Pack) -> None:
        self._busy -= 1
        self._width = min(MAX_CONCURRENT, self._width + 1 / self._width)
        self._bytes_in_flight -= pack.size_bytes
        done = self._done
        self._done = Uploaded(done.packs + 1, done.objects + pack.objects, done.size_bytes + pack.size_bytes)
        self._confirmed(pack)
        self._start_threads()
        self._changed.notify_all()

    def _note_sent(self, size_bytes: int) -> None:
        with self._changed:
            self._bytes_sent += size_bytes
            self._progress("uploading", self._bytes_sent, self._estimate_bytes(), "bytes")

    def _estimate_bytes(self) -> int | None:
        """Guess how much there is to send: blobs that follow are taken for as large as those before."""
        if self._following is None or not self._objects_sealed:
            return None
        return self._bytes_sealed + self._following * self._bytes_sealed // self._objects_sealed

    def _send(self, pack: Pack) -> None:
        failures = 0
        while True:
            try:
                self._send_once(pack)
                return
            except MuseError as error:
                failures += 1
                with self._changed:
                    self._width = max(1.0, self._width / 2)
                if self._closed or not self._hub.retry.wait(failures, error):
                    raise

    def _send_once(self, pack: Pack) -> None:
        """Presign, PUT and confirm, every time anew: an address is never used twice."""
        request = PresignRequest(self._push_id, pack.digest, pack.size_bytes, self._create)
        answer = parse_presign_answer(
            self._hub.load_json_once("POST", f"{self._path}/push/presign", request.to_json())
        )
        if answer.stored:
            self._note_sent(pack.size_bytes)
            return
        if answer.multipart is not None:
            hashes = self._put_parts(answer.multipart, pack)
            self._confirm(pack, answer.multipart.upload, hashes)
            return
        if answer.request is not None:
            self._put(answer.request, pack.parts, pack.size_bytes)
        else:
            self._note_sent(pack.size_bytes)
        self._confirm(pack)

    def _put_parts(self, multipart: Multipart, pack: Pack) -> list[bytes]:
        from muse.remote.parts import cut, send_parts

        parts = cut(pack.parts, multipart.part_size_bytes)
        stored = {number for number in multipart.stored if number <= len(parts)}
        skipped = sum(sum(map(len, parts[number - 1])) for number in stored)
        self._note_sent(skipped)
        sent = [skipped]

        def send(number: int, sha256: bytes, part: Parts) -> None:
            request = PartRequest(
                self._push_id, pack.digest, pack.size_bytes, multipart.upload, number, sha256
            ).to_json()
            size = sum(map(len, part))

            def attempt(_: int) -> None:
                answer = self._hub.load_json_once("POST", f"{self._path}/push/part", request)
                self._put(parse_signed_request(answer), part, size)

            self._hub.retry.run(attempt)
            sent.append(size)

        try:
            return send_parts(parts, stored, send)
        except BaseException:
            self._note_sent(-sum(sent))
            raise

    def _put(self, request: SignedRequest, parts: Parts, size_bytes: int) -> None:
        counted = 0

        def count(pieces: Iterator[bytes | memoryview]) -> Iterator[bytes | memoryview]:
            nonlocal counted
            self._note_sent(-counted)
            counted = 0
            for piece in pieces:
                yield piece
                self._check_open()
                self._note_sent(len(piece))
                counted += len(piece)

        try:
            with self._hub.open_url(
                request.method,
                request.url,
                request.headers,
                lambda: count(_iter_pieces(parts)),
                size_bytes,
            ) as answer:
                if not 200 <= answer.status < 300:
                    raise _explain_refusal(answer)
                if b"<Error>" in answer.answer.read_all(1 << 20):  # a store that failed after its status
                    raise RemoteFailure(
                        "store-unavailable",
                        "the object store answered an upload with success and an error",
                        hint=AGAIN,
                        retry=True,
                    )
        except BaseException:
            self._note_sent(-counted)
            raise

    def _check_open(self) -> None:
        if self._closed:
            raise RemoteFailure("remote-closed", "the upload was given up")

    def _confirm(self, pack: Pack, upload: str | None = None, parts: list[bytes] | None = None) -> None:
        request = ConfirmRequest(self._push_id, pack.digest, pack.size_bytes, upload, parts or [])
        body = json.dumps(request.to_json()).encode()
        result = parse_confirm_result(self._hub.load_result(f"{self._path}/push/confirm", JSON_TYPE, body))
        if result.digest != pack.digest or result.objects != pack.objects:
            raise RemoteFailure("remote-error", "the hub confirmed another pack than the one it was sent")


def _iter_pieces(parts: Parts) -> Iterator[bytes | memoryview]:
    """Yield a pack in pieces that are worth a system call; large parts are not copied."""
    pieces: list[bytes | memoryview] = []
    size = 0
    for part in parts:
        if len(part) >= PIECE_BYTES // 4:
            if pieces:
                yield b"".join(pieces)
                pieces, size = [], 0
            yield part
            continue
        pieces.append(part)
        size += len(part)
        if size >= PIECE_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    if pieces:
        yield b"".join(pieces)


def _explain_refusal(answer: OpenAnswer) -> MuseError:
    """Turn a store's refusal of a pack into an error; most are worth another attempt with a fresh address."""
    status = answer.status
    text = answer.answer.read_all(64 << 10).decode("utf-8", "replace").strip()
    details = {"status": status, "answer": text[:500]}
    pause = answer.retry_after_s
    if pause is not None:
        details[RETRY_AFTER] = pause
    message = f"the object store answered an upload with status {status}"
    if status in (401, 403):
        return AccessDenied("bad-upload-url", message, hint=AGAIN, retry=True, details=details)
    if status == 429:
        return LimitReached("busy", message, hint=AGAIN, retry=True, details=details)
    if status == 507:
        hint = "the store of the hub is full; its operator has to make room"
        return RemoteFailure("store-unavailable", message, hint=hint, retry=True, details=details)
    if status in (408, 425) or status >= 500:
        return RemoteFailure("store-unavailable", message, hint=AGAIN, retry=True, details=details)
    if status == 413:
        hint = "the store takes less at once than the hub says; its operator has to lower pack_max_bytes"
        return LimitReached("too-large", message, hint=hint, details=details)
    return InvalidData("wrong-hash", message, hint=AGAIN, retry=True, details=details)
