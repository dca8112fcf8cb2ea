"""Walk the graph of commits: order, ancestry, merge bases."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple


class Node(NamedTuple):
    """A commit as the graph sees it. `generation` is that of `next_generation`: larger than any parent's."""

    id: bytes
    parents: tuple[bytes, ...]
    generation: int
    time_s: int
    tree: bytes


def next_generation(parents: Iterable[int]) -> int:
    """Return the generation of a commit whose parents have these."""
    return 1 + max(parents, default=0)


Graph = Callable[[bytes], Node]
"""Returns the node of a commit, or raises when it is not there."""


def iter_commits(graph: Graph, heads: Iterable[bytes], exclude: Iterable[bytes] = ()) -> Iterator[Node]:
    """Yield what `heads` reach and `exclude` does not, newest first, no commit before its children.

    Ordered by generation, then time, so that no clock can put a parent first. Lazy: costs what is consumed,
    except that everything excluded down to the lowest generation yielded is visited, too.
    """
    queue: list[tuple[int, int, bytes, Node]] = []
    excluded: dict[bytes, bool] = {}

    def push(commit: bytes, unwanted: bool) -> None:
        if commit not in excluded:
            node = graph(commit)
            heapq.heappush(queue, (-node.generation, -node.time_s, commit, node))
        excluded[commit] = excluded.get(commit, False) or unwanted

    for commit in exclude:
        push(commit, True)
    wanted = set(heads)
    for commit in wanted:
        push(commit, False)
    pending = sum(1 for commit in excluded if not excluded[commit])
    while queue and pending:
        _, _, commit, node = heapq.heappop(queue)
        unwanted = excluded[commit]
        if not unwanted:
            pending -= 1
            yield node
        for parent in node.parents:
            before = excluded.get(parent)
            push(parent, unwanted)
            if before is None and not unwanted:
                pending += 1
            elif before is False and unwanted:
                pending -= 1


def is_ancestor(graph: Graph, old: bytes, new: bytes) -> bool:
    """Say whether `new` is `old` or descends from it; visits what lies between their generations."""
    if old == new:
        return True
    floor = graph(old).generation
    seen = {new}
    stack = [new]
    while stack:
        for parent in graph(stack.pop()).parents:
            if parent == old:
                return True
            if parent not in seen and graph(parent).generation > floor:
                seen.add(parent)
                stack.append(parent)
    return False


def merge_bases(graph: Graph, one: bytes, other: bytes) -> list[bytes]:
    """Return the best common ancestors: those that no other common ancestor descends from.

    Paints both histories from the top by generation; a commit reached from both is common, and everything
    below a common one is stale. Stops when only stale commits are left.
    """
    left, right, stale = 1, 2, 4
    paint: dict[bytes, int] = {}
    queue: list[tuple[int, int, bytes, Node]] = []

    def push(commit: bytes, colours: int) -> None:
        if commit not in paint:
            node = graph(commit)
            heapq.heappush(queue, (-node.generation, -node.time_s, commit, node))
        paint[commit] = paint.get(commit, 0) | colours

    push(one, left)
    push(other, right)
    bases = []
    while any(not paint[entry[2]] & stale for entry in queue):
        _, _, commit, node = heapq.heappop(queue)
        colours = paint[commit]
        if colours & (left | right) == left | right and not colours & stale:
            bases.append(commit)
            colours |= stale
        for parent in node.parents:
            push(parent, colours)
    return bases


def count_ahead_behind(graph: Graph, one: bytes, other: bytes) -> tuple[int, int]:
    """Return how many commits `one` has that `other` lacks, and the reverse."""
    ahead = sum(1 for _ in iter_commits(graph, [one], [other]))
    behind = sum(1 for _ in iter_commits(graph, [other], [one]))
    return ahead, behind
