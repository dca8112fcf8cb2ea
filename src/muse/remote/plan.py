"""What a push has to send: everything that its targets reach and the hub lacks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from muse.history.missing import NewObjects, Step
from muse.objects.commit import decode_tag
from muse.objects.ids import Key, Kind
from muse.objects.references import iter_references
from muse.wire.refs import Ref
from muse.wire.uploads import MAX_MISSING_IDS, encode_missing, parse_missing_ids

if TYPE_CHECKING:
    from muse.remote.client import HubClient
    from muse.store.repository import Repository

MAX_PLANNED = 400_000
"""Objects of one plan, about 80 MB. More go to the hub one plan after the other."""
MAX_PLANNED_COMMITS = 100_000
"""As many take 60 MB."""


class Plan:
    """Objects to send: blobs in any order, then `metadata` children first, then `commits` (and tags) parents
    first.

    `had` are objects that the hub is known to have and that records may be based on. The first objects up to
    one of `steps` name nothing after them. All of `commits` is there from the beginning; blobs, metadata and
    steps grow at their ends until `find_more` returns False. If it is too much for one plan, `commits` ends
    earlier by then, and another plan begins with `cut_at`.
    """

    def __init__(
        self,
        blobs: list[bytes],
        metadata: list[Key],
        commits: list[Key],
        had: set[Key],
        steps: Sequence[Step] = (),
        find_more: Callable[[], bool] | None = None,
        cut_at: Sequence[bytes] = (),
    ) -> None:
        self.blobs = blobs
        self.metadata = metadata
        self.commits = commits
        self.had = had
        self.steps = steps
        self.cut_at = cut_at
        self._find_more = find_more

    def find_more(self) -> bool:
        """Plan some more commits; False if there were none."""
        if self._find_more is not None and not self._find_more():
            self._find_more = None  # it remembers every id
        return self._find_more is not None

    def find_blobs(self, count: int) -> bool:
        """Find so many blobs; False if there are not so many in the whole plan."""
        while len(self.blobs) < count:
            if not self.find_more():
                return False
        return True

    def find_all(self) -> None:
        while self.find_more():
            pass

    @property
    def is_whole(self) -> bool:
        """Whether all that is to be sent was found, and no other plan follows."""
        return self._find_more is None and not self.cut_at

    @property
    def is_empty(self) -> bool:
        return not (self.commits or self.blobs or self.metadata)

    def by_kind(self) -> dict[Kind, list[bytes]]:
        found = {Kind.BLOB: self.blobs}
        for kind, object_id in (*self.metadata, *self.commits):
            found.setdefault(kind, []).append(object_id)
        return found


def plan_push(repository: Repository, targets: Iterable[Ref], known: Iterable[Ref]) -> Plan:
    """Plan from what the remote was last seen to have; `known` refs that are not here are left out.

    No request is made. Cost: what is new; where nothing is known, only the commits are found at once. Memory:
    200 bytes for each object, of `MAX_PLANNED` and one commit at most. This and finding more raise
    `missing-object` when the repository lacks something to send.
    """
    load = repository.objects.load
    haves, had_tags = _find_haves(repository, known)
    commits: list[bytes] = []
    tags: list[Key] = []
    others: list[Key] = []
    for ref in targets:
        kind, target = ref.kind, ref.target
        chain: list[Key] = []
        while kind is Kind.TAG and (kind, target) not in had_tags:
            chain.append((kind, target))
            tag = decode_tag(load(kind, target))
            kind, target = tag.target_kind, tag.target
        tags += reversed(chain)
        if kind is Kind.COMMIT:
            commits.append(target)
        elif kind is not Kind.TAG:
            others.append((kind, target))
    load_many = repository.objects.load_many
    new = NewObjects(
        load,
        repository.graph,
        commits,
        haves,
        load_many,
        max_objects=MAX_PLANNED,
        max_commits=MAX_PLANNED_COMMITS,
    )
    sent = [*((Kind.COMMIT, commit) for commit in new.commits), *dict.fromkeys(tags)]

    def find_more() -> bool:
        if new.find_more():
            return True
        if new.cut_at:
            del sent[len(new.commits) :]
            plan.cut_at = new.cut_at
        return False

    plan = Plan(new.blobs, new.metadata, sent, set(), new.steps, find_more)
    if haves or others:
        plan.find_all()
        plan.had = new.find_had()
    if others and not plan.cut_at:
        seen = {*plan.metadata, *((Kind.BLOB, blob) for blob in plan.blobs)}
        for key in others:
            _add_closure(repository, key, seen, plan.blobs, plan.metadata)
    return plan


def _find_haves(repository: Repository, known: Iterable[Ref]) -> tuple[list[bytes], set[Key]]:
    """Return the commits that the remote has and that are here, and the tags it has."""
    haves = []
    tags: set[Key] = set()
    for ref in known:
        kind, target = ref.kind, ref.target
        while kind is Kind.TAG and repository.objects.has(kind, target):
            tags.add((kind, target))
            tag = decode_tag(repository.objects.load(kind, target))
            kind, target = tag.target_kind, tag.target
        if kind is Kind.COMMIT and repository.objects.find_node(target) is not None:
            haves.append(target)
    return haves, tags


def _add_closure(
    repository: Repository, top: Key, seen: set[Key], blobs: list[bytes], metadata: list[Key]
) -> None:
    """Add what a tag of a tree or a blob names, children first."""
    stack = [(top, False)]
    while stack:
        key, visited = stack.pop()
        kind, object_id = key
        if visited:
            metadata.append(key)
        elif key not in seen:
            seen.add(key)
            if kind is Kind.BLOB:
                blobs.append(object_id)
            else:
                stack.append((key, True))
                children = iter_references(kind, repository.objects.load(kind, object_id))
                stack += ((child, False) for child in children)


def remove_recorded(hub: HubClient, path: str, plan: Plan, *, only_blobs: bool = False) -> Plan:
    """Ask the hub what of a whole plan it has recorded and return the rest: one request for each kind and
    `MAX_MISSING_IDS`.

    What is recorded there is closed, so nothing below it needs to be asked for or sent.
    """
    plan.find_all()
    had = set(plan.had)
    blobs = _find_missing(hub, path, Kind.BLOB, plan.blobs, had)
    if only_blobs:
        steps = [step._replace(blobs=n) for step, n in zip(plan.steps, _recount(plan, blobs), strict=True)]
        return Plan(blobs, plan.metadata, plan.commits, had, steps, cut_at=plan.cut_at)
    kept: list[list[Key]] = []
    for keys in (plan.metadata, plan.commits):
        missing: set[Key] = set()
        for kind in dict.fromkeys(kind for kind, _ in keys):
            ids = [object_id for other, object_id in keys if other is kind]
            missing.update((kind, object_id) for object_id in _find_missing(hub, path, kind, ids, had))
        kept.append([key for key in keys if key in missing])
    return Plan(blobs, kept[0], kept[1], had, cut_at=plan.cut_at)


def _recount(plan: Plan, kept: list[bytes]) -> Iterator[int]:
    """Yield how many of the blobs before each step are kept, in the same order."""
    number = start = 0
    for step in plan.steps:
        for blob in islice(plan.blobs, start, step.blobs):
            number += number < len(kept) and kept[number] == blob
        start = step.blobs
        yield number


def find_recorded(hub: HubClient, path: str, blobs: Collection[bytes]) -> set[bytes]:
    """Return those of some blobs that the hub has recorded."""
    ids = list(blobs)
    return set(ids).difference(_find_missing(hub, path, Kind.BLOB, ids, set()))


def _find_missing(hub: HubClient, path: str, kind: Kind, ids: list[bytes], had: set[Key]) -> list[bytes]:
    missing: list[bytes] = []
    for start in range(0, len(ids), MAX_MISSING_IDS):
        part = ids[start : start + MAX_MISSING_IDS]
        body = hub.load_bytes(f"{path}/push/missing", encode_missing(kind, part), max_bytes=32 * len(part))
        lacking = set(parse_missing_ids(body))
        missing += (object_id for object_id in part if object_id in lacking)
        had.update((kind, object_id) for object_id in part if object_id not in lacking)
    return missing
