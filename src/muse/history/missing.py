"""What somebody lacks who has some commits and wants others: the plan of a push or a fetch."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from muse.history.collector import Collector, LoadMany
from muse.history.directory import Load
from muse.history.walk import Graph, Node, iter_commits
from muse.objects.ids import Kind

STEP_OBJECTS = 1000
"""Trees and commits between two steps, so that what is sent in steps stays few requests."""
MAX_WINDOW = 32
"""Commits whose trees are read together, level by level: a few queries instead of one for each tree."""
WINDOW_OBJECTS = 8192
"""A window that listed more is followed by a smaller one: what it lists is held, at about 100 bytes each."""


class Step(NamedTuple):
    """The first so many commits, metadata and blobs are closed: they name nothing after them."""

    commits: int
    metadata: int
    blobs: int


class NewObjects:
    """Every object that `wants` reach and `haves` do not, each once, in an order in which each may be checked
    against those before it.

    `metadata` are trees and chunk lists, children first; `commits` parents first. Blobs may come in any order
    before them. `steps` are places where a sender may pause, the end not among them. `commits` are found at
    once; the other lists grow with each `find_more`, at their ends, until it returns False. With
    `max_objects` or `max_commits` that may be before the last commit: `commits` then ends with the last one
    visited, and whoever has those of `cut_at`, which no other one follows, lacks the rest.

    Compares each commit with its parents, so the cost is what changed. An object that the `haves` hold
    somewhere else than beside the change (a copy, a reverted edit) is listed again: harmless, and a set query
    removes it where it matters. Memory: about 200 bytes per object listed.
    """

    def __init__(
        self,
        load: Load,
        graph: Graph,
        wants: Iterable[bytes],
        haves: Iterable[bytes] = (),
        load_many: LoadMany | None = None,
        step_objects: int = STEP_OBJECTS,
        max_objects: int = sys.maxsize,
        max_commits: int = sys.maxsize,
    ) -> None:
        haves = list(haves)
        oldest: deque[Node] = deque(maxlen=max_commits)
        count = 0
        for node in iter_commits(graph, wants, haves):
            oldest.appendleft(node)
            count += 1
        nodes = list(oldest)
        collector = Collector(
            load, load_many or (lambda kind, ids: ((one, load(kind, one), None, None) for one in ids))
        )
        self.commits = [node.id for node in nodes]
        self.metadata = collector.metadata
        self.blobs = collector.blobs
        self.steps: list[Step] = []
        self.cut_at: list[bytes] = []
        self._nodes = nodes
        self._is_part = count > len(nodes)
        self._step_objects = step_objects
        self._max_objects = max_objects
        self._collector = collector
        self._visits = _visit_changes(collector, graph, nodes) if haves else _visit_all(collector, nodes)

    def find_more(self) -> bool:
        """Visit some more commits; False if there were none, or enough is found."""
        done = None if self.cut_at else next(self._visits, None)
        if done is None:
            return False
        at = Step(done, len(self.metadata), len(self.blobs))
        last = self.steps[-1] if self.steps else Step(0, 0, 0)
        large = at.commits + at.metadata >= last.commits + last.metadata + self._step_objects
        if large and done < len(self.commits):
            self.steps.append(at)
        left = len(self.commits) - done
        if (self._is_part and not left) or (left and at.metadata + at.blobs >= self._max_objects):
            self._cut(done)
        return True

    def _cut(self, count: int) -> None:
        followed = {parent for node in self._nodes[:count] for parent in node.parents}
        del self.commits[count:]
        self.cut_at = [commit for commit in self.commits if commit not in followed]

    def find_had(self) -> set[tuple[Kind, bytes]]:
        """Return objects of the `haves` that stood where a new one stands now: the other side may be sent
        differences from these.
        """
        return self._collector.find_had()


def _visit_changes(collector: Collector, graph: Graph, nodes: Sequence[Node]) -> Iterator[int]:
    """Compare commits with their parents, one by one; yields how many were visited."""
    for number, node in enumerate(nodes, 1):
        collector.visit_directory(node.tree, [graph(one).tree for one in node.parents])
        yield number


def _visit_all(collector: Collector, nodes: Sequence[Node]) -> Iterator[int]:
    """Visit all trees, those of many commits at a time; yields how many commits were visited.

    The first commit brings most, so the first window is of one.
    """
    width = 1
    start = 0
    while start < len(nodes):
        before = len(collector.metadata) + len(collector.blobs)
        window = nodes[start : start + width]
        collector.read_ahead([node.tree for node in window])
        for node in window:
            collector.visit_directory(node.tree, [])
        start += len(window)
        yield start
        few = len(collector.metadata) + len(collector.blobs) - before < WINDOW_OBJECTS
        width = min(MAX_WINDOW, 2 * width) if few else max(1, width // 2)
