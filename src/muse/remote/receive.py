"""What a fetch receives: frames and packs, every object hashed, every batch closed before it is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from muse.errors import CorruptStore, InvalidData, RemoteFailure
from muse.objects.ids import KINDS, Kind, format_id, hash_bytes
from muse.objects.references import group_references
from muse.packs.record import Record, decode_object
from muse.wire.fetch import FetchHeader, PackAddress, parse_fetch_header, parse_pack_addresses
from muse.wire.frames import END, FRAME, HEADER, KINDS_OF_FRAME, PACKS, PROGRESS, Frame
from muse.wire.stream import parse_end, parse_progress

if TYPE_CHECKING:
    from pathlib import Path

    from muse.remote.connections import FrameAnswer
    from muse.store.progress import Progress
    from muse.store.repository import Repository
    from muse.store.transaction import Transaction

FLUSH_OBJECTS = 20_000
FLUSH_BYTES = 64 << 20
"""From either on a batch is checked and made durable; the transaction itself would flush, unchecked, at twice
as much.
"""


class Stream:
    """The frames of an answer to a fetch, checked as a whole: order, counts and hash.

    `header` is there after the first frame, `packs` as soon as they were announced. Iterating yields the
    frames of records and ends only when E fits everything before it.
    """

    def __init__(self, answer: FrameAnswer, progress: Progress) -> None:
        self._answer = answer
        self._frames = iter(answer)
        self.progress = progress
        self._digest = hashlib.sha256()
        self.counts: dict[str, int] = {}
        self.packs: list[PackAddress] = []
        first = next(self._frames, None)
        if first is None or first.type != HEADER:
            raise InvalidData("bad-frame", "the answer to a fetch does not begin with a header")
        self._add(first)
        self.header: FetchHeader = parse_fetch_header(first.json())

    def _add(self, frame: Frame) -> None:
        self._digest.update(FRAME.pack(frame.type, len(frame.payload)))
        self._digest.update(frame.payload)

    def abort(self) -> None:
        """Give up the rest; may be called while another thread waits for it."""
        self._answer.abort()

    def count(self, frame_type: bytes, records: int) -> None:
        """Count the records of a frame that was handed out; the sum is compared with E."""
        name = frame_type.decode()
        self.counts[name] = self.counts.get(name, 0) + records

    def __iter__(self) -> Iterator[Frame]:
        ended = False
        for frame in self._frames:
            if ended:
                raise InvalidData("bad-frame", "frames follow the end of a stream")
            if frame.type == END:
                ended = True
                end = parse_end(frame.json())
                counts = {name: n for name, n in end.counts.items() if n}
                if counts != self.counts or end.sha256 != self._digest.digest():
                    raise InvalidData(
                        "truncated",
                        "a fetch did not bring what its end says",
                        hint="run it again",
                        retry=True,
                    )
                continue
            self._add(frame)
            if frame.type == PROGRESS:
                at = parse_progress(frame.json())
                self.progress(f"hub: {at.phase}", at.done, at.total, at.unit)
            elif frame.type == PACKS:
                packs = parse_pack_addresses(frame.json())
                self.packs += packs
                self.count(PACKS, len(packs))
                yield frame
            elif frame.type in KINDS_OF_FRAME:
                yield frame
            else:
                raise InvalidData("bad-frame", f"frame {frame.type!r} has no place in a fetch")
        if not ended:
            raise RemoteFailure(
                "remote-closed",
                "the answer to a fetch ended too early",
                hint="run it again; what is here already is not sent twice",
                retry=True,
            )


class Receiver:
    """Takes records and packs into a transaction.

    Whatever is flushed is closed: everything it names is in the repository. `check_closure` sees to the rest.
    """

    def __init__(self, repository: Repository, transaction: Transaction, progress: Progress) -> None:
        self._objects = repository.objects
        self._transaction = transaction
        self._progress = progress
        self._needed: dict[Kind, set[bytes]] = {kind: set() for kind in Kind}
        self._flushed = 0
        self._unflushed_bytes = 0
        self._held = False
        self.objects = 0

    def add_frame(self, frame: Frame) -> int:
        """Take the records of a frame; returns how many they were.

        Raises `bad-frame` for records that are out of place, `bad-record`, `bad-object`, `missing-objects`.
        """
        before, allowed = self.objects, KINDS_OF_FRAME[frame.type]
        new: list[tuple[bytes, Record]] = []
        needed, remember = self._needed, self._objects.remember
        for record in frame.records():
            kind = KINDS[record.kind]
            if kind not in allowed:
                raise InvalidData("bad-frame", f"frame {frame.type.decode()} holds a record of another kind")
            base = None if record.base is None else self._load_base(kind, record.base, new)
            data = decode_object(record, base)
            object_id = hash_bytes(data)
            if kind is not Kind.BLOB:
                for target, ids in group_references(kind, data).items():
                    needed[target].update(ids)
            remember(kind, object_id, data)
            new.append((object_id, record))
            self.objects += 1
        self._transaction.put_records(new)
        self._note(len(frame.payload))
        self._progress("receiving", self.objects, None, "objects")
        return self.objects - before

    def _load_base(self, kind: Kind, base: bytes, new: list[tuple[bytes, Record]]) -> bytes:
        """Load what a received object is based on; `new` are those of its frame that are not put yet."""
        while True:
            try:
                # Nearly always one of the last that were remembered.
                return self._transaction.load(kind, base)
            except CorruptStore as error:
                if error.code != "missing-object":
                    raise
                if not new:
                    raise InvalidData(
                        "missing-objects",
                        f"the remote sent a difference from {format_id(base)}, which is not here",
                    ) from None
            self._transaction.put_records(new)
            new.clear()

    def add_pack(self, path: Path, address: PackAddress, *, verified: bool = False) -> None:
        """Take the file of a downloaded pack into the store, every object of it verified.

        `verified` says that they are. Raises `wrong-hash`, `bad-pack`, `bad-record`, `missing-objects`.
        """
        from muse.remote.verifying import scan_file, verify_file

        objects = scan_file(path) if verified else verify_file(path, self._transaction.load)
        if {packed.kind for packed in objects} - {Kind.BLOB}:
            raise InvalidData("bad-pack", "a pack of a hub holds blobs only")
        if len(objects) != address.objects:
            raise InvalidData("bad-pack", "a pack holds another number of objects than announced")
        self._transaction.adopt_pack(path, objects)
        self.objects += len(objects)
        self._note(address.size_bytes)

    def can_hold(self, records: int, packs: Sequence[PackAddress]) -> bool:
        """Say whether all this together may be lost by a crash: twice what a flush waits for."""
        objects = records + sum(pack.objects for pack in packs)
        return objects <= 2 * FLUSH_OBJECTS and sum(pack.size_bytes for pack in packs) <= 2 * FLUSH_BYTES

    def hold(self) -> None:
        """Flush nothing until `release`: what is taken in now names what comes later."""
        self._held = True

    def release(self) -> None:
        self._held = False
        self._note(0)

    def _note(self, size_bytes: int) -> None:
        self._unflushed_bytes += size_bytes
        full = self.objects - self._flushed >= FLUSH_OBJECTS or self._unflushed_bytes >= FLUSH_BYTES
        if full and not self._held:
            self.flush()

    @property
    def is_flushed(self) -> bool:
        """Whether everything taken in so far is durable."""
        return self._flushed == self.objects

    def flush(self) -> None:
        """Check what was received and make it durable; refs still wait for the end of the transaction."""
        self.check_closure()
        self._transaction.flush()
        self._flushed, self._unflushed_bytes = self.objects, 0

    def check_closure(self) -> None:
        """Raise `missing-objects` unless everything that was received names only what is here."""
        for kind, ids in self._needed.items():
            missing = self._objects.find_missing(kind, ids)
            if missing:
                raise missing_objects(kind, missing)
            ids.clear()


def missing_objects(kind: Kind, ids: Iterable[bytes]) -> InvalidData:
    found = sorted(ids)
    return InvalidData(
        "missing-objects",
        f"the remote did not send {kind.word} {format_id(found[0])}"
        + (f" and {len(found) - 1} more" if len(found) > 1 else "")
        + ", which others name",
        hint="nothing was changed here; `musehub fsck` on the hub shows what it lacks",
        details={"kind": kind.word, "missing": [object_id.hex() for object_id in found[:20]]},
    )
