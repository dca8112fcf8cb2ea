"""Fetch: bring what the remote has and is not here, all or nothing, and move the remote-tracking refs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from muse.errors import MuseError
from muse.history.walk import is_ancestor
from muse.objects.commit import decode_tag
from muse.objects.ids import Kind
from muse.remote.client import CLIENT_NAME, JSON_TYPE, HubClient
from muse.remote.receive import Receiver, Stream, missing_objects
from muse.remote.state import (
    find_tracking_refs,
    get_remote_url,
    get_wanted_refs,
    load_tracking_refs,
    save_limits,
    tracking_prefix,
)
from muse.remote.stopwatch import Phase, Stopwatch
from muse.store.progress import Progress, silent
from muse.wire.fetch import MAX_WANTS, FetchRequest
from muse.wire.frames import PACKS
from muse.wire.refnames import HEADS, TAGS, full_ref_name
from muse.wire.refs import Limits, Ref

if TYPE_CHECKING:
    from muse.store.repository import Repository
    from muse.store.transaction import Transaction

KEPT_PACKS = "fetched-packs"
"""Digests of packs that an interrupted fetch took in; the next one does not download them again."""


class RefChange(NamedTuple):
    """A ref that moved here: `name` as in `remotes/origin/heads/main`; `forced` when it is not a
    fast-forward.
    """

    name: str
    old: Ref | None
    new: Ref | None
    forced: bool = False


class Fetched(NamedTuple):
    """A fetch that is complete. `refs` are all of the remote's, or at least those asked for; `kept_tags` are
    tags that differ here and were left alone. `phases` add up to the whole of it.
    """

    remote: str
    refs: dict[str, Ref]
    default_branch: str
    changes: list[RefChange]
    kept_tags: list[str]
    phases: list[Phase]
    requests: int
    bytes_received: int
    packs: int
    objects: int


def fetch(
    repository: Repository,
    remote: str,
    hub: HubClient,
    *,
    refs: Sequence[str] = (),
    prune: bool = False,
    progress: Progress = silent,
) -> Fetched:
    """Bring everything the remote's refs reach, or only `refs` (`main`, `heads/main`, `tags/v1`).

    Without `refs` those of the setting `remote.NAME.refs` are meant, if there is one.

    Every object is hashed again and everything that is named is present before a ref moves: the result is
    complete, or an error. What was received before an interruption is used by the next fetch. Tags that are
    not here are made here as well; `prune` removes remote-tracking refs that the remote no longer has. Raises
    `unknown-revision`, `missing-objects`, `truncated`, and what hub, network and repository raise.
    """
    return _Fetch(repository, remote, hub, refs, prune, progress).run()


class _Fetch:
    """One fetch, in as many attempts as it takes; each goes on with what those before it made durable."""

    def __init__(
        self,
        repository: Repository,
        remote: str,
        hub: HubClient,
        refs: Sequence[str],
        prune: bool,
        progress: Progress,
    ) -> None:
        self._repository = repository
        self._remote = remote
        self._hub = hub
        self._refs = [full_ref_name(name) for name in refs or get_wanted_refs(repository, remote)]
        self._prune = prune
        self._progress = progress
        self._watch = Stopwatch()
        self._path = get_remote_url(repository, remote).path
        self._kept_packs = _parse_digests(repository.remotes.get(remote, KEPT_PACKS))
        self._flushed_packs: list[str] = []
        self._changes: list[RefChange] = []
        self._kept_tags: list[str] = []
        self._packs = 0
        self._objects = 0

    def run(self) -> Fetched:
        def attempt(number: int) -> Fetched:
            try:
                return self._attempt()
            except MuseError as error:
                self._remember_packs(error)
                raise

        return self._hub.retry.run(attempt)

    def _attempt(self) -> Fetched:
        self._watch.switch("ask")
        self._changes, self._kept_tags = [], []
        request = FetchRequest(
            self._refs or None, self._find_haves(), True, CLIENT_NAME, all_refs=self._needs_all_refs
        )
        body = json.dumps(request.to_json()).encode()
        with self._hub.open_frames(f"{self._path}/fetch", JSON_TYPE, body) as answer:
            fetched = self._take(Stream(answer, self._progress))
        # The connection counts when it is given back.
        return fetched._replace(bytes_received=self._hub.bytes_received)

    def _take(self, stream: Stream) -> Fetched:
        self._watch.switch("receive")
        with self._repository.transaction() as transaction:
            receiver = Receiver(self._repository, transaction, self._progress)
            self._receive(stream, receiver)
            self._watch.switch("check")
            receiver.check_closure()
            wanted = self._find_wanted(stream.header.refs)
            self._check_targets(wanted)
            self._watch.switch("remember")
            self._move_refs(transaction, stream.header.refs, wanted)
            self._save_state(transaction, stream.header.limits)
        hub, header = self._hub, stream.header
        return Fetched(
            self._remote,
            header.refs,
            header.default_branch,
            self._changes,
            self._kept_tags,
            self._watch.stop(),
            hub.requests,
            hub.bytes_received,
            self._packs,
            self._objects,
        )

    # ---- objects

    @property
    def _needs_all_refs(self) -> bool:
        """What is gone at the remote is known only from all that is there."""
        return self._prune or not self._refs

    def _find_haves(self) -> list[bytes]:
        """Return commits and tags that refs lead to here: everything they name is here as well."""
        objects = self._repository.objects
        haves: dict[bytes, None] = {}
        head = self._repository.refs.head().target
        if head is not None:
            haves[head] = None
        for prefix in (tracking_prefix(self._remote), HEADS, TAGS, "remotes/"):
            for kind, target in self._repository.refs.load_targets(prefix):
                if len(haves) >= MAX_WANTS:
                    return list(haves)[:MAX_WANTS]
                while kind is Kind.TAG and target not in haves:
                    haves[target] = None
                    tag = decode_tag(objects.load(kind, target))
                    kind, target = tag.target_kind, tag.target
                if kind is Kind.COMMIT:
                    haves[target] = None
        return list(haves)[:MAX_WANTS]

    def _receive(self, stream: Stream, receiver: Receiver) -> None:
        """Take everything in. With packs, records wait for them in a file, because they may be based on them.

        The hub is still writing those while the packs are downloaded and verified.
        """
        for frame in stream:
            if frame.type == PACKS:
                self._watch.switch("download")
                self._receive_with_packs(stream, receiver)
                break
            stream.count(frame.type, receiver.add_frame(frame))
        self._objects = receiver.objects

    def _receive_with_packs(self, stream: Stream, receiver: Receiver) -> None:
        from muse.remote.intake import Intake

        taken: list[str] = []
        with Intake(self._hub, self._path, self._repository.temporary_dir, stream, receiver) as intake:
            packs = intake.wait_for_packs()
            self._flushed_packs = [pack.digest.hex() for pack in packs if pack.digest in self._kept_packs]
            wanted = [pack for pack in packs if pack.digest not in self._kept_packs]
            with closing(intake.iter_taken(wanted, self._progress)) as in_store:
                for pack in in_store:
                    self._packs += 1
                    taken.append(pack.digest.hex())
                    if receiver.is_flushed:
                        self._flushed_packs += taken
                        taken = []
            self._watch.switch("receive")
            intake.take_rest()

    def _remember_packs(self, error: MuseError) -> None:
        """Keep for the next attempt which packs are here; after a hole was found, trust none."""
        if error.code == "missing-objects":
            self._flushed_packs = []
        kept = {bytes.fromhex(digest) for digest in self._flushed_packs}
        if kept != self._kept_packs:
            self._kept_packs = kept
            try:
                self._repository.remotes.set(self._remote, KEPT_PACKS, " ".join(self._flushed_packs) or None)
            except MuseError:
                pass  # the first error says more

    # ---- refs

    def _find_wanted(self, refs: Mapping[str, Ref]) -> dict[str, Ref]:
        return {name: ref for name, ref in refs.items() if not self._refs or name in self._refs}

    def _check_targets(self, wanted: Mapping[str, Ref]) -> None:
        for kind in {ref.kind for ref in wanted.values()}:
            targets = {ref.target for ref in wanted.values() if ref.kind is kind}
            missing = self._repository.objects.find_missing(kind, targets)
            if missing:
                raise missing_objects(kind, missing)

    def _move_refs(
        self, transaction: Transaction, refs: Mapping[str, Ref], wanted: Mapping[str, Ref]
    ) -> None:
        prefix = tracking_prefix(self._remote)
        if self._needs_all_refs:
            before = load_tracking_refs(self._repository, self._remote)
        else:
            before = find_tracking_refs(self._repository, self._remote, wanted)
        for name, ref in wanted.items():
            old = before.get(name)
            if old != ref:
                transaction.set_ref(prefix + name, ref.target, kind=ref.kind)
                self._changes.append(RefChange(prefix + name, old, ref, self._is_forced(old, ref)))
            if name.startswith(TAGS):
                self._take_tag(transaction, name, ref)
        if self._prune:
            for name in sorted(before.keys() - refs.keys()):
                transaction.set_ref(prefix + name, None)
                self._changes.append(RefChange(prefix + name, before[name], None))

    def _is_forced(self, old: Ref | None, new: Ref) -> bool:
        if old is None:
            return False
        if old.kind is not Kind.COMMIT or new.kind is not Kind.COMMIT:
            return True
        return not is_ancestor(self._repository.graph, old.target, new.target)

    def _take_tag(self, transaction: Transaction, name: str, ref: Ref) -> None:
        here = self._repository.refs.get(name)
        if here is None:
            transaction.set_ref(name, ref.target, expected=None, kind=ref.kind)
            self._changes.append(RefChange(name, None, ref))
        elif (here.target, here.kind) != (ref.target, ref.kind):
            self._kept_tags.append(name)

    def _save_state(self, transaction: Transaction, limits: Limits) -> None:
        save_limits(self._repository, self._remote, limits, transaction)
        if self._repository.remotes.get(self._remote, KEPT_PACKS) is not None:
            self._repository.remotes.set(self._remote, KEPT_PACKS, None, transaction)


def _parse_digests(text: str | None) -> set[bytes]:
    try:
        return {bytes.fromhex(digest) for digest in (text or "").split()}
    except ValueError:
        return set()
