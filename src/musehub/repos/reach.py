"""Which commits somebody lacks: reachable from what they want, not from what they have."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush
from typing import NamedTuple

from musehub.db.engine import Database
from musehub.db.history import load_edges

FIRST_WINDOW = 16
MAX_WINDOW = 1 << 14
"""Generations of history loaded by one query; it grows fourfold each time."""


class Reach(NamedTuple):
    """`boundary` are parents of `commits` that are not among them: the newest that the other side has."""

    commits: list[bytes]
    boundary: set[bytes]


async def find_reach(
    database: Database, repository_id: int, wants: Mapping[bytes, int], haves: Mapping[bytes, int]
) -> Reach:
    """Both map recorded commits to their generations. Reads what lies between, not the whole history.

    Commits are taken newest generation first, so whether somebody has one is known before it is reached.
    Memory: ids of the commits found, and one window of history.
    """
    search = _Search(wants, haves)
    window = FIRST_WINDOW
    while (start := search.advance()) is not None:
        lowest = search.generation(start) - window
        async with database.read("walk history") as conn:
            edges = await load_edges(conn, repository_id, search.unexplored(), lowest)
        parents: dict[bytes, list[tuple[bytes, int]]] = {}
        for edge in edges:
            known = parents.setdefault(edge.commit_id, [])
            if edge.parent_id is not None and edge.parent_generation is not None:
                known.append((edge.parent_id, edge.parent_generation))
        search.learn(parents)
        window = min(window * 4, MAX_WINDOW)
    return Reach(search.found, search.boundary())


class _Search:
    def __init__(self, wants: Mapping[bytes, int], haves: Mapping[bytes, int]) -> None:
        self._generation = dict(wants) | dict(haves)
        self._had = set(haves)
        self._open = 0  # commits in the queue that nobody is known to have
        self._queue: list[tuple[int, bytes]] = []
        self._parents: dict[bytes, list[tuple[bytes, int]]] = {}
        self._edge_of_found: set[bytes] = set()
        self.found: list[bytes] = []
        for commit_id, generation in self._generation.items():
            heappush(self._queue, (-generation, commit_id))
            self._open += commit_id not in self._had

    def advance(self) -> bytes | None:
        """Go on until it is finished (None) or the parents of the returned commit must be learnt."""
        while self._open:
            commit_id = self._queue[0][1]
            parents = self._parents.pop(commit_id, None)
            if parents is None:
                return commit_id
            heappop(self._queue)
            had = commit_id in self._had
            del self._generation[commit_id]
            if had:
                self._had.discard(commit_id)
            else:
                self._open -= 1
                self.found.append(commit_id)
                self._edge_of_found.update(parent for parent, _generation in parents)
            for parent, generation in parents:
                self._reach(parent, generation, had)
        return None

    def _reach(self, commit_id: bytes, generation: int, had: bool) -> None:
        if commit_id not in self._generation:
            self._generation[commit_id] = generation
            heappush(self._queue, (-generation, commit_id))
            self._open += not had
        elif had and commit_id not in self._had:
            self._open -= 1
        if had:
            self._had.add(commit_id)

    def generation(self, commit_id: bytes) -> int:
        return self._generation[commit_id]

    def unexplored(self) -> list[bytes]:
        """Commits in the queue whose parents are not known."""
        return [commit_id for commit_id in self._generation if commit_id not in self._parents]

    def learn(self, parents: Mapping[bytes, list[tuple[bytes, int]]]) -> None:
        self._parents.update(parents)

    def boundary(self) -> set[bytes]:
        return self._edge_of_found.difference(self.found)
