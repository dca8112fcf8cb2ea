"""The rest of the answer to a fetch, read beside the downloads of packs, until somebody has time for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

from muse.errors import InvalidData
from muse.remote.receive import Stream
from muse.store.progress import silent
from muse.wire.fetch import PackAddress
from muse.wire.frames import FRAME, PACKS, Frame


class SpooledStream:
    """Reads the rest of a stream into a temporary file, in a thread, until somebody has time for it.

    Begun when the first packs are announced. Iterating waits for the end of the stream, raises what reading
    it raised, and yields its frames of records.
    """

    def __init__(self, stream: Stream, folder: Path) -> None:
        self._stream = stream
        self._path = folder / f"fetch-{os.getpid()}-{os.urandom(4).hex()}.tmp"
        self._changed = threading.Condition()
        self._packs: list[PackAddress] | None = None
        self._failure: BaseException | None = None
        self._ended = False
        self._frames = self._iter_frames()
        self._thread = threading.Thread(target=self._run, name="fetch", daemon=True)

    def __enter__(self) -> SpooledStream:
        self._stream.progress = silent  # the downloads show theirs meanwhile
        self._file = open(self._path, "w+b")
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is not None:
            self._stream.abort()
        self._thread.join()
        self._frames.close()
        self._file.close()
        self._path.unlink(missing_ok=True)

    def wait_for_packs(self) -> list[PackAddress]:
        """Return all packs, once something else has been read; a stream announces them before all records."""
        with self._changed:
            while self._packs is None and not self._ended:
                self._changed.wait()
            if self._packs is None:
                self._check()
            return self._packs or self._stream.packs

    @property
    def is_complete(self) -> bool:
        """Whether everything has been read, and was whole."""
        return self._ended and self._failure is None

    def __iter__(self) -> Iterator[Frame]:
        """The one iterator there is: who stops somewhere goes on from there."""
        return self._frames

    def _iter_frames(self) -> Generator[Frame, None, None]:
        self._thread.join()
        self._check()
        self._file.seek(0)
        while head := self._file.read(FRAME.size):
            frame_type, size = FRAME.unpack(head)
            yield Frame(frame_type, self._file.read(size))

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            for frame in self._stream:
                if frame.type != PACKS:
                    self._note_packs()
                    self._stream.count(frame.type, sum(1 for _ in frame.records()))
                    self._file.write(FRAME.pack(frame.type, len(frame.payload)))
                    self._file.write(frame.payload)
                elif self._packs is not None:
                    raise InvalidData("bad-frame", "packs are announced after records")
        except BaseException as error:
            self._failure = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _note_packs(self) -> None:
        if self._packs is None:
            with self._changed:
                self._packs = list(self._stream.packs)
                self._changed.notify_all()
