"""The last part of an import: refs follow the source without losing anybody's work (docs/git.md, "Refs")."""

from __future__ import annotations

import json
from collections.abc import Callable

from muse.git.known import INEXACT, KnownObjects
from muse.git.references import GitHead, GitRef, to_git, to_muse
from muse.git.results import RefChange
from muse.history.walk import is_ancestor
from muse.objects.ids import Kind
from muse.store.refs import Ref
from muse.store.repository import Repository
from muse.store.transaction import Transaction

RECORD = "git"
"""Under this name `RemoteState` keeps which refs the last import from each source brought."""

CREATED = "created"
UNCHANGED = "unchanged"
FAST_FORWARD = "fast-forward"
FORCED = "forced"
AHEAD = "ahead"
DIVERGED = "diverged"
VANISHED = "vanished"
PRUNED = "pruned"


class RefImport:
    """Decides where each ref goes and tells the transaction."""

    def __init__(
        self, repository: Repository, transaction: Transaction, known: KnownObjects, prune: bool, force: bool
    ) -> None:
        self._repository = repository
        self._transaction = transaction
        self._known = known
        self._prune = prune
        self._force = force
        self._before = {ref.name: ref for ref in repository.refs.iter()}
        self._head = repository.refs.head()
        self._current: tuple[bytes | None, bytes] | None = None

    def move(self, name: str, ref: GitRef) -> RefChange | None:
        """Let one ref follow the source; None when what it points at was left out."""
        mapped = self._known.find(ref.id)
        if mapped is None:
            return None
        old = self._before.get(name)
        how = self._decide(old, mapped.kind, mapped.id)
        if how in (CREATED, FAST_FORWARD, FORCED):
            expected = old.target if old is not None else None
            self._transaction.set_ref(name, mapped.id, expected, kind=mapped.kind)
            if name == self._head.ref:
                self._current = (expected, mapped.id)
        return RefChange(name, ref.name, old.target.hex() if old else None, mapped.id.hex(), how)

    def _decide(self, old: Ref | None, kind: Kind, new: bytes) -> str:
        if old is None:
            return CREATED
        if old.target == new and old.kind == kind:
            return UNCHANGED
        # A tag is not expected to move, wherever to.
        walks = not old.name.startswith("tags/") and old.kind is kind is Kind.COMMIT
        graph = self._repository.graph
        if walks and is_ancestor(graph, old.target, new):
            return FAST_FORWARD
        if self._force or self._is_from_git(old):
            return FORCED
        return AHEAD if walks and is_ancestor(graph, new, old.target) else DIVERGED

    def _is_from_git(self, ref: Ref) -> bool:
        find = self._repository.git_map.find_git_ids
        inexact = INEXACT + ref.kind.word
        return bool(find(ref.kind, (ref.target,)) or find(inexact, (ref.target,)))

    def drop(self, name: str, git_id: bytes) -> RefChange | None:
        """Report a ref that is gone in the source; delete it if that is wished and it is as imported."""
        old = self._before.get(name)
        if old is None:
            return None
        mapped = self._known.find(git_id)
        how = VANISHED
        untouched = mapped is not None and mapped.id == old.target
        if self._prune and name != self._head.ref and (untouched or self._force):
            self._transaction.set_ref(name, None, old.target, kind=old.kind)
            how = PRUNED
        return RefChange(name, to_git(name) or name, old.target.hex(), None, how)

    def set_first_head(self, head: GitHead, named: dict[str, GitRef]) -> str | None:
        """Check out what the source has checked out, if nothing is here; return the branch then."""
        if self._head.target is not None:
            return None
        name = to_muse(head.ref) if head.ref is not None else None
        if name is not None and name in named and name.startswith("heads/"):
            mapped = self._known.get(named[name].id)
            self._transaction.set_head(name)
            self._current = (None, mapped.id)
            return name.removeprefix("heads/")
        if head.ref is None and head.id is not None:
            mapped = self._known.get(head.id)
            self._transaction.set_head(mapped.id)
            self._current = (None, mapped.id)
        return None

    @property
    def moves_current(self) -> bool:
        """Whether what is checked out moves."""
        return self._current is not None and self._current[0] != self._current[1]

    def check_out(self, checkout: Callable[[Transaction, bytes | None, bytes], None]) -> None:
        """Let the caller bring the work tree along if what is checked out moves."""
        if self._current is not None and self.moves_current:
            checkout(self._transaction, *self._current)


def move_refs(
    move: RefImport, named: dict[str, GitRef], recorded: dict[str, bytes], all_refs: bool
) -> list[RefChange]:
    """Move all refs; returns what became of each."""
    changes = [move.move(name, ref) for name, ref in named.items()]
    for name, git_id in recorded.items():
        if name not in named and (all_refs or name.startswith(("heads/", "tags/"))):
            changes.append(move.drop(name, git_id))
    return [change for change in changes if change is not None]


def load_recorded(repository: Repository, source: str) -> dict[str, bytes]:
    """Return name in muse → Git id of the refs that the last import from `source` brought."""
    text = repository.remotes.get(RECORD, source)
    return {name: bytes.fromhex(digits) for name, digits in json.loads(text).items()} if text else {}


def record_refs(
    repository: Repository,
    transaction: Transaction,
    source: str,
    named: dict[str, GitRef],
    recorded: dict[str, bytes],
    changes: list[RefChange],
) -> None:
    """Remember what the source has now; what vanished there and stays here is remembered, too."""
    gone = {change.name for change in changes if change.how == PRUNED}
    now = {name: git_id for name, git_id in recorded.items() if name not in gone}
    now.update((name, ref.id) for name, ref in named.items())
    text = json.dumps({name: now[name].hex() for name in sorted(now)})
    if text != repository.remotes.get(RECORD, source):
        repository.remotes.set(RECORD, source, text, transaction)
