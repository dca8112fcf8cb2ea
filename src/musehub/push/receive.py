"""Receives one push: header, batches, end, and the transaction that moves the branches."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from muse.errors import InternalError, InvalidData, MuseError
from muse.objects.ids import Kind
from muse.packs.record import Record
from muse.wire.frames import BLOBS, COMMITS, END, HEADER, TREES, Frame
from muse.wire.messages import PushHeader
from muse.wire.parsing import parse_end, parse_push_header
from musehub.accounts.actor import Actor
from musehub.db.pushes import DONE, FAILED, fail_push, finish_push
from musehub.db.state import Totals
from musehub.db.transaction import Meter, metered
from musehub.push.absent import missing_objects
from musehub.push.decode import Batch, bases_of, parse_batch
from musehub.push.event import LANDED, REPEATED, UP_TO_DATE, PushEvent
from musehub.push.finalise import check_updates, finalise
from musehub.push.heads import Standing, check_complete, check_heads, is_up_to_date, open_standing
from musehub.push.ledger import Uploads
from musehub.push.record import Recorder
from musehub.push.room import check_room
from musehub.push.service import PushService
from musehub.push.signers import NONE, SignerPolicy, check_reachable, load_policy
from musehub.push.stream import FrameReader
from musehub.push.timeline import DECODE, FINALISE, HEADS, WAIT, Timeline
from musehub.repos.decoder import MissingBase
from musehub.repos.objects import ObjectReader
from musehub.storage.metering import StoreMeter, store_metered

logger = logging.getLogger("musehub.push")

BATCH_RECORDS = 2_000
"""A frame of small deltas holds many thousand; more at once would make a long transaction."""

LONG_JSON_BYTES = 64 << 10
MAX_JSON_VALUES = 200_000
"""10,000 updates of six values each, and commas in names."""

_ORDER = {TREES: 1, BLOBS: 1, COMMITS: 2}


async def receive_push(
    service: PushService, actor: Actor, owner: str, name: str, frames: FrameReader, timeline: Timeline
) -> dict[str, Any]:
    """Receive a push and return its receipt, the R of docs/formats/wire.md.

    `frames` are read up to E, or up to the first thing that is refused; the caller drains the rest. What is
    refused is raised; what was recorded until then stays.
    """
    event = PushEvent(actor, f"{owner}/{name}")
    with metered() as meter, store_metered() as store_meter:
        try:
            result = await _receive(service, event, owner, name, frames, timeline, meter, store_meter)
            event.end(result)
            return result
        except Exception as error:
            event.fail(error)
            raise
        finally:
            if event.outcome not in (LANDED, UP_TO_DATE):
                event.timeline = timeline.to_json(meter, store_meter)
            for observe in service.observers:
                observe(event)


async def _receive(
    service: PushService,
    event: PushEvent,
    owner: str,
    name: str,
    frames: FrameReader,
    timeline: Timeline,
    meter: Meter,
    store_meter: StoreMeter,
) -> dict[str, Any]:
    with timeline.phase(WAIT):
        first = await frames.read()
    if first is None or first.type != HEADER:
        raise InvalidData("bad-frame", "a push begins with frame H")
    frames.account(first)
    header = await _parse_header(first)
    event.push_id = header.push_id
    with timeline.phase(HEADS):
        standing = await open_standing(
            service.database,
            event.actor,
            owner,
            name,
            push_id=header.push_id,
            ref_names=[update.name for update in header.updates],
            create=header.create,
            limits=service.limits,
            now=service.clock(),
        )
    event.repository_id = standing.repository.id
    push = standing.push
    if push is not None and push.state == DONE and push.result is not None:
        event.outcome = REPEATED
        return push.result | {"timeline": push.timeline or {}}
    user_id = event.actor.user_id
    assert user_id is not None
    receiving = _Receiving(service, user_id, header, standing, frames, timeline, meter, store_meter)
    check_complete(standing.repository, header)
    announced = sum(header.counts.values())
    if is_up_to_date(header, standing.refs) and not (standing.repository.is_incomplete and announced):
        return receiving.up_to_date()
    if announced:
        with timeline.phase(HEADS):
            async with service.database.read("check room") as conn:
                added = Totals(header.size_bytes, announced)
                await check_room(conn, service.settings, standing.repository, added)
    with service.ledger.receiving((standing.repository.id, header.push_id)):
        result = await receiving.run()
    if receiving.earlier:
        event.outcome = REPEATED
    return result


async def _parse_header(frame: Frame) -> PushHeader:
    """In a thread if it is long: checking thousands of updates takes a while."""

    def parse() -> PushHeader:
        return parse_push_header(frame.json(MAX_JSON_VALUES))

    return await asyncio.to_thread(parse) if len(frame.payload) > LONG_JSON_BYTES else parse()


class _Receiving:
    """The state of one push between its header and its receipt."""

    def __init__(
        self,
        service: PushService,
        user_id: int,
        header: PushHeader,
        standing: Standing,
        frames: FrameReader,
        timeline: Timeline,
        meter: Meter,
        store_meter: StoreMeter,
    ) -> None:
        self._service = service
        self._user_id = user_id
        self._header = header
        self._repository = standing.repository
        self._standing = standing
        self._frames = frames
        self._timeline = timeline
        self._meter = meter
        self._store_meter = store_meter
        self._counts = {TREES: 0, BLOBS: 0, COMMITS: 0}
        # Its packs were confirmed before the stream began.
        self._uploads = Uploads.of(standing.push.timeline if standing.push is not None else None)
        self._started_at = service.clock()
        self.earlier = False
        self._policy = SignerPolicy(NONE, frozenset())
        self._recorder = Recorder(
            service.database,
            service.store,
            service.clock,
            timeline,
            service.settings,
            repository=self._repository,
            push_id=header.push_id,
            user_id=user_id,
        )
        self._reader = ObjectReader(service.database, service.store, self._repository.id)
        # Commits of this push known to descend from the head that is to move; parents come first.
        self._forward = {
            update.name: {update.old}
            for update in header.updates
            if update.old is not None and update.new is not None and update.kind is Kind.COMMIT
        }
        total = sum(header.counts.values())
        timeline.total = total or None

    def up_to_date(self) -> dict[str, Any]:
        now = self._service.clock().isoformat()
        return self._receipt() | {
            "up_to_date": True,
            "finished_at": now,
            "timeline": self._timeline_json(None),
        }

    async def run(self) -> dict[str, Any]:
        try:
            check_heads(self._header.updates, self._standing.refs)
            self._policy = await load_policy(self._service.database, self._repository)
            await self._receive_frames()
            await self._recorder.flush()
            return await self._finish()
        except Exception as error:
            await self._note_failure(error)
            raise

    async def _receive_frames(self) -> None:
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
                return
            order = _ORDER.get(frame.type)
            if order is None or order < stage:
                raise InvalidData("bad-frame", f"frame {frame.type.decode()} is out of order in a push")
            stage = order
            with self._timeline.phase(DECODE):
                records = await asyncio.to_thread(self._parse, frame)
            for start in range(0, len(records), BATCH_RECORDS):
                await self._receive_batch(frame.type, records[start : start + BATCH_RECORDS])

    def _check_end(self, frame: Frame) -> None:
        end = parse_end(frame.json(MAX_JSON_VALUES))
        counts = {name.decode(): count for name, count in self._counts.items()}
        announced = {name: end.counts.get(name, 0) for name in counts}
        if end.sha256 != self._frames.sha256 or announced != counts:
            raise InvalidData(
                "truncated",
                "what arrived is not what was sent",
                hint="push again",
                retry=True,
                details={"received": counts, "announced": announced},
            )

    async def _receive_batch(self, frame_type: bytes, records: list[Record]) -> None:
        recorder = self._recorder
        with self._timeline.phase(DECODE):
            batch = Batch(records)
            kinds = {record.kind for record in records if record.base is not None}
            for kind in kinds:
                bases = bases_of([record for record in records if record.kind == kind])
                unknown = [base for base in bases if not recorder.decoder.knows(kind, base)]
                if unknown:
                    recorder.decoder.offer(kind, await self._reader.load_chain_records(Kind(kind), unknown))
            while True:
                try:
                    await asyncio.to_thread(batch.decode, recorder.decoder, recorder.known, recorder.sums)
                    break
                except MissingBase as missing:
                    chain = await self._reader.load_chain_records(missing.kind, [missing.base])
                    if missing.base not in chain:
                        raise missing_objects([(missing.kind, missing.base)]) from None
                    recorder.decoder.offer(missing.kind, chain)
        self._policy.check(
            Kind.COMMIT, ((i, c.signature.key if c.signature else None) for i, c in batch.commits)
        )
        self._policy.check(Kind.TAG, ((i, t.signature.key if t.signature else None) for i, t in batch.tags))
        await recorder.add(batch)
        for object_id, commit in batch.commits:
            for descendants in self._forward.values():
                if not descendants.isdisjoint(commit.parents):
                    descendants.add(object_id)
        self._counts[frame_type] += len(batch.objects)
        self._timeline.done += len(batch.objects)

    def _parse(self, frame: Frame) -> list[Record]:
        self._frames.account(frame)
        return parse_batch(frame, self._service.settings.object_max_bytes)

    async def _finish(self) -> dict[str, Any]:
        service = self._service
        with self._timeline.phase(FINALISE):
            await check_updates(
                service.database, self._repository, self._header, self._standing.refs, self._forward
            )
            await check_reachable(
                service.database, self._reader, self._repository, self._policy, self._header
            )
            finalised = await finalise(
                service.database,
                service.settings,
                service.clock,
                self._repository,
                self._user_id,
                self._header,
                self._receipt(),
                {
                    "commit_count": self._counts[COMMITS],
                    "tree_count": self._counts[TREES],
                    "blob_count": self._blob_count(),
                    "received_bytes": self._received_bytes(),
                },
                service.job_kinds,
            )
        if finalised.earlier:
            self.earlier = True
            return finalised.receipt
        timeline = self._timeline_json(finalised.transaction_s)
        try:
            async with service.database.transaction("note timeline") as conn:
                await finish_push(conn, self._repository.id, self._header.push_id, {"timeline": timeline})
        except MuseError as error:  # the push has landed; only its figures are lost
            logger.warning("the timeline of push %s was not kept: %s", self._header.push_id.hex(), error)
        return finalised.receipt | {"timeline": timeline}

    def _blob_count(self) -> int:
        return self._counts[BLOBS] + self._uploads.objects

    def _received_bytes(self) -> int:
        return self._frames.received_bytes + self._uploads.bytes

    def _timeline_json(self, finalise_s: float | None) -> dict[str, Any]:
        uploads = self._uploads
        return self._timeline.to_json(
            self._meter,
            self._store_meter,
            finalise_transaction_s=finalise_s,
            uploads=uploads.to_json() if uploads.packs else None,
        )

    def _receipt(self) -> dict[str, Any]:
        updates = self._header.updates
        return {
            "push_id": self._header.push_id.hex(),
            "repository": self._repository.full_name,
            "created": self._standing.created,
            "up_to_date": False,
            "finished_at": "",
            "updates": [update.to_json() for update in updates],
            "refs": {
                update.name: {"target": update.new.hex(), "kind": update.kind.name.lower()}
                if update.new is not None
                else None
                for update in updates
            },
            "counts": {
                "commits": self._counts[COMMITS],
                "trees": self._counts[TREES],
                "blobs": self._blob_count(),
                "received_bytes": self._received_bytes(),
            },
            "limits": self._service.limits.to_json(),
        }

    async def _note_failure(self, error: Exception) -> None:
        """Let the receipt say why; a push that recorded nothing leaves no trace."""
        if not self._recorder.begun:
            return
        known = error if isinstance(error, MuseError) else InternalError("internal", "the hub failed")
        values = {
            "state": FAILED,
            "finished_at": self._service.clock(),
            "result": known.to_json(),
            "timeline": self._timeline_json(None),
        }
        try:
            async with self._service.database.transaction("note failure") as conn:
                await fail_push(conn, self._repository.id, self._header.push_id, values)
        except MuseError as second:
            logger.warning("the failure of push %s was not noted: %s", self._header.push_id.hex(), second)
