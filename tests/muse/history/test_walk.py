from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from tests.memory_objects import Memory

from muse.history.walk import count_ahead_behind, is_ancestor, iter_commits, merge_bases


def random_graph(seed: int, size: int) -> tuple[Memory, list[bytes], dict[bytes, set[bytes]]]:
    rng = random.Random(seed)
    memory = Memory()
    tree = bytes(32)
    commits: list[bytes] = []
    ancestors: dict[bytes, set[bytes]] = {}
    for number in range(size):
        parents = rng.sample(commits[-6:], min(len(commits), rng.choice([0, 1, 1, 1, 2, 3])))
        commit = memory.commit(tree, *parents, message=str(number))
        commits.append(commit)
        ancestors[commit] = {commit}.union(*(ancestors[parent] for parent in parents))
    return memory, commits, ancestors


@given(st.integers(0, 2**32), st.integers(1, 25), st.data())
def test_walks_agree_with_the_definition(seed: int, size: int, data: st.DataObject) -> None:
    memory, commits, ancestors = random_graph(seed, size)
    heads = data.draw(st.sets(st.sampled_from(commits), min_size=1))
    excluded = data.draw(st.sets(st.sampled_from(commits)))
    walked = [node.id for node in iter_commits(memory.graph, heads, excluded)]
    wanted = set().union(*(ancestors[head] for head in heads)) - set().union(
        *(ancestors[e] for e in excluded)
    )
    assert set(walked) == wanted
    assert len(walked) == len(wanted)
    position = {commit: index for index, commit in enumerate(walked)}
    for commit in walked:
        assert all(position[p] > position[commit] for p in memory.graph(commit).parents if p in position)
    one, other = data.draw(st.sampled_from(commits)), data.draw(st.sampled_from(commits))
    assert is_ancestor(memory.graph, one, other) == (one in ancestors[other])
    common = ancestors[one] & ancestors[other]
    best = {c for c in common if not any(c != d and c in ancestors[d] for d in common)}
    assert set(merge_bases(memory.graph, one, other)) == best
    assert count_ahead_behind(memory.graph, one, other) == (
        len(ancestors[one] - ancestors[other]),
        len(ancestors[other] - ancestors[one]),
    )


def test_a_wrong_clock_never_puts_a_parent_before_its_child() -> None:
    memory = Memory()
    tree = bytes(32)
    parent = memory.commit(tree, message="from the future")
    child = memory.commit(tree, parent, message="now")
    assert [node.id for node in iter_commits(memory.graph, [parent, child])] == [child, parent]
