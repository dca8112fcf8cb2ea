"""Push: bring what the hub lacks to it and move its refs, or learn exactly why not.

Every attempt may be cut at any point: what the hub recorded stays, the id of the push is kept until its
result is known, and another attempt, now or from a later process, asks what became of it and sends the rest.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from muse.errors import Conflict, MuseError, NotFound, RemoteFailure
from muse.objects.ids import Kind
from muse.remote.client import CLIENT_NAME, HubClient
from muse.remote.selection import Wish
from muse.remote.state import find_open_push
from muse.remote.stopwatch import Phase, Stopwatch
from muse.remote.stream import NOTHING, Load, check_push_id, iter_push_frames, send_frames
from muse.remote.updates import PushOptions, RemoteRefs
from muse.store.progress import Progress, silent
from muse.wire.push import PUSH_ID_BYTES, PushHeader, PushResult, RefUpdate, parse_push_result
from muse.wire.refs import Ref

if TYPE_CHECKING:
    from muse.remote.plan import Plan
    from muse.store.repository import Repository

__all__ = ["PushOptions", "Pushed", "push"]

MAX_STALE = 5
"""How often a push takes up heads that moved under it before it gives up."""

TAKEN_FOR_WRONG = frozenset(
    (
        "bad-frame",
        "bad-object",
        "bad-pack",
        "bad-path",
        "bad-record",
        "missing-objects",
        "truncated",
        "wrong-hash",
    )
)
"""What a hub says of objects that are damaged here: they are copied unread."""


class Pushed(NamedTuple):
    """A push that landed. `receipt` is the hub's; `phases` add up to the whole of it; counts are what this
    run sent.
    """

    remote: str
    receipt: PushResult
    phases: list[Phase]
    requests: int
    bytes_sent: int
    packs: int
    objects: int
    resumed: bool


def push(
    repository: Repository,
    remote: str,
    wishes: Sequence[Wish],
    hub: HubClient,
    *,
    options: PushOptions | None = None,
    progress: Progress = silent,
) -> Pushed:
    """Move the remote's refs as wished, all or none, and bring everything they need there first.

    Nothing new costs one request and one answer. Raises `not-fast-forward` with a hint where the remote has
    commits that are not here, `stale-head` where a lease does not hold, and whatever hub, network and
    repository raise; run it again then, and only the rest goes.
    """
    return _Push(repository, remote, wishes, hub, options or PushOptions(), progress).run()


class _Push:
    def __init__(
        self,
        repository: Repository,
        remote: str,
        wishes: Sequence[Wish],
        hub: HubClient,
        options: PushOptions,
        progress: Progress,
    ) -> None:
        self._repository = repository
        self._remote = remote
        self._wishes = wishes
        self._hub = hub
        self._progress = progress
        self._watch = Stopwatch()
        self._watch.switch("plan")
        self._refs = RemoteRefs(repository, remote, hub, options, wishes)
        self._path = self._refs.path
        self._careful = False
        """Ask the hub what it has of every object, because what is known of it may not be all, or not be
        true.
        """
        self._checking_all = False
        """Leave out nothing because of the refs: ask the hub about every object."""
        self._resumed = False
        self._push_id = b""
        self._plan: Plan | None = None
        self._packs = 0
        self._objects = 0

    def run(self) -> Pushed:
        receipt = self._settle_open_push()
        if receipt is None and not self._refs.has_any():
            self._refresh()
        stale = failures = 0
        while receipt is None:
            try:
                receipt = self._attempt()
            except Conflict as error:
                if error.code == "stale-head" and "refs" in error.details and stale < MAX_STALE:
                    stale += 1
                    self._refs.learn(error)
                elif error.retry and self._hub.retry.wait(failures := failures + 1, error):
                    receipt = self._settle()
                else:
                    raise
            except MuseError as error:
                if error.details.get("incomplete") and not self._checking_all:
                    # The hub lost objects that it knew; this repository may have them.
                    self._checking_all = self._careful = True
                    self._refresh()
                elif error.code in ("missing-objects", "repository-not-found") and not self._careful:
                    # Refs that were here when last seen are not any more: an older state of the hub was
                    # restored.
                    self._careful = True
                    self._refresh()
                elif self._hub.retry.wait(failures := failures + 1, error):
                    receipt = self._settle()
                else:
                    self._find_damage(error)
                    raise
        if self._refs.create is not None:  # the hub says so of the request that made it, such as a pack's
            receipt = receipt._replace(created=True)
        self._finish(receipt)
        hub = self._hub
        return Pushed(
            self._remote,
            receipt,
            self._watch.stop(),
            hub.requests,
            hub.bytes_sent,
            self._packs,
            self._objects,
            self._resumed,
        )

    # ---- what became of an earlier attempt

    def _settle_open_push(self) -> PushResult | None:
        """Take up a push that another run of this command began and did not see the end of."""
        open_push = find_open_push(self._repository, self._remote)
        if open_push is None:
            return None
        self._push_id = open_push
        return self._settle()

    def _settle(self) -> PushResult | None:
        """Ask for the receipt of the push under way; None if it has not landed, and what it recorded is then
        reused.
        """
        if not self._push_id:
            return None
        self._watch.switch("ask for receipt")
        self._careful = self._resumed = True
        try:
            answer = self._hub.load_json("GET", f"{self._path}/push/{self._push_id.hex()}")
        except NotFound:
            return None
        if answer.get("state") != "done" or not isinstance(answer.get("result"), dict):
            return None
        receipt = parse_push_result({"timeline": answer.get("timeline") or {}} | answer["result"])
        self._refs.note_landed(receipt)
        if all(self._is_as_wished(receipt, wish) for wish in self._wishes):
            return receipt
        self._forget_push_id()
        return None

    def _is_as_wished(self, receipt: PushResult, wish: Wish) -> bool:
        return wish.name in receipt.refs and receipt.refs[wish.name] == wish.target

    def _forget_push_id(self) -> None:
        self._push_id = b""
        self._repository.remotes.set_open_push(self._remote, None)

    def _find_damage(self, error: MuseError) -> None:
        """Read and hash what was to be sent if the hub takes it for wrong, since records go as they lie here.

        Raises `corrupt-object` for the first one that is damaged.
        """
        if error.code in TAKEN_FOR_WRONG and self._plan is not None:
            for kind, ids in self._plan.by_kind().items():
                for _ in self._repository.objects.load_many(kind, ids):
                    pass

    def _refresh(self) -> None:
        self._watch.switch("ask for refs")
        self._refs.refresh(self._wishes)

    # ---- one attempt

    def _attempt(self) -> PushResult:
        self._watch.switch("plan")
        updates = self._refs.make_updates(self._wishes)
        moved = [
            update
            for update in updates
            if self._checking_all or update.old != update.new or not self._refs.is_there(update)
        ]
        self._push_id = self._push_id or os.urandom(PUSH_ID_BYTES)
        load = self._deliver(moved) if moved else NOTHING
        return self._send(updates, load)

    def _deliver(self, moved: list[RefUpdate]) -> Load:
        """Bring what these updates need, except for what may go with them."""
        from muse.remote.delivery import Delivery
        from muse.remote.plan import plan_push

        refs = self._refs
        targets = [Ref(update.new, update.kind) for update in moved if update.new is not None]
        known = [] if self._checking_all else refs.load_targets()
        delivery = Delivery(
            self._repository,
            self._hub,
            self._path,
            refs.limits,
            refs.create,
            lambda load: self._make_header([], load, more=True),
            self._watch,
            self._progress,
        )
        while True:
            plan = plan_push(self._repository, targets, known)
            self._plan = plan
            if not plan.is_empty:
                self._repository.remotes.set_open_push(self._remote, self._push_id.hex())
            anything_there = bool(known) or refs.has_any()
            load = delivery.deliver(plan, self._push_id, careful=self._careful, anything_there=anything_there)
            if not plan.cut_at:
                self._packs += delivery.packs
                self._objects += delivery.objects
                return load
            if load.counts:
                delivery.send_part(load)
                self._objects += sum(load.counts.values())
            known += (Ref(commit, Kind.COMMIT) for commit in plan.cut_at)
            del plan, load  # it may be as large as the next one
            self._plan = None
            self._watch.switch("plan")

    def _send(self, updates: list[RefUpdate], load: Load) -> PushResult:
        self._watch.switch("send")
        frames = iter_push_frames(self._make_header(updates, load), load)
        answer = send_frames(
            self._hub,
            self._path,
            lambda: frames,
            self._progress,
            lambda: self._watch.switch("wait for the hub"),
        )
        receipt = parse_push_result(answer)
        check_push_id(self._push_id, receipt.push_id)
        self._objects += sum(load.counts.values())
        return receipt

    def _make_header(self, updates: list[RefUpdate], load: Load, *, more: bool = False) -> PushHeader:
        return PushHeader(
            self._push_id,
            updates,
            self._refs.create,
            CLIENT_NAME,
            load.counts,
            load.size_bytes,
            self._checking_all,
            more,
        )

    # ---- the end

    def _finish(self, receipt: PushResult) -> None:
        """Check the receipt and remember what it says, in one transaction."""
        self._watch.switch("remember")
        self._refs.note_landed(receipt)
        wrong = [wish.name for wish in self._wishes if not self._is_as_wished(receipt, wish)]
        if wrong:
            raise RemoteFailure(
                "remote-error",
                f'the receipt does not say that "{wrong[0]}" is where it was pushed to',
                hint="`muse fetch` shows what the remote has",
                details={"refs": wrong},
            )
        self._refs.save(receipt)
