"""Small histories for the tests of the local store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from muse.errors import MuseError
from muse.history.edit import edit_tree
from muse.objects.commit import Commit, Person, Tag, encode_commit, encode_tag
from muse.objects.ids import Kind
from muse.objects.tree import FILE, Entry
from muse.store.repository import Repository
from muse.store.transaction import Transaction

ADA = Person("Ada", "ada@example.org", 1_700_000_000, 60)


def put_tree(transaction: Transaction, files: Mapping[str, bytes], old: bytes | None = None) -> bytes:
    """Store files, changed against the tree `old`, and return the new tree."""
    changes: dict[str, Entry | None] = {}
    for path, data in files.items():
        blob = transaction.put(Kind.BLOB, data)
        changes[path] = Entry(path.rpartition("/")[2], FILE, blob, len(data))
    return edit_tree(transaction.load, old, changes, transaction.put).id


def put_commit(
    transaction: Transaction,
    files: Mapping[str, bytes],
    parents: tuple[bytes, ...] = (),
    message: str = "work",
    time_s: int = ADA.time_s,
) -> bytes:
    """Store a commit that changes `files` against its first parent; no ref moves."""
    old = transaction.graph(parents[0]).tree if parents else None
    tree = put_tree(transaction, files, old)
    person = ADA._replace(time_s=time_s)
    return transaction.put(Kind.COMMIT, encode_commit(Commit(tree, parents, person, person, message)))


def commit(
    repository: Repository, files: Mapping[str, bytes], message: str = "work", branch: str = "main"
) -> bytes:
    """Commit `files` to a branch under an operation `commit <message>`."""
    ref = repository.refs.get(f"heads/{branch}")
    old = None if ref is None else ref.target
    with repository.transaction(f"commit {message}") as transaction:
        parents = () if old is None else (old,)
        commit_id = put_commit(transaction, files, parents, message, ADA.time_s + len(message))
        transaction.set_ref(f"heads/{branch}", commit_id, old)
    return commit_id


def put_tag(transaction: Transaction, target: bytes, name: str, kind: Kind = Kind.COMMIT) -> bytes:
    return transaction.put(Kind.TAG, encode_tag(Tag(target, kind, name, ADA, "release")))


class Interrupted(Exception):
    """Something in the middle of a transaction goes wrong."""


class Refusal:
    """Holds the error that `refused` caught."""

    error: MuseError


@contextmanager
def refused(code: str) -> Iterator[Refusal]:
    """Expect that the block raises a `MuseError` with this code."""
    refusal = Refusal()
    try:
        yield refusal
    except MuseError as error:
        refusal.error = error
        if error.code != code:
            raise
    else:
        raise AssertionError(f"nothing was refused with {code}")
