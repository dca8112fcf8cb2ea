"""Receives one stream of a push: header, objects, and the transaction that moves the branches.

A stream may be a part of a push: it ends without that transaction, and others follow.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from muse.errors import InternalError, InvalidData, MuseError
from muse.wire.frames import HEADER, Frame
from muse.wire.push import PartResult, PushHeader, parse_push_header
from musehub.accounts.actor import Actor
from musehub.db.pushes import DONE, FAILED, RECEIVING, finish_push, lock_push
from musehub.db.state import Totals
from musehub.db.transaction import Meter, metered
from musehub.push.event import LANDED, REPEATED, UP_TO_DATE, PushEvent
from musehub.push.finalise import check_updates, finalise
from musehub.push.heads import Standing, check_complete, check_heads, is_up_to_date, open_standing
from musehub.push.intake import Intake
from musehub.push.ledger import Parts, Uploads
from musehub.push.record import Recorder
from musehub.push.room import check_room
from musehub.push.service import PushService
from musehub.push.signers import SignerPolicy, check_reachable, load_policy
from musehub.push.stream import LONG_JSON_BYTES, MAX_JSON_VALUES, FrameReader
from musehub.push.timeline import FINALISE, HEADS, WAIT, Timeline
from musehub.repos.objects import ObjectReader
from musehub.storage.metering import StoreMeter, store_metered

logger = logging.getLogger("musehub.push")


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
    receiving = _Receiving(service, event.actor, header, standing, frames, timeline, meter, store_meter)
    check_complete(standing.repository, header)
    announced = sum(header.counts.values())
    in_place = not header.more and is_up_to_date(header, standing.refs)
    if in_place and not (standing.repository.is_incomplete and announced):
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
    """The state of one stream between its header and its answer."""

    def __init__(
        self,
        service: PushService,
        actor: Actor,
        header: PushHeader,
        standing: Standing,
        frames: FrameReader,
        timeline: Timeline,
        meter: Meter,
        store_meter: StoreMeter,
    ) -> None:
        self._service = service
        assert actor.user_id is not None
        self._actor = actor
        self._user_id = actor.user_id
        self._header = header
        self._repository = standing.repository
        self._standing = standing
        self._frames = frames
        self._timeline = timeline
        self._meter = meter
        self._store_meter = store_meter
        # Its packs and parts were answered before its last stream began.
        kept = standing.push.timeline if standing.push is not None else None
        self._uploads, self._parts = Uploads.of(kept), Parts.of(kept)
        self._counts: Mapping[str, int] = dict.fromkeys(("commits", "trees", "blobs", "received_bytes"), 0)
        self.earlier = False
        self._reader = ObjectReader(service.database, service.store, self._repository.id)
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
        recorder = self._open_recorder()
        try:
            check_heads(self._header.updates, self._standing.refs)
            policy = await load_policy(self._service.database, self._repository)
            intake = Intake(
                self._frames,
                recorder,
                self._reader,
                policy,
                self._timeline,
                self._service.settings.object_max_bytes,
                self._header.updates,
            )
            await intake.run()
            self._counts = intake.counts
            if self._header.more:
                return await self._finish_part(intake, recorder.begun)
            return await self._finish(policy, intake.forward)
        except BaseException as error:
            self._forget()
            if isinstance(error, Exception) and recorder.begun:
                await self._note_failure(error)
            raise

    def _open_recorder(self) -> Recorder:
        service, repository, push_id = self._service, self._repository, self._header.push_id
        if repository.is_incomplete:  # a check may have found missing what was known before
            self._forget()
        return Recorder(
            service.database,
            service.store,
            service.clock,
            self._timeline,
            service.settings,
            repository=repository,
            push_id=push_id,
            user_id=self._user_id,
            memory=service.memories.get((repository.id, push_id), repository.gc_epoch),
            pace=service.pace,
        )

    def _forget(self) -> None:
        self._service.memories.forget((self._repository.id, self._header.push_id))

    async def _finish_part(self, intake: Intake, begun: bool) -> dict[str, Any]:
        """Add this part's figures to those of its push, in the database: another hub may get the next one."""

        def add_part() -> dict[str, Any]:
            self._parts.add(intake.sha256, self._counts, self._timeline, self._meter, self._store_meter)
            return {"uploads": self._uploads.found(), "parts": self._parts.found()}

        if begun:
            await self._note({"state": RECEIVING, "finished_at": None, "result": None}, add_part)
        return PartResult(
            self._header.push_id, self._repository.full_name, self._standing.created, dict(self._counts)
        ).to_json()

    async def _finish(self, policy: SignerPolicy, forward: Mapping[str, set[bytes]]) -> dict[str, Any]:
        self._forget()
        service = self._service
        counts = self._all_counts()
        with self._timeline.phase(FINALISE):
            await check_updates(
                service.database, self._repository, self._header, self._standing.refs, forward
            )
            await check_reachable(service.database, self._reader, self._repository, policy, self._header)
            finalised = await finalise(
                service.database,
                service.clock,
                self._repository,
                self._actor,
                self._header,
                self._receipt(),
                {
                    "commit_count": counts["commits"],
                    "tree_count": counts["trees"],
                    "blob_count": counts["blobs"],
                    "received_bytes": counts["received_bytes"],
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

    def _all_counts(self) -> dict[str, int]:
        """Of the whole push: this stream, the parts before it, and the packs."""
        parts, uploads = self._parts.counts, self._uploads.counts
        return {
            "commits": self._counts["commits"] + parts["commits"],
            "trees": self._counts["trees"] + parts["trees"],
            "blobs": self._counts["blobs"] + parts["blobs"] + uploads["objects"],
            "received_bytes": self._frames.received_bytes + parts["bytes"] + uploads["bytes"],
        }

    def _timeline_json(self, finalise_s: float | None) -> dict[str, Any]:
        return self._timeline.to_json(
            self._meter,
            self._store_meter,
            finalise_transaction_s=finalise_s,
            uploads=self._uploads.found(),
            parts=self._parts.found(),
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
            "counts": self._all_counts(),
            "limits": self._service.limits.to_json(),
        }

    async def _note_failure(self, error: Exception) -> None:
        """Let the receipt say why. A stream that recorded nothing leaves no trace."""
        known = error if isinstance(error, MuseError) else InternalError("internal", "the hub failed")
        values = {"state": FAILED, "finished_at": self._service.clock(), "result": known.to_json()}
        await self._note(values, lambda: self._timeline_json(None))

    async def _note(self, values: Mapping[str, Any], make_timeline: Callable[[], dict[str, Any]]) -> None:
        """Say how far a push is that has not landed; packs of it may be noted at the same time."""
        repository_id, push_id = self._repository.id, self._header.push_id
        try:
            async with self._service.database.transaction("note stream") as conn:
                push = await lock_push(conn, repository_id, push_id)
                if push is None or push.state == DONE:
                    return
                self._uploads, self._parts = Uploads.of(push.timeline), Parts.of(push.timeline)
                await finish_push(conn, repository_id, push_id, {**values, "timeline": make_timeline()})
        except MuseError as error:  # what was recorded is; only its figures are lost
            logger.warning("the figures of push %s were not kept: %s", push_id.hex(), error)
