"""The trees and commits of a push: some go in parts while packs are still uploaded, the rest at the end.

A part may go once the hub has every blob that it names. Without parts the hub would be idle on them first and
have all of them to check when everything else is done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING

from muse.errors import MuseError
from muse.history.missing import Step
from muse.remote.records import Outgoing
from muse.remote.stream import Load

if TYPE_CHECKING:
    from muse.remote.packing import Pack
    from muse.remote.plan import Plan
    from muse.store.objects import ObjectStore

SendPart = Callable[[Load], None]
"""Sends a part and returns when the hub has recorded it."""


class MetadataInParts:
    """Knows what has gone and what may go now, and sends parts in a thread of its own, one after the other.

    Tell it of every pack before it is uploaded and once it is confirmed; then `finish`, and send `rest`. When
    a part fails, no other follows: the rest is then longer, and meets the same failure if it lasts.
    """

    def __init__(self, objects: ObjectStore, plan: Plan, send: SendPart) -> None:
        self._objects = objects
        self._plan = plan
        self._send = send
        self._outgoing = Outgoing(objects, plan.had)
        self._changed = threading.Condition()
        self._steps_gone = 0
        self._sent = self._may_go = Step(0, 0, 0)
        self._packs: dict[bytes, int] = {}
        """What is reached with each pack, in order, until it is confirmed with all before it."""
        self._confirmed: set[bytes] = set()
        self._started = self._busy = self._closed = False
        self._failure: BaseException | None = None

    @property
    def objects_sent(self) -> int:
        return self._sent.metadata + self._sent.commits

    def expect(self, pack: Pack) -> None:
        with self._changed:
            self._packs[pack.digest] = pack.reached

    def note_confirmed(self, pack: Pack) -> None:
        """Take up that a pack is at the hub; a part may go now."""
        with self._changed:
            self._confirmed.add(pack.digest)
            reached = 0
            for digest in list(self._packs):
                if digest not in self._confirmed:
                    break
                self._confirmed.remove(digest)
                reached = self._packs.pop(digest)
            steps = self._plan.steps
            while self._steps_gone < len(steps) and steps[self._steps_gone].blobs <= reached:
                self._may_go = steps[self._steps_gone]
                self._steps_gone += 1
            if self._may_go != self._sent and not self._started:
                self._started = True
                threading.Thread(target=self._work, name="metadata", daemon=True).start()
            self._changed.notify_all()

    def finish(self) -> None:
        """Begin no other part, and wait for the one under way."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            while self._busy:
                self._changed.wait()
            if self._failure is not None and not isinstance(self._failure, MuseError):
                raise self._failure

    def rest(self) -> Load:
        """Return what has not gone; to be called after `finish`."""
        plan, sent = self._plan, self._sent
        if self._failure is not None:
            gone = chain(plan.metadata[: sent.metadata], plan.commits[: sent.commits])
            self._outgoing = Outgoing(self._objects, chain(plan.had, gone))
        end = Step(len(plan.commits), len(plan.metadata), len(plan.blobs))
        return self._make_load(sent, end)

    def _make_load(self, begin: Step, end: Step) -> Load:
        """Return what goes from one step to another; reading it counts it as sent."""
        plan = self._plan
        trees = (plan.metadata[number] for number in range(begin.metadata, end.metadata))
        commits = (plan.commits[number] for number in range(begin.commits, end.commits))
        counts = {"S": end.metadata - begin.metadata, "C": end.commits - begin.commits}
        read = self._outgoing.iter_ordered
        return Load({name: n for name, n in counts.items() if n}, 0, (), read(trees), read(commits))

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and self._may_go == self._sent:
                    self._changed.wait()
                if self._closed:
                    return
                upto, self._busy = self._may_go, True
            failure: BaseException | None = None
            try:
                self._send(self._make_load(self._sent, upto))
            except BaseException as error:
                failure = error
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                if failure is not None:
                    self._failure, self._closed = failure, True
                    return
                self._sent = upto
