"""What is known of a remote's refs while a push goes on, and the compare-and-swaps made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from muse.errors import Conflict, NotFound
from muse.objects.ids import Kind, short_id
from muse.remote.client import HubClient
from muse.remote.selection import Wish
from muse.remote.state import (
    get_remote_url,
    load_limits,
    load_tracking_refs,
    save_limits,
    save_tracking_refs,
)
from muse.wire.push import Create, PushResult, RefUpdate
from muse.wire.refnames import HEADS
from muse.wire.refs import Ref, parse_limits, parse_optional_refs, parse_refs_answer

if TYPE_CHECKING:
    from muse.store.repository import Repository
    from muse.store.transaction import Transaction


class PushOptions(NamedTuple):
    """`lease`: force, but only over what was last seen, or over `expected` where it names the ref. `create`
    allows making a repository that does not exist; `visibility` None is the hub's choice, private.
    """

    lease: bool = False
    expected: Mapping[str, bytes | None] = {}
    create: bool = True
    visibility: str | None = None


class RemoteRefs:
    """The refs and limits of one remote: at first as last seen, then as the hub says.

    `known` becomes the remote-tracking refs in the end. `create` is set when the repository is to be made.
    """

    def __init__(self, repository: Repository, remote: str, hub: HubClient, options: PushOptions) -> None:
        self._repository = repository
        self._remote = remote
        self._hub = hub
        self._options = options
        self.path = get_remote_url(repository, remote).path
        self._tracked = load_tracking_refs(repository, remote)
        self.known = dict(self._tracked)
        self.limits = load_limits(repository, remote)
        self.create: Create | None = None

    # ---- learning

    def refresh(self, wishes: Sequence[Wish]) -> None:
        """Ask for refs and limits; where the repository is not there but may be made, prepare for that."""
        try:
            answer = parse_refs_answer(self._hub.load_json("GET", f"{self.path}/refs"))
        except NotFound as error:
            if not (self._options.create and error.details.get("may_create")):
                raise
            if "limits" in error.details:
                self.limits = parse_limits(error.details["limits"])
            self.known = {}
            self.create = Create(self._options.visibility, self._choose_default_branch(wishes))
        else:
            self.known = answer.refs
            self.limits = answer.limits
            self.create = None

    def _choose_default_branch(self, wishes: Sequence[Wish]) -> str | None:
        branches = [
            wish.name.removeprefix(HEADS)
            for wish in wishes
            if wish.target is not None and wish.name.startswith(HEADS)
        ]
        for preferred in (self._repository.refs.head().branch, "main"):
            if preferred in branches:
                return preferred
        return branches[0] if branches else None

    def learn(self, error: Conflict) -> None:
        """Take the current values of refs out of a `stale-head`; raises where a lease does not hold."""
        if self._options.lease:
            raise Conflict(
                error.code,
                error.message,
                hint="somebody pushed since you last fetched: look at what with `muse fetch`",
                details=error.details,
            )
        before = dict(self.known)
        for name, ref in parse_optional_refs(error.details["refs"]).items():
            self._set(name, ref)
        if self.known == before:
            raise error

    def note_landed(self, receipt: PushResult) -> None:
        for name, ref in receipt.refs.items():
            self._set(name, ref)

    def _set(self, name: str, ref: Ref | None) -> None:
        if ref is None:
            self.known.pop(name, None)
        else:
            self.known[name] = ref

    # ---- compare-and-swaps

    def make_updates(self, wishes: Sequence[Wish]) -> list[RefUpdate]:
        """Turn wishes into updates; asks the hub before it refuses one, since what is known may be old.

        Raises `not-fast-forward`, `already-exists` for a tag, `unknown-branch` for a deletion.
        """
        try:
            return [self._make_update(wish) for wish in wishes]
        except (Conflict, NotFound):
            if self._options.lease:
                raise
        self.refresh(wishes)
        return [self._make_update(wish) for wish in wishes]

    def is_there(self, update: RefUpdate) -> bool:
        """Say whether the ref is known to be where the update wants it."""
        known = self.known.get(update.name)
        return known is not None and (known.target, known.kind) == (update.new, update.kind)

    def _make_update(self, wish: Wish) -> RefUpdate:
        known = self.known.get(wish.name)
        old = self._options.expected.get(wish.name, known.target if known else None)
        force = wish.force or self._options.lease
        if wish.target is None:
            if old is None:
                raise NotFound("unknown-branch", f'"{self._remote}" has no "{wish.name}"')
            return RefUpdate(wish.name, old, None, Kind.COMMIT, force)
        target = wish.target
        if not force and known and known.target != target.target:
            self._check_move(wish.name, known, target)
        return RefUpdate(wish.name, old, target.target, target.kind, force)

    def _check_move(self, name: str, old: Ref, new: Ref) -> None:
        if not name.startswith(HEADS):
            raise Conflict(
                "already-exists",
                f'"{self._remote}" has another "{name}"',
                hint="a tag that is published should stay; `--force` moves it all the same",
            )
        from muse.history.walk import is_ancestor

        graph = self._repository.graph
        here = self._repository.objects.find_node(old.target) is not None
        if here and is_ancestor(graph, old.target, new.target):
            return
        raise Conflict(
            "not-fast-forward",
            f'"{name}" of "{self._remote}" has commits that yours does not descend from '
            f"(it is at {short_id(old.target)})",
            hint="`muse pull` brings them, or says how to put yours on top; then push again",
            details={"name": name, "current": old.target.hex()},
        )

    # ---- remembering

    def save(self, receipt: PushResult) -> None:
        """Write what is known, as far as it is here, and that no push is under way."""
        repository, remote = self._repository, self._remote
        after = {
            name: ref
            for name, ref in self.known.items()
            if ref == self._tracked.get(name) or repository.objects.has(ref.kind, ref.target)
        }
        was_open = repository.remotes.get_open_push(remote) is not None
        if after == self._tracked and not was_open and load_limits(repository, remote) == receipt.limits:
            return
        with repository.transaction() as transaction:
            self._save(transaction, after, receipt, was_open)

    def _save(
        self, transaction: Transaction, after: dict[str, Ref], receipt: PushResult, was_open: bool
    ) -> None:
        save_tracking_refs(transaction, self._remote, self._tracked, after)
        save_limits(self._repository, self._remote, receipt.limits, transaction)
        if was_open:
            self._repository.remotes.set_open_push(self._remote, None, transaction)
