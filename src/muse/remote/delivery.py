"""The way of a plan to the hub: asked about, uploaded in packs, and what is left for the last stream."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from muse.errors import NotFound
from muse.objects.ids import Kind
from muse.remote.metadata import MetadataInParts
from muse.remote.plan import Plan, find_recorded, remove_recorded
from muse.remote.records import Outgoing, Piece
from muse.remote.stopwatch import Stopwatch
from muse.remote.stream import Load, check_push_id, iter_push_frames, send_frames
from muse.store.progress import Progress, silent
from muse.wire.push import Create, PushHeader, parse_part_result
from muse.wire.refs import Limits

if TYPE_CHECKING:
    from muse.remote.client import HubClient
    from muse.store.repository import Repository

MakeHeader = Callable[[Load], PushHeader]


class Delivery:
    """Brings objects to the hub within one attempt of a push. `packs` and `objects` count what it brought.

    `make_header` makes the head of a part.
    """

    def __init__(
        self,
        repository: Repository,
        hub: HubClient,
        path: str,
        limits: Limits,
        create: Create | None,
        make_header: MakeHeader,
        watch: Stopwatch,
        progress: Progress,
    ) -> None:
        self._objects = repository.objects
        self._hub = hub
        self._path = path
        self._limits = limits
        self._create = create
        self._make_header = make_header
        self._watch = watch
        self._progress = progress
        self._bytes = 0
        self.packs = 0
        self.objects = 0

    def deliver(self, plan: Plan, push_id: bytes, *, careful: bool, anything_there: bool) -> Load:
        """Upload what is too much for one stream, and return the rest.

        `careful` asks the hub about all of the plan, and `anything_there` about blobs if they are many.
        """
        if not plan.is_empty and (careful or (self._is_large(plan) and anything_there)):
            self._watch.switch("ask what is missing")
            plan = self._remove_recorded(plan, only_blobs=not careful)
        blobs = None
        if not self._is_large(plan):
            self._watch.switch("read")
            blobs = self._find_blobs(plan)
        metadata = MetadataInParts(self._objects, plan, self.send_part)
        if blobs is None:
            self._watch.switch("upload")
            try:
                self._upload(plan, push_id, metadata)
            except Exception:
                metadata.finish()  # or the next attempt would meet what is still under way
                raise
            self._watch.switch("send")
            metadata.finish()
            self.objects += metadata.objects_sent
            return metadata.rest()
        rest = metadata.rest()
        count = sum(piece.records for piece in blobs)
        counts = {**rest.counts, "O": count} if count else rest.counts
        return rest._replace(counts=counts, size_bytes=sum(len(piece.data) for piece in blobs), blobs=blobs)

    def _is_large(self, plan: Plan) -> bool:
        return plan.find_blobs(self._limits.stream_max_objects)

    def _remove_recorded(self, plan: Plan, *, only_blobs: bool) -> Plan:
        try:
            return remove_recorded(self._hub, self._path, plan, only_blobs=only_blobs)
        except NotFound:
            if self._create is None:
                raise
            return plan  # the repository is still to be made

    def _find_recorded(self, blobs: Collection[bytes]) -> Iterable[bytes]:
        try:
            return find_recorded(self._hub, self._path, blobs)
        except NotFound:  # the first pack makes the repository
            return ()

    def _find_blobs(self, plan: Plan) -> list[Piece] | None:
        """Read the blobs of a small push; None when they are too many bytes for one request."""
        most = self._limits.stream_max_size_bytes
        places = self._objects.find_places(Kind.BLOB, plan.blobs)
        if sum(place.end - place.offset for place in places) >= most:
            return None
        pieces = list(Outgoing(self._objects, plan.had).iter_blobs(places))
        return pieces if sum(len(piece.data) for piece in pieces) < most else None

    def _upload(self, plan: Plan, push_id: bytes, metadata: MetadataInParts) -> None:
        from muse.remote.packing import iter_packs
        from muse.remote.upload import Uploader

        confirmed = metadata.note_confirmed
        before = self._bytes

        def report(phase: str, done: int, total: int | None, unit: str) -> None:
            self._progress(phase, before + done, None if total is None else before + total, unit)

        with Uploader(self._hub, self._path, push_id, self._create, report, confirmed) as uploader:
            for pack in iter_packs(self._objects, plan, self._limits, self._find_recorded):
                metadata.expect(pack)
                uploader.submit(pack, plan.find_more)
            done = uploader.finish()
        self.packs += done.packs
        self._bytes += done.size_bytes
        self.objects += done.objects

    def send_part(self, load: Load) -> None:
        """Send what may be recorded before the refs move; `MetadataInParts` calls it in its own thread."""
        header = self._make_header(load)
        frames = iter_push_frames(header, load)
        answer = parse_part_result(send_frames(self._hub, self._path, lambda: frames, silent))
        check_push_id(header.push_id, answer.push_id)
