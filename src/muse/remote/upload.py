"""Uploads of packs, several at once, and how many that should be."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from muse.errors import MuseError, RemoteFailure
from muse.remote.pack_sender import PackSender
from muse.wire.push import Create

if TYPE_CHECKING:
    from muse.remote.client import HubClient
    from muse.remote.packing import Pack
    from muse.store.progress import Progress

MAX_CONCURRENT = 64
FIRST_CONCURRENT = 4
MAX_BYTES_IN_FLIGHT = 48 << 20
"""Packs that are sealed and not confirmed: four of 16 MiB or three of 24, because the one that passes it is
still taken. With the one being built, a plan of 100,000 blobs and the interpreter that comes to 202 MiB; with
64 MiB it was 30 more, and no faster.
"""


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
        self._sender = PackSender(hub, path, push_id, create)
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
            if self._closed and size_bytes > 0:
                raise RemoteFailure("remote-closed", "the upload was given up")
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
                self._sender.send(pack, self._note_sent)
                return
            except MuseError as error:
                failures += 1
                with self._changed:
                    self._width = max(1.0, self._width / 2)
                if self._closed or not self._hub.retry.wait(failures, error):
                    raise
