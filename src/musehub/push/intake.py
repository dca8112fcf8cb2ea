"""Takes the frames of one stream: records become objects, batch by batch, until E says that they were all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from muse.errors import InvalidData
from muse.objects.commit import decode_tag
from muse.objects.ids import Kind
from muse.packs.record import Record
from muse.wire.frames import BLOBS, COMMITS, END, TREES, Frame
from muse.wire.push import RefUpdate
from muse.wire.stream import parse_end
from musehub.push.absent import missing_objects
from musehub.push.decode import MAX_TAG_CHAIN, Batch, bases_of, parse_batch, too_long_chain
from musehub.push.record import Recorder
from musehub.push.signers import SignerPolicy
from musehub.push.stream import MAX_JSON_VALUES, FrameReader
from musehub.push.timeline import DECODE, WAIT, Timeline
from musehub.repos.decoder import MissingBase
from musehub.repos.objects import ObjectReader

MAX_COMMIT_BYTES = 2 << 20
"""Inflated commits of one batch: a few kilobytes of a stream may hold a gigabyte of names of parents."""

_OF_COMMITS = frozenset((int(Kind.COMMIT), int(Kind.TAG)))
_ORDER = {TREES: 1, BLOBS: 1, COMMITS: 2}


class Intake:
    """The objects of one stream on their way to the recorder. For one task."""

    def __init__(
        self,
        frames: FrameReader,
        recorder: Recorder,
        reader: ObjectReader,
        policy: SignerPolicy,
        timeline: Timeline,
        max_object_bytes: int,
        updates: list[RefUpdate],
    ) -> None:
        self._frames = frames
        self._recorder = recorder
        self._reader = reader
        self._policy = policy
        self._timeline = timeline
        self._max_object_bytes = max_object_bytes
        self._received = {TREES: 0, BLOBS: 0, COMMITS: 0}
        self.sha256 = b""
        """The hash that E gave, once it was found right."""
        self.forward = {
            update.name: {update.old}
            for update in updates
            if update.old is not None and update.new is not None and update.kind is Kind.COMMIT
        }
        """Commits of this stream known to descend from the head that is to move; parents come first."""

    @property
    def counts(self) -> Mapping[str, int]:
        """What has arrived so far, under the names that a receipt has for it."""
        return {
            "commits": self._received[COMMITS],
            "trees": self._received[TREES],
            "blobs": self._received[BLOBS],
            "received_bytes": self._frames.received_bytes,
        }

    async def run(self) -> None:
        """Take everything up to E and make it durable."""
        stage = 0
        while True:
            with self._timeline.phase(WAIT):
                frame = await self._frames.read()
            if frame is None:
                raise InvalidData(
                    "truncated", "the push ended without frame E", hint="push again", retry=True
                )
            if frame.type == END:
                self._check_end(frame)
                break
            order = _ORDER.get(frame.type)
            if order is None or order < stage:
                raise InvalidData("bad-frame", f"frame {frame.type.decode()} is out of order in a push")
            stage = order
            with self._timeline.phase(DECODE):
                records = await asyncio.to_thread(self._parse, frame)
            # A frame of small deltas holds many thousand; more at once would make a long transaction.
            start = 0
            while start < len(records):
                batch = _cut(records, start, self._recorder.batch_rows)
                await self._take(frame.type, batch)
                start += len(batch)
        await self._recorder.flush()

    def _check_end(self, frame: Frame) -> None:
        end = parse_end(frame.json(MAX_JSON_VALUES))
        counts = {name.decode(): count for name, count in self._received.items()}
        announced = {name: end.counts.get(name, 0) for name in counts}
        if end.sha256 != self._frames.sha256 or announced != counts:
            raise InvalidData(
                "truncated",
                "what arrived is not what was sent",
                hint="push again",
                retry=True,
                details={"received": counts, "announced": announced},
            )
        self.sha256 = end.sha256

    async def _take(self, frame_type: bytes, records: list[Record]) -> None:
        recorder = self._recorder
        batch = Batch(records)
        with self._timeline.phase(DECODE):
            while True:
                try:
                    await asyncio.to_thread(batch.decode, recorder.decoder, recorder.known)
                    break
                except MissingBase as missing:
                    await self._offer_bases(batch, missing)
        self._policy.check(
            Kind.COMMIT, ((i, c.signature.key if c.signature else None) for i, c in batch.commits)
        )
        self._policy.check(Kind.TAG, ((i, t.signature.key if t.signature else None) for i, t in batch.tags))
        await recorder.add(batch)
        await self._check_chains(batch.recorded_tags)
        for object_id, commit in batch.commits:
            for descendants in self.forward.values():
                if not descendants.isdisjoint(commit.parents):
                    descendants.add(object_id)
        self._received[frame_type] += len(batch.objects)
        self._timeline.done += len(batch.objects)

    async def _check_chains(self, tags: set[bytes]) -> None:
        """Follow recorded tags that new ones name; raises `too-large`."""
        for _ in range(MAX_TAG_CHAIN):
            if not tags:
                return
            found = await self._reader.load_many(Kind.TAG, sorted(tags))
            named = [decode_tag(data) for data in found.values()]
            tags = {tag.target for tag in named if tag.target_kind is Kind.TAG}
        raise too_long_chain()

    async def _offer_bases(self, batch: Batch, missing: MissingBase) -> None:
        """Offer what the rest of a batch stands on: what came before; in one question, what is recorded."""
        decoder, kind = self._recorder.decoder, missing.kind
        decoder.offer(kind, {i: record for i, record in batch.objects if record.kind == kind})
        if decoder.knows(kind, missing.base):  # it was decoded too long ago to be at hand
            return
        rest = [record for record in batch.records[len(batch.objects) :] if record.kind == kind]
        bases = {missing.base, *(base for base in bases_of(rest) if not decoder.knows(kind, base))}
        chains = await self._reader.load_chain_records(kind, list(bases))
        if missing.base not in chains:
            raise missing_objects([(kind, missing.base)])
        decoder.offer(kind, chains)

    def _parse(self, frame: Frame) -> list[Record]:
        self._frames.account(frame)
        return parse_batch(frame, self._max_object_bytes)


def _cut(records: list[Record], start: int, max_rows: int) -> list[Record]:
    """The next batch: so many records, and fewer of large commits, whose parents become a row each."""
    batch = records[start : start + max_rows]
    if batch[0].kind not in _OF_COMMITS:
        return batch
    size_bytes = 0
    for place, record in enumerate(batch):
        size_bytes += record.raw_size
        if size_bytes > MAX_COMMIT_BYTES and place:
            return batch[:place]
    return batch
