"""Takes the packs of a fetch in: threads download them and another process verifies them meanwhile."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from pathlib import Path

from muse.errors import InvalidData
from muse.remote.client import HubClient
from muse.remote.download import Downloader, has_digest
from muse.remote.receive import Receiver, Stream
from muse.remote.spool import SpooledStream
from muse.remote.verifying import Verifier
from muse.store.progress import Progress
from muse.wire.fetch import PackAddress
from muse.wire.frames import BLOBS


class Intake:
    """Begun when the first packs are announced: `wait_for_packs`, `iter_taken`, then `take_rest`."""

    def __init__(self, hub: HubClient, path: str, folder: Path, stream: Stream, receiver: Receiver) -> None:
        self._hub = hub
        self._path = path
        self._folder = folder
        self._stream = stream
        self._receiver = receiver
        self._packs: Sequence[PackAddress] = ()
        self._exits = ExitStack()

    def __enter__(self) -> Intake:
        with self._exits as exits:
            # A process that has threads cannot be copied, so the other process comes first.
            self._verifier = exits.enter_context(Verifier(self._stream.packs))
            self._rest = exits.enter_context(SpooledStream(self._stream, self._folder))
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._exits.__exit__(*error)  # type: ignore[arg-type]

    def wait_for_packs(self) -> list[PackAddress]:
        """Return all packs that are announced."""
        self._packs = packs = self._rest.wait_for_packs()
        return packs

    def iter_taken(
        self, wanted: Sequence[PackAddress], progress: Progress
    ) -> Generator[PackAddress, None, None]:
        """Download packs and yield each once it is in the store, every object of it verified."""
        receiver, verifier = self._receiver, self._verifier
        downloads = Downloader(self._hub, self._path, wanted, self._folder, progress, self._submit)
        with downloads:
            for number, pack in enumerate(wanted):
                while not downloads.has(number) and self._take_early():
                    pass
                path = downloads.take(number)
                while verifier.works_on(number) and self._take_early():
                    pass
                try:
                    receiver.add_pack(path, pack, verified=verifier.is_verified(number))
                except InvalidData:
                    if has_digest(path, pack.digest):
                        raise
                    receiver.add_pack(downloads.repeat(number), pack)
                yield pack

    def take_rest(self) -> None:
        """Take the records that are left."""
        self._receiver.release()
        for frame in self._rest:
            self._receiver.add_frame(frame)

    def _submit(self, number: int, path: Path) -> None:
        """In a thread of the downloads: have a pack verified; every second one where records cannot come
        between, and this process has time for the others.
        """
        if number % 2 == 0 or self._may_be_early():
            self._verifier.submit(number, path)

    # ---- records while packs are downloaded and verified

    def _may_be_early(self) -> bool:
        """Say whether records may be taken before the packs, which none of them needs to be decoded."""
        counts = self._stream.counts
        return (
            self._rest.is_complete
            and BLOBS.decode() not in counts
            and self._receiver.can_hold(sum(counts.values()), self._packs)
        )

    def _take_early(self) -> bool:
        """Take a frame of records; False if there is none."""
        if not self._may_be_early():
            return False
        self._receiver.hold()
        frame = next(iter(self._rest), None)
        if frame is not None:
            self._receiver.add_frame(frame)
        return frame is not None
