"""What is known of a remote's refs while a push goes on, and the compare-and-swaps made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from muse.errors import Conflict, NotFound
from muse.objects.ids import Kind, short_id
from muse.remote.client import HubClient
from muse.remote.selection import Wish
from muse.remote.state import (
    find_tracking_refs,
    get_remote_url,
    load_limits,
    load_tracking_refs,
    load_tracking_targets,
    save_limits,
    save_tracking_refs,
    tracking_prefix,
)
from muse.wire.push import Create, PushResult, RefUpdate
from muse.wire.refnames import HEADS
from muse.wire.refs import Ref, parse_limits, parse_optional_refs, parse_refs_answer

if TYPE_CHECKING:
    from muse.store.repository import Repository


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

    What is known becomes the remote-tracking refs in the end. There may be very many: all of them are read
    only where all are needed. `create` is set when the repository is to be made.
    """

    def __init__(
        self,
        repository: Repository,
        remote: str,
        hub: HubClient,
        options: PushOptions,
        wishes: Sequence[Wish],
    ) -> None:
        self._repository = repository
        self._remote = remote
        self._hub = hub
        self._options = options
        self.path = get_remote_url(repository, remote).path
        self._seen = find_tracking_refs(repository, remote, [wish.name for wish in wishes])
        """Those wished for, as last seen."""
        self._listed: dict[str, Ref] | None = None
        """All of them, once the hub has listed them."""
        self._news: dict[str, Ref | None] = {}
        """What the hub has said since of single ones."""
        self.limits = load_limits(repository, remote)
        self.create: Create | None = None

    # ---- knowing

    def find(self, name: str) -> Ref | None:
        """Return what is known of a ref that is wished for, or that the hub spoke of."""
        if name in self._news:
            return self._news[name]
        return (self._seen if self._listed is None else self._listed).get(name)

    def has_any(self) -> bool:
        if self._listed is None:
            return bool(self._news) or self._repository.refs.has_any(tracking_prefix(self._remote))
        return bool(self._news or self._listed)

    def load_targets(self) -> list[Ref]:
        """Return what they point at, each once: the hub has that."""
        if self._listed is None and not self._news:
            return load_tracking_targets(self._repository, self._remote)
        return list(set(self._load_all().values()))

    def _load_all(self) -> dict[str, Ref]:
        known = self._listed
        if known is None:
            known = load_tracking_refs(self._repository, self._remote)
        return {name: ref for name, ref in {**known, **self._news}.items() if ref is not None}

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
            self._listed = {}
            self.create = Create(self._options.visibility, self._choose_default_branch(wishes))
        else:
            self._listed = answer.refs
            self.limits = answer.limits
            self.create = None
        self._news = {}

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
        said = parse_optional_refs(error.details["refs"])
        if all(self.find(name) == ref for name, ref in said.items()):
            raise error
        self._news |= said

    def note_landed(self, receipt: PushResult) -> None:
        self._news |= receipt.refs

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
        known = self.find(update.name)
        return known is not None and (known.target, known.kind) == (update.new, update.kind)

    def _make_update(self, wish: Wish) -> RefUpdate:
        known = self.find(wish.name)
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
        if self._listed is None:
            before = find_tracking_refs(repository, remote, self._news)
            known = {name: ref for name, ref in self._news.items() if ref is not None}
        else:
            before, known = load_tracking_refs(repository, remote), self._load_all()
        after = {
            name: ref
            for name, ref in known.items()
            if ref == before.get(name) or repository.objects.has(ref.kind, ref.target)
        }
        was_open = repository.remotes.get_open_push(remote) is not None
        if after == before and not was_open and load_limits(repository, remote) == receipt.limits:
            return
        with repository.transaction() as transaction:
            save_tracking_refs(transaction, remote, before, after)
            save_limits(repository, remote, receipt.limits, transaction)
            if was_open:
                repository.remotes.set_open_push(remote, None, transaction)
