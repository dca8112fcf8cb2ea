"""What a revision may look like, and what it means."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from tests.muse.store.scenes import commit, put_commit, put_tag

from muse.errors import NotFound, UsageError
from muse.objects.ids import Kind
from muse.store.repository import Repository
from muse.store.revisions import resolve_object, resolve_revision


class History(NamedTuple):
    """1 ─ 2 ─ merge on main; side from 1."""

    repository: Repository
    ids: dict[str, bytes]


@pytest.fixture
def history(repository: Repository) -> History:
    first = commit(repository, {"a": b"one", "dir/b": b"deep"}, "1")
    second = commit(repository, {"a": b"two"}, "2")
    with repository.transaction("merge side") as transaction:
        side = put_commit(transaction, {"s": b"side"}, (first,), "side")
        merge = put_commit(transaction, {"s": b"side"}, (second, side), "merge")
        tag = put_tag(transaction, second, "v1")
        transaction.set_ref("heads/main", merge, second)
        transaction.set_ref("heads/side", side)
        transaction.set_ref("heads/feature/long-name", side)
        transaction.set_ref("tags/v1", tag, kind=Kind.TAG)
        transaction.set_ref("tags/light", first)
        transaction.set_ref("remotes/origin/heads/main", second)
        transaction.set_ref("remotes/origin/tags/v9", first)
    return History(repository, {"first": first, "second": second, "side": side, "merge": merge, "tag": tag})


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("HEAD", "merge"), ("@", "merge"), ("main", "merge"), ("heads/main", "merge"), ("side", "side"),
        ("feature/long-name", "side"), ("v1", "second"), ("tags/v1", "second"), ("light", "first"),
        ("origin/main", "second"), ("remotes/origin/heads/main", "second"), ("remotes/origin/main", "second"),
        ("remotes/origin/tags/v9", "first"),
        ("main~1", "second"), ("main~", "second"), ("main~2", "first"), ("main~0", "merge"),
        ("main~~", "first"),
        ("main^", "second"), ("main^2", "side"), ("main^2~1", "first"), ("main^0", "merge"), ("@^2", "side"),
        ("v1^{commit}", "second"), ("v1~1", "first"), ("v1^{}", "second"),
        ("main@{0}", "merge"), ("main@{1}", "second"), ("main@{2}", "first"), ("@{1}", "second"),
        ("HEAD@{2}", "first"), ("@{1}~1", "first"), ("main@{upstream}", "second"), ("@{u}", "second"),
    ],
)  # fmt: skip
def test_revisions(history: History, text: str, means: str) -> None:
    assert resolve_revision(history.repository, text) == history.ids[means]


def test_ids_and_their_prefixes(history: History) -> None:
    for commit_id in (history.ids["first"], history.ids["merge"]):
        digits = commit_id.hex()
        for text in (digits, digits.upper(), f"sha256:{digits}", digits[:12], f"sha256:{digits[:20]}"):
            assert resolve_revision(history.repository, text) == commit_id
    assert resolve_revision(history.repository, history.ids["tag"].hex()) == history.ids["second"]
    assert resolve_revision(history.repository, f"{history.ids['merge'].hex()}~2") == history.ids["first"]


@pytest.mark.parametrize(
    "text", ["", "~1", "main~x", "main^{blob}", "main^{tree", "main@{x}", "main~1@{1}", "^"]
)
def test_what_is_no_revision(history: History, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_revision(history.repository, text)
    assert caught.value.code == "bad-revision"


@pytest.mark.parametrize(
    "text", ["nothing", "main~3", "main^3", "main~4000000000", "main@{9}", "HEAD@{9}", "nothing@{1}", "abc",
             "side@{1}", "side@{upstream}", "main^{tree}", "00000000", "sha256:" + "0" * 64]
)  # fmt: skip
def test_what_is_not_there(history: History, text: str) -> None:
    with pytest.raises(NotFound) as caught:
        resolve_revision(history.repository, text)
    assert caught.value.code == "unknown-revision"


def test_near_names_are_offered(history: History) -> None:
    with pytest.raises(NotFound) as caught:
        resolve_revision(history.repository, "feature/long-nam")
    assert caught.value.details["near"] == ["feature/long-name"]
    assert "feature/long-name" in (caught.value.hint or "")


def test_a_branch_follows_the_only_remote_whatever_its_name(repository: Repository) -> None:
    with repository.transaction() as transaction:
        first = put_commit(transaction, {"a": b"1"})
        transaction.set_head("heads/main")
        transaction.set_ref("heads/main", put_commit(transaction, {"a": b"2"}, (first,)))
        transaction.set_ref("remotes/studio/heads/main", first)
        repository.settings.set("remote.studio.url", "http://hub.example/ada/song", transaction)
    assert resolve_revision(repository, "@{upstream}") == first


def test_a_branch_without_commits_says_so(repository: Repository) -> None:
    with pytest.raises(NotFound) as caught:
        resolve_revision(repository, "HEAD")
    assert "no commits yet" in caught.value.message


def test_an_ambiguous_prefix_lists_its_candidates(repository: Repository) -> None:
    seen: dict[str, bytes] = {}
    with repository.transaction() as transaction:
        number = 0
        while True:
            blob = transaction.put(Kind.BLOB, b"%d" % number)
            number += 1
            if blob.hex()[:4] in seen:
                break
            seen[blob.hex()[:4]] = blob
    with pytest.raises(NotFound) as caught:
        resolve_object(repository, blob.hex()[:4])
    assert caught.value.code == "ambiguous-revision"
    assert {entry["id"] for entry in caught.value.details["candidates"]} == {
        blob.hex(),
        seen[blob.hex()[:4]].hex(),
    }
    assert resolve_object(repository, blob.hex()[:20]) == (Kind.BLOB, blob)


def test_objects_of_any_kind(history: History) -> None:
    repository, ids = history
    tree = repository.graph(ids["merge"]).tree
    assert resolve_object(repository, "main") == (Kind.COMMIT, ids["merge"])
    assert resolve_object(repository, "v1") == (Kind.TAG, ids["tag"])
    assert resolve_object(repository, "main^{tree}") == (Kind.TREE, tree)
    assert resolve_object(repository, "main:") == (Kind.TREE, tree)
    for text in (
        "main:dir/b",
        "v1:dir/b",
        f"{ids['first'].hex()}:dir/b",
        f"sha256:{ids['first'].hex()}:dir/b",
    ):
        kind, blob = resolve_object(repository, text)
        assert kind is Kind.BLOB
        assert repository.objects.load(kind, blob) == b"deep"
    assert resolve_object(repository, "main:dir").kind is Kind.TREE
    for text in ("main:dir/c", "main:a/b", "main:nothing"):
        with pytest.raises(NotFound) as caught:
            resolve_object(repository, text)
        assert caught.value.code == "unknown-path"


def test_a_blob_is_no_commit(history: History) -> None:
    _, blob = resolve_object(history.repository, "main:a")
    with pytest.raises(NotFound) as caught:
        resolve_revision(history.repository, blob.hex())
    assert "is a blob, not a commit" in caught.value.message


def test_earlier_values_follow_switches(history: History) -> None:
    repository, ids = history
    with repository.transaction("switch side") as transaction:
        transaction.set_head("heads/side")
    with repository.transaction("switch --detach") as transaction:
        transaction.set_head(ids["first"])
    assert resolve_revision(repository, "HEAD") == ids["first"]
    assert resolve_revision(repository, "HEAD@{1}") == ids["side"]
    assert resolve_revision(repository, "HEAD@{2}") == ids["merge"]
    assert resolve_revision(repository, "@{3}") == ids["second"]
    with repository.transaction("branch --delete side") as transaction:
        transaction.set_ref("heads/side", None)
    assert resolve_revision(repository, "HEAD@{1}") == ids["side"]
