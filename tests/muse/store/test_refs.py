"""Refs, HEAD, compare-and-swap and the operation log."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.muse.store.scenes import commit, put_commit, put_tag, refused

from muse.errors import Conflict, NotFound, UsageError
from muse.objects.ids import Kind
from muse.store.operations import Change
from muse.store.refs import SYMBOLIC
from muse.store.repository import Repository


def test_refs_are_listed_by_prefix_and_name(repository: Repository) -> None:
    head = commit(repository, {"a": b"one"})
    with repository.transaction() as transaction:
        for name in ("tags/v2", "tags/v10", "remotes/origin/heads/main", "heads/topic/x"):
            transaction.set_ref(name, head)
    assert [ref.name for ref in repository.refs.iter()] == [
        "heads/main",
        "heads/topic/x",
        "remotes/origin/heads/main",
        "tags/v10",
        "tags/v2",
    ]
    assert [ref.name for ref in repository.refs.iter("tags/")] == ["tags/v10", "tags/v2"]
    assert [ref.name for ref in repository.refs.iter("remotes/origin/")] == ["remotes/origin/heads/main"]
    assert [repository.refs.has_any(prefix) for prefix in ("", "tags/", "tag", "tagt")] == [True] * 3 + [
        False
    ]
    assert repository.refs.load_targets("tags/") == [(Kind.COMMIT, head)]
    assert repository.refs.load_targets("remotes/other/") == []
    assert repository.refs.get("heads/other") is None
    with pytest.raises(NotFound) as caught:
        repository.refs.get_branch("other")
    assert caught.value.code == "unknown-branch"


def test_an_annotated_tag_knows_its_commit(repository: Repository) -> None:
    head = commit(repository, {"a": b"one"})
    with repository.transaction() as transaction:
        inner = put_tag(transaction, head, "v1")
        outer = put_tag(transaction, inner, "signed", Kind.TAG)
        on_tree = put_tag(transaction, transaction.graph(head).tree, "tree", Kind.TREE)
        transaction.set_ref("tags/v1", outer, kind=Kind.TAG)
        transaction.set_ref("tags/tree", on_tree, kind=Kind.TAG)
    assert repository.refs.get("tags/v1") == ("tags/v1", outer, Kind.TAG, head)
    tree_tag = repository.refs.get("tags/tree")
    assert tree_tag is not None
    assert tree_tag.commit is None


@pytest.mark.parametrize(
    "name",
    ["main", "heads/", "heads/a b", "heads/a..b", "heads/x.lock", "heads/\n", "remotes/origin",
     "remotes//heads/a", "heads/\ud800", "HEAD",
     "remotes/-x/heads/a", "remotes/o/notes/a", "heads/" + "x" * 300],
)  # fmt: skip
def test_bad_names_are_refused(repository: Repository, name: str) -> None:
    head = commit(repository, {"a": b"one"})
    with pytest.raises(UsageError) as caught, repository.transaction() as transaction:
        transaction.set_ref(name, head)
    assert caught.value.code == "bad-name"


def test_a_ref_moves_only_from_where_it_was_expected(repository: Repository) -> None:
    first = commit(repository, {"a": b"one"})
    second = commit(repository, {"a": b"two"})
    for expected in (first, None):
        with refused("stale-head") as refusal, repository.transaction("move") as transaction:
            blob = transaction.put(Kind.BLOB, b"written in vain")
            transaction.set_ref("heads/main", first, expected)
        assert refusal.error.details["actual"] == f"sha256:{second.hex()}"
        assert not repository.objects.has(Kind.BLOB, blob)
    with repository.transaction() as transaction:
        transaction.set_ref("heads/main", first, second)
        transaction.set_ref("heads/new", first, None)
    assert repository.refs.get_branch("main").target == first


def test_of_several_refs_all_move_or_none(repository: Repository) -> None:
    first = commit(repository, {"a": b"one"})
    with refused("stale-head"), repository.transaction("move") as transaction:
        transaction.set_ref("heads/a", first)
        transaction.set_ref("heads/b", first, expected=first)
    assert [ref.name for ref in repository.refs.iter()] == ["heads/main"]
    assert len(list(repository.operations.iter())) == 1


def test_a_ref_cannot_point_at_nothing(repository: Repository) -> None:
    def set_ref(repository: Repository) -> None:
        with repository.transaction() as transaction:
            transaction.set_ref("heads/main", bytes(32))

    def set_head(repository: Repository) -> None:
        with repository.transaction() as transaction:
            transaction.set_head(bytes(32))

    actions: list[Callable[[Repository], None]] = [set_ref, set_head]
    for action in actions:
        with pytest.raises(NotFound) as caught:
            action(repository)
        assert caught.value.code == "unknown-object"


def test_a_ref_cannot_be_a_folder_of_others(repository: Repository) -> None:
    head = commit(repository, {"a": b"one"}, branch="topic/x")
    for name in ("heads/topic", "heads/topic/x/y"):
        with refused("already-exists"), repository.transaction() as transaction:
            transaction.set_ref(name, head)
    with repository.transaction() as transaction:
        transaction.set_ref("heads/topic/x/y", head)
        transaction.set_ref("heads/topic/x", None)
        transaction.set_ref("heads/topic.x", head)
        transaction.set_ref("heads/topic/x/y0", head)
        transaction.set_ref("tags/topic", head)
        transaction.set_ref("remotes/origin/heads/a", head)
        transaction.set_ref("remotes/origin/heads/a/b", head)
    assert len(list(repository.refs.iter())) == 6
    with repository.transaction() as transaction:
        transaction.set_ref("heads/topic/x/y", None)
    with repository.transaction() as transaction:
        transaction.set_ref("heads/topic/x/y", head)


def test_head_goes_to_a_branch_or_a_commit(repository: Repository) -> None:
    first = commit(repository, {"a": b"one"})
    with repository.transaction("switch topic") as transaction:
        transaction.set_head("heads/topic")
    assert repository.refs.head() == ("topic", None)
    with repository.transaction("switch") as transaction:
        transaction.set_head(first)
    assert repository.refs.head() == (None, first)
    assert repository.refs.head().ref is None
    with pytest.raises(UsageError), repository.transaction() as transaction:
        transaction.set_head("tags/v1")


def test_the_log_names_each_command_and_what_it_moved(repository: Repository) -> None:
    times = iter([100.0, 200.0])
    repository.clock = lambda: next(times)
    first = commit(repository, {"a": b"one"}, "first")
    with repository.transaction("tag v1") as transaction:
        transaction.set_ref("tags/v1", first)
        transaction.set_ref("heads/main", first)
        transaction.set_head("heads/topic")
    with repository.transaction("nothing moved") as transaction:
        transaction.set_ref("tags/v1", first)
    with repository.transaction() as transaction:
        transaction.set_ref("tags/unlogged", first)
    newest, oldest = repository.operations.iter()
    assert (newest.command, newest.time_s) == ("tag v1", 200.0)
    assert newest.changes == [
        Change("HEAD", b"heads/main", b"heads/topic", SYMBOLIC, SYMBOLIC),
        Change("tags/v1", None, first, Kind.COMMIT, Kind.COMMIT),
    ]
    assert (oldest.command, oldest.time_s) == ("commit first", 100.0)
    assert repository.operations.get(newest.id) == newest
    with pytest.raises(NotFound):
        repository.operations.get(99)


def _undo(repository: Repository, operation_id: int | None = None) -> tuple[str, bytes | None, bytes | None]:
    with repository.transaction("undo") as transaction:
        undone = repository.operations.undo(transaction, operation_id)
    return undone.operation.command, undone.commit_before, undone.commit_after


def _redo(repository: Repository) -> tuple[str, bytes | None, bytes | None]:
    with repository.transaction("redo") as transaction:
        undone = repository.operations.redo(transaction)
    return undone.operation.command, undone.commit_before, undone.commit_after


def test_undo_goes_back_step_by_step_and_redo_forth(repository: Repository) -> None:
    first = commit(repository, {"a": b"one"}, "1")
    second = commit(repository, {"a": b"two"}, "2")
    third = commit(repository, {"a": b"three"}, "3")
    assert _undo(repository) == ("commit 3", third, second)
    assert _undo(repository) == ("commit 2", second, first)
    assert repository.refs.head().target == first
    assert _redo(repository)[1:] == (first, second)
    assert _redo(repository)[1:] == (second, third)
    with pytest.raises(UsageError):
        _redo(repository)
    assert _undo(repository) == ("commit 3", third, second)
    other = commit(repository, {"a": b"other"}, "other")
    with pytest.raises(UsageError) as caught:
        _redo(repository)
    assert caught.value.code == "nothing-to-undo"
    assert _undo(repository) == ("commit other", other, second)
    assert _undo(repository) == ("commit 2", second, first)
    assert _undo(repository) == ("commit 1", first, None)
    assert repository.refs.head() == ("main", None)
    with pytest.raises(UsageError) as caught:
        _undo(repository)
    assert caught.value.code == "nothing-to-undo"


def test_undo_moves_head_and_deleted_branches_back(repository: Repository) -> None:
    first = commit(repository, {"a": b"one"}, "1")
    second = commit(repository, {"a": b"two"}, "2", branch="topic")
    with repository.transaction("switch topic") as transaction:
        transaction.set_head("heads/topic")
    with repository.transaction("branch --delete main") as transaction:
        transaction.set_ref("heads/main", None, first)
    assert _undo(repository) == ("branch --delete main", second, second)
    assert repository.refs.get_branch("main").target == first
    assert _undo(repository) == ("switch topic", second, first)
    assert repository.refs.head() == ("main", first)


def test_undo_refuses_when_a_ref_has_moved_since(repository: Repository) -> None:
    commit(repository, {"a": b"one"}, "1")
    commit(repository, {"a": b"two"}, "2")
    oldest = list(repository.operations.iter())[-1]
    before = list(repository.refs.iter())
    with pytest.raises(Conflict) as caught:
        _undo(repository, oldest.id)
    assert caught.value.code == "stale-head"
    assert list(repository.refs.iter()) == before


def test_undo_leaves_what_remotes_have(repository: Repository) -> None:
    first = commit(repository, {"a": b"one"}, "1")
    with repository.transaction("pull") as transaction:
        second = put_commit(transaction, {"a": b"two"}, (first,))
        transaction.set_ref("remotes/origin/heads/main", second)
        transaction.set_ref("heads/main", second, first)
    with repository.transaction("fetch") as transaction:
        transaction.set_ref("remotes/origin/heads/other", second)
    assert _undo(repository) == ("pull", second, first)
    remote = repository.refs.get("remotes/origin/heads/main")
    assert remote is not None
    assert remote.target == second


def test_the_log_is_read_in_pages(repository: Repository) -> None:
    for number in range(150):
        with repository.transaction(f"switch {number}") as transaction:
            transaction.set_head(f"heads/b{number}")
    commands = [operation.command for operation in repository.operations.iter()]
    assert commands == [f"switch {number}" for number in reversed(range(150))]
