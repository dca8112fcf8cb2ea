"""Histories made with the library, for tests that need something to push; and the comparison of two
repositories.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from pathlib import Path

from muse.history.edit import edit_tree
from muse.objects.commit import Commit, Person, Tag, encode_commit, encode_tag
from muse.objects.ids import Kind
from muse.objects.references import iter_references
from muse.objects.tree import FILE, Entry
from muse.store.repository import Repository

Key = tuple[Kind, bytes]


def commit_files(
    repository: Repository,
    files: Mapping[str, bytes | None],
    branch: str = "main",
    parents: Iterable[bytes] | None = None,
    message: str = "",
) -> bytes:
    """Commit changed files (None deletes) on a branch without touching the work tree; returns the commit's
    id.
    """
    ref = repository.refs.get(f"heads/{branch}")
    if parents is None:
        parents = [ref.target] if ref is not None else []
    parents = tuple(parents)
    root = repository.graph(parents[0]).tree if parents else None
    generation = max((repository.graph(parent).generation for parent in parents), default=0)
    with repository.transaction("test") as transaction:
        changes: dict[str, Entry | None] = {}
        for path, data in files.items():
            if data is None:
                changes[path] = None
            else:
                old = _find_blob(repository, root, path)
                changes[path] = Entry("", FILE, transaction.put(Kind.BLOB, data, old), len(data))
        tree = edit_tree(transaction.load, root, changes, transaction.put)
        person = Person("Ada", "ada@example.org", 1_700_000_000 + generation, 0)
        commit = Commit(tree.id, parents, person, person, message or f"commit {generation + 1}")
        commit_id = transaction.put(Kind.COMMIT, encode_commit(commit), parents[0] if parents else None)
        transaction.set_ref(f"heads/{branch}", commit_id)
    return commit_id


def _find_blob(repository: Repository, root: bytes | None, path: str) -> bytes | None:
    from muse.history.lookup import find_path

    entry = find_path(repository.objects.load, root, path) if root is not None else None
    return entry.id if entry is not None and entry.kind == FILE else None


def commit_random(
    repository: Repository, rng: random.Random, *, commits: int = 1, files: int = 5, size: int = 300
) -> None:
    """Make commits that each change `files` of some hundred paths: half text that is edited, half noise."""
    for _ in range(commits):
        changes: dict[str, bytes | None] = {}
        for _ in range(files):
            number = rng.randrange(200)
            if number % 2:
                lines = [f"{number} {line} {rng.randrange(3)}" for line in range(size // 12)]
                changes[f"text/{number % 7}/{number}.txt"] = "\n".join(lines).encode()
            else:
                changes[f"noise/{number}.bin"] = rng.randbytes(size)
        commit_files(repository, changes)


def commit_chain(repository: Repository, count: int) -> list[bytes]:
    """Make so many commits of one file, one on the other, at once; returns their ids, oldest first."""
    made: list[bytes] = []
    with repository.transaction("test") as transaction:
        blob = transaction.put(Kind.BLOB, b"the same all the time")
        tree = edit_tree(transaction.load, None, {"file": Entry("", FILE, blob, 21)}, transaction.put).id
        for number in range(count):
            person = Person("Ada", "ada@example.org", 1_700_000_000 + number, 0)
            commit = Commit(tree, tuple(made[-1:]), person, person, f"commit {number + 1}")
            made.append(transaction.put(Kind.COMMIT, encode_commit(commit)))
        transaction.set_ref("heads/main", made[-1])
    return made


def tag_commit(repository: Repository, name: str, target: bytes, kind: Kind = Kind.COMMIT) -> bytes:
    """Make an annotated tag; returns its id."""
    tag = Tag(target, kind, name, Person("Ada", "ada@example.org", 1_700_000_000, 60), f"release {name}")
    with repository.transaction("test") as transaction:
        tag_id = transaction.put(Kind.TAG, encode_tag(tag))
        transaction.set_ref(f"tags/{name}", tag_id, kind=Kind.TAG)
    return tag_id


def reachable(repository: Repository, tops: Iterable[Key]) -> dict[Key, bytes]:
    """Load everything that `tops` reach; every load hashes, so a result is a whole and true one."""
    found: dict[Key, bytes] = {}
    stack = list(tops)
    while stack:
        key = stack.pop()
        if key not in found:
            found[key] = repository.objects.load(*key)
            stack += iter_references(key[0], found[key])
    return found


def content(repository: Repository, prefix: str = "heads/") -> tuple[dict[str, bytes], dict[Key, bytes]]:
    """Return the refs below `prefix` (without it) and all objects that they reach."""
    refs = {ref.name.removeprefix(prefix): ref for ref in repository.refs.iter(prefix)}
    objects = reachable(repository, [(ref.kind, ref.target) for ref in refs.values()])
    return {name: ref.target for name, ref in refs.items()}, objects


def make_repository(path: Path, url: object = None) -> Repository:
    repository = Repository.init(path)
    if url is not None:
        repository.settings.set("remote.origin.url", str(url))
    return repository
