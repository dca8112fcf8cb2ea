"""What an import has to read: commits and tags that are not here yet, and where they join those that are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from muse.git.commits import parse_tag_links
from muse.git.known import KnownObjects
from muse.git.program import Git
from muse.git.reader import iter_new_commits, stream_objects
from muse.objects.ids import Kind
from muse.store.progress import Progress
from muse.store.repository import Repository

QUERY_COMMITS = 10_000


class ImportPlanner:
    """Compares a source with the Git map; asks in sets, and reads commits only as a list of ids."""

    def __init__(
        self, repository: Repository, git: Git, object_format: str, known: KnownObjects, progress: Progress
    ) -> None:
        self._repository = repository
        self._git = git
        self._object_format = object_format
        self._known = known
        self._progress = progress

    def find_unknown(self, git_ids: Iterable[bytes]) -> set[bytes]:
        """Return those that are not mapped to an object that is still here."""
        unknown = set(git_ids)
        found = self._known.find_many(unknown)
        unknown.difference_update(found)
        by_kind: dict[Kind, dict[bytes, bytes]] = {}
        for git_id, mapped in found.items():
            by_kind.setdefault(mapped.kind, {})[git_id] = mapped.id
        for kind, ids in by_kind.items():
            missing = self._repository.objects.find_missing(kind, ids.values())
            unknown.update(git_id for git_id, object_id in ids.items() if object_id in missing)
        return unknown

    def find_frontier(self, commits: set[bytes], known_tips: list[bytes]) -> tuple[list[bytes], int]:
        """Return the known commits on which the new ones below `commits` stand, and how many are new."""
        if not commits:
            return [], 0
        targets = [ref.target for ref in self._repository.refs.iter() if ref.kind is Kind.COMMIT]
        of_refs = self._repository.git_map.find_git_ids(Kind.COMMIT, targets).values()
        width = len(next(iter(commits)))
        excluded = {*known_tips, *(git_id for git_id in of_refs if len(git_id) == width)}
        excluded -= self.find_unknown(excluded)
        walk = _FrontierWalk(self)
        for commit, parents in iter_new_commits(self._git, commits, excluded):
            walk.add(commit, parents)
            if len(walk.batch) == QUERY_COMMITS:
                walk.take_batch()
                self._progress("finding commits", walk.new_commits, None, "commits")
        walk.take_batch()
        # Parents that were not listed are among the excluded.
        frontier = walk.frontier.union(known_tips, walk.expected & excluded)
        return sorted(frontier), walk.new_commits

    def load_tags(self, git_ids: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
        """Return (id, bytes) of tags and of those that they lead to, each before its target."""
        tags: list[tuple[bytes, bytes]] = []
        wanted = dict.fromkeys(git_ids)
        while wanted:
            targets: dict[bytes, None] = {}
            with stream_objects(self._git, self._object_format, wanted) as stream:
                while (header := stream.next()) is not None:
                    data = stream.read()
                    links = parse_tag_links(data)
                    tags.append((header.id, data))
                    if links.target_type == b"tag":
                        targets[bytes.fromhex(links.target.decode())] = None
            wanted = targets
        # One that is met at several depths counts where it is deepest.
        deepest = {git_id: position for position, (git_id, _) in enumerate(tags)}
        return [tag for position, tag in enumerate(tags) if deepest[tag[0]] == position]

    def load_shallow(self) -> frozenset[bytes]:
        """Return the commits whose parents the source does not have although they name them."""
        if self._git.run("rev-parse", "--is-shallow-repository").strip() != b"true":
            return frozenset()
        path = Path(self._git.run("rev-parse", "--git-path", "shallow").decode().strip())
        return frozenset(bytes.fromhex(line) for line in path.read_text("ascii").split())


class _FrontierWalk:
    """Takes commits children first and finds the known parents of unknown ones."""

    def __init__(self, planner: ImportPlanner) -> None:
        self._planner = planner
        self.batch: list[tuple[bytes, list[bytes]]] = []
        self.frontier: set[bytes] = set()
        self.expected: set[bytes] = set()
        """Parents of unknown commits that were not listed yet."""
        self.new_commits = 0

    def add(self, commit: bytes, parents: list[bytes]) -> None:
        self.batch.append((commit, parents))

    def take_batch(self) -> None:
        unknown = self._planner.find_unknown(commit for commit, _ in self.batch)
        for commit, parents in self.batch:
            if commit in unknown:
                self.new_commits += 1
                self.expected.update(parents)
            elif commit in self.expected:
                self.frontier.add(commit)
            self.expected.discard(commit)
        self.batch.clear()
