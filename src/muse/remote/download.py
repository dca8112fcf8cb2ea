"""Downloads of packs, several at once and ahead of their use, into temporary files."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from muse.errors import AccessDenied, InvalidData, LimitReached, MuseError, NotFound, RemoteFailure
from muse.remote.retry import RETRY_AFTER
from muse.wire.fetch import PackAddress, parse_pack_addresses

if TYPE_CHECKING:
    from muse.remote.client import HubClient
    from muse.remote.connections import OpenAnswer
    from muse.store.progress import Progress

CONCURRENT = 4
AHEAD = 8
"""Packs that may lie downloaded and unused: 128 MiB of disk, so that a slow disk slows the network, too."""


class Downloader:
    """Fetches packs in threads of its own; `take` hands them out in any order that does not run far ahead.

    Each file has the size it was asked for; only `repeat` looks at the digest, because whoever takes a pack
    in hashes every object in it. `arrived(number, file)` is called in such a thread. Leaving the `with` block
    removes what was not taken over.
    """

    def __init__(
        self,
        hub: HubClient,
        path: str,
        packs: Sequence[PackAddress],
        folder: Path,
        progress: Progress,
        arrived: Callable[[int, Path], None],
    ) -> None:
        self._hub = hub
        self._path = path
        self._packs = packs
        self._folder = folder
        self._progress = progress
        self._arrived = arrived
        self._prefix = f"fetch-{os.getpid()}-{os.urandom(4).hex()}"
        self._changed = threading.Condition()
        self._next = 0
        self._taken = 0
        self._files: dict[int, Path] = {}
        self._failure: BaseException | None = None
        self._closed = False
        self._open: set[OpenAnswer] = set()
        self._bytes = 0
        self._total_bytes = sum(pack.size_bytes for pack in packs)
        self._threads = [
            threading.Thread(target=self._work, name="download", daemon=True)
            for _ in range(min(CONCURRENT, len(packs)))
        ]

    def __enter__(self) -> Downloader:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            for opened in self._open:
                opened.abort()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(1.0)  # one that is still connecting finds its file gone
        for number in range(len(self._packs)):
            self._file(number).unlink(missing_ok=True)

    def _file(self, number: int) -> Path:
        return self._folder / f"{self._prefix}-{number}.pack"

    def take(self, number: int) -> Path:
        """Return the file of pack `number` when it is there; raises what made its download fail for good."""
        with self._changed:
            self._taken = max(self._taken, number + 1)
            self._changed.notify_all()
            while number not in self._files and self._failure is None:
                self._changed.wait()
            if number not in self._files:
                assert self._failure is not None
                raise self._failure
            return self._files.pop(number)

    def has(self, number: int) -> bool:
        """Say whether `take` would not have to wait, or to raise."""
        return number in self._files or self._failure is not None

    def repeat(self, number: int) -> Path:
        """Download a pack again that turned out to be damaged; now its digest is checked while it arrives."""
        self._hub.retry.run(lambda _: self._fetch(number, fresh=True, check=True))
        return self._file(number)

    # ---- in the threads

    def _work(self) -> None:
        while True:
            with self._changed:
                while (
                    not self._closed and self._next < len(self._packs) and self._next >= self._taken + AHEAD
                ):
                    self._changed.wait()
                if self._closed or self._next >= len(self._packs):
                    return
                number = self._next
                self._next += 1
            try:
                self._fetch_patiently(number)
            except BaseException as error:
                with self._changed:
                    self._failure = self._failure or error
                    self._closed = True
                    self._changed.notify_all()
                return
            self._arrived(number, self._file(number))
            with self._changed:
                self._files[number] = self._file(number)
                self._changed.notify_all()

    def _fetch_patiently(self, number: int) -> None:
        self._hub.retry.run(lambda attempt: self._fetch(number, fresh=attempt > 0, check=False))

    def _fetch(self, number: int, fresh: bool, check: bool) -> None:
        self._check_open()
        pack = self._packs[number]
        request = (self._ask_again(pack) if fresh else pack).request
        digest = hashlib.sha256()
        size = 0
        try:
            with (
                self._hub.open_url(request.method, request.url, request.headers) as opened,
                open(self._file(number), "wb") as file,
            ):
                if opened.status != 200:
                    raise _explain_refusal(opened)
                for piece in self._iter_pieces(opened):
                    size += len(piece)
                    if size > pack.size_bytes:
                        break
                    if check:
                        digest.update(piece)
                    file.write(piece)
                    self._note(len(piece))
            if size != pack.size_bytes or (check and digest.digest() != pack.digest):
                raise InvalidData("wrong-hash", "a downloaded pack is not the one announced", retry=True)
        except BaseException as error:
            with self._changed:
                self._bytes -= min(size, pack.size_bytes)
            if isinstance(error, OSError):
                from muse.store.failure import os_failure

                raise os_failure(error, self._file(number)) from error
            raise

    def _iter_pieces(self, opened: OpenAnswer) -> Iterator[bytes]:
        """Yield the pieces of an answer that `__exit__` may abort."""
        with self._changed:
            self._open.add(opened)
        try:
            yield from opened.answer
        finally:
            with self._changed:
                self._open.discard(opened)

    def _note(self, size_bytes: int) -> None:
        with self._changed:
            self._check_open()
            self._bytes += size_bytes
            self._progress("downloading", self._bytes, self._total_bytes, "bytes")

    def _check_open(self) -> None:
        if self._closed:
            raise RemoteFailure("remote-closed", "the download was given up")

    def _ask_again(self, pack: PackAddress) -> PackAddress:
        """Get a fresh address: an old one may have expired."""
        value = {"digests": [pack.digest.hex()]}
        for fresh in parse_pack_addresses(
            self._hub.load_json_once("POST", f"{self._path}/fetch/presign", value)
        ):
            if fresh.digest == pack.digest:
                return fresh
        raise NotFound("pack-not-found", f"the hub no longer has pack {pack.digest.hex()}")


def has_digest(path: Path, digest: bytes) -> bool:
    """Say whether a file has this SHA-256."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest() == digest


def _explain_refusal(opened: OpenAnswer) -> MuseError:
    status = opened.status
    details: dict[str, object] = {"status": status}
    if opened.retry_after_s is not None:
        details[RETRY_AFTER] = opened.retry_after_s
    message = f"the object store answered a download with status {status}"
    if status in (401, 403):
        return AccessDenied("bad-upload-url", message, retry=True, details=details)
    if status == 404:
        return NotFound("pack-not-found", message, details=details)
    if status == 429:
        return LimitReached("busy", message, retry=True, details=details)
    return RemoteFailure("store-unavailable", message, retry=status >= 500 or status == 408, details=details)
