"""The plan of a push or fetch: complete, ordered, and no larger than what changed."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator

from hypothesis import example, given
from hypothesis import strategies as st
from tests.memory_objects import Memory
from tests.plans import find_new_objects

from muse.history.collector import Loaded
from muse.history.edit import edit_tree
from muse.history.missing import NewObjects
from muse.objects.ids import Kind
from muse.objects.references import iter_references
from muse.objects.tree import Entry, encode_entries, read_changed_ids


def reachable(memory: Memory, commits: set[bytes]) -> set[tuple[Kind, bytes]]:
    found: set[tuple[Kind, bytes]] = set()
    stack = [(Kind.COMMIT, commit) for commit in commits]
    while stack:
        key = stack.pop()
        if key not in found:
            found.add(key)
            stack += iter_references(key[0], memory.objects[key])
    return found


def random_history(seed: int, commits: int, unique: bool) -> tuple[Memory, list[bytes]]:
    """Commits over a wide directory and deep ones; with `unique` no content ever comes back."""
    rng = random.Random(seed)
    memory = Memory()
    made: list[bytes] = []
    counter = 0
    for _ in range(commits):
        parents = rng.sample(made, min(len(made), rng.choice([1, 1, 1, 2])))
        root = memory.graph(parents[0]).tree if parents else None
        changes = {}
        for _ in range(rng.randrange(1, 12) if parents else 400):
            counter += 1
            path = rng.choice(["wide/{}", "a/b/{}", "a/{}"]).format(rng.randrange(500))
            content = str(counter if unique else rng.randrange(20)).encode()
            changes[path] = None if rng.random() < 0.2 else memory.file("x", content)
        made.append(memory.commit(edit_tree(memory.load, root, changes, memory.put).id, *parents))
    return memory, made


@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 600), st.integers(1, 12), st.data())
def test_plans_one_after_the_other_are_complete(
    seed: int, size: int, max_objects: int, max_commits: int, data: st.DataObject
) -> None:
    memory, commits = random_history(seed, size, True)
    wants = data.draw(st.sets(st.sampled_from(commits), min_size=1))
    haves = data.draw(st.sets(st.sampled_from(commits)))
    there = reachable(memory, haves)
    lacking = reachable(memory, wants) - there
    while True:
        new = NewObjects(
            memory.load, memory.graph, wants, haves, max_objects=max_objects, max_commits=max_commits
        )
        sizes = [0]
        while new.find_more():
            sizes.append(len(new.metadata) + len(new.blobs))
        assert sizes[-2:-1] < [max_objects]  # it is enough with the last one, and not before
        assert len(new.commits) <= max_commits
        for key in (
            *((Kind.BLOB, blob) for blob in new.blobs),
            *new.metadata,
            *((Kind.COMMIT, commit) for commit in new.commits),
        ):
            assert there.issuperset(iter_references(key[0], memory.objects[key]))
            there.add(key)
        if not new.cut_at:
            break
        haves = haves | set(new.cut_at)
    assert lacking <= there


@given(st.integers(0, 2**32), st.integers(1, 7), st.booleans(), st.data())
def test_the_plan_is_complete_and_in_order(seed: int, size: int, unique: bool, data: st.DataObject) -> None:
    memory, commits = random_history(seed, size, unique)
    wants = data.draw(st.sets(st.sampled_from(commits), min_size=1))
    haves = data.draw(st.sets(st.sampled_from(commits)))
    plan = find_new_objects(memory.load, memory.graph, wants, haves, step_objects=20)
    sent = [
        *((Kind.BLOB, blob) for blob in plan.blobs),
        *plan.metadata,
        *((Kind.COMMIT, commit) for commit in plan.commits),
    ]
    assert len(set(sent)) == len(sent)
    held = reachable(memory, haves)
    missing = reachable(memory, wants) - held
    assert missing <= set(sent)
    assert plan.find_had() <= held
    known = set(held)
    for key in sent:
        assert known.issuperset(iter_references(key[0], memory.objects[key]))
        known.add(key)
    if not haves:
        assert set(sent) == missing
    for step in plan.steps:
        assert step.commits < len(plan.commits)
        first = {(Kind.BLOB, blob) for blob in plan.blobs[: step.blobs]}.union(
            plan.metadata[: step.metadata], ((Kind.COMMIT, commit) for commit in plan.commits[: step.commits])
        )
        for kind, object_id in first:
            assert (first | held).issuperset(iter_references(kind, memory.objects[kind, object_id]))


@given(st.integers(0, 2**32), st.integers(2, 7))
def test_of_a_line_of_new_content_exactly_what_is_missing_is_sent(seed: int, size: int) -> None:
    memory, commits = random_history(seed, size, unique=True)
    *_, old, new = commits
    plan = find_new_objects(memory.load, memory.graph, [new], [old, *memory.graph(new).parents])
    held = reachable(memory, {old, *memory.graph(new).parents})
    sent = {
        *((Kind.BLOB, blob) for blob in plan.blobs),
        *plan.metadata,
        *((Kind.COMMIT, commit) for commit in plan.commits),
    }
    assert sent == reachable(memory, {new}) - held


def test_planning_one_commit_costs_what_changed() -> None:
    memory = Memory()
    files = {f"{n % 100}/{n}": memory.file("x", str(n).encode()) for n in range(20_000)}
    tree = edit_tree(memory.load, None, files, memory.put).id
    first = memory.commit(tree)
    changed = edit_tree(memory.load, tree, {"7/7": memory.file("x", b"new")}, memory.put).id
    second = memory.commit(changed, first)
    memory.loads = 0
    plan = find_new_objects(memory.load, memory.graph, [second], [first])
    assert (len(plan.commits), len(plan.metadata), len(plan.blobs)) == (1, 2, 1)
    assert memory.loads <= 4


def test_a_whole_history_is_read_in_few_sets_and_paused_in_few_places() -> None:
    memory, commits = random_history(5, commits=300, unique=True)
    calls = 0

    def load_many(kind: Kind, ids: Collection[bytes]) -> list[Loaded]:
        nonlocal calls
        calls += 1
        assert len(set(ids)) == len(ids)
        return [(one, memory.objects[kind, one], None, None) for one in ids]

    memory.loads = 0
    plan = find_new_objects(memory.load, memory.graph, commits, (), load_many, 200)
    assert memory.loads == 0
    assert len(plan.metadata) > 600
    assert calls < 100
    assert 3 <= len(plan.steps) <= (len(plan.metadata) + len(plan.commits)) // 200


@given(st.integers(0, 2**32), st.integers(1, 7))
@example(12, 3)  # a tree at hand contains the one that it resembles
def test_versions_at_hand_change_what_is_read_and_not_what_is_found(seed: int, size: int) -> None:
    memory, commits = random_history(seed, size, unique=False)
    rng = random.Random(seed)
    known: list[bytes] = []

    def load_many(kind: Kind, ids: Collection[bytes]) -> Iterator[Loaded]:
        for one in sorted(ids):
            base = rng.choice(known) if known else None
            yield one, memory.objects[kind, one], base, memory.objects[kind, base] if base else None
            known.append(one)

    plan = find_new_objects(memory.load, memory.graph, commits, (), load_many)
    sent = {*((Kind.BLOB, blob) for blob in plan.blobs), *plan.metadata}
    assert sent == {key for key in reachable(memory, set(commits)) if key[0] is not Kind.COMMIT}
    assert len(sent) == len(plan.blobs) + len(plan.metadata)
    done: set[tuple[Kind, bytes]] = {(Kind.BLOB, blob) for blob in plan.blobs}
    for key in plan.metadata:
        assert done.issuperset(iter_references(key[0], memory.objects[key]))
        done.add(key)


def entries_of(ids: list[int]) -> list[Entry]:
    return [Entry(f"{n:04}", "fd"[value % 2], bytes([value]) * 32, 1) for n, value in enumerate(ids)]


@given(st.lists(st.integers(0, 3), max_size=40), st.lists(st.integers(0, 3), max_size=40), st.integers(0, 20))
def test_changed_ids_leave_out_only_what_the_other_version_has(
    old: list[int], new: list[int], same: int
) -> None:
    shared = [number % 4 for number in range(same)]
    before, after = entries_of([*shared, *old, *shared]), entries_of([*shared, *new, *shared])
    kinds, ids = read_changed_ids(encode_entries(after), encode_entries(before))
    found = set(zip(kinds.decode(), ids, strict=True))
    assert found <= {(entry.kind, entry.id) for entry in after}
    assert {(entry.kind, entry.id) for entry in after} - found <= {(entry.kind, entry.id) for entry in before}
