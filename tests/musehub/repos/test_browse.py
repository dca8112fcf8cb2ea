"""Reading a repository as pages do: histories, directories, differences and revisions, on both databases."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.musehub.hub import History, HubUser, RunningHub

from muse.errors import NotFound
from muse.history.treediff import diff_trees as diff_in_memory
from muse.history.walk import iter_commits
from muse.objects.commit import decode_commit
from muse.objects.ids import Kind
from muse.wire.push import RefUpdate
from musehub.accounts.actor import Actor
from musehub.repos.browse import Browser, list_visible, open_browser
from musehub.repos.differences import diff_trees
from musehub.repos.directories import find_entry, load_entries, load_totals
from musehub.storage.opening import open_store


def browse(hub: RunningHub, user: HubUser, name: str) -> Browser:
    """Open a repository as its owner, beside the running hub."""

    async def secret() -> bytes:
        return bytes(32)

    store = open_store(hub.settings, secret)
    actor = Actor(user_id=1, name=user.name, scope="admin")
    browser: Browser = hub.call(open_browser(hub.database, store, actor, user.name, name))
    return browser


def tree_of(history: History, commit: bytes) -> bytes:
    return decode_commit(history.objects[Kind.COMMIT, commit]).tree


def test_pages_of_a_history_hold_every_commit_once_and_none_before_its_children(hub: RunningHub) -> None:
    rng = random.Random(7)
    ada, history = hub.user("ada"), History()
    commits = [history.commit_files({"a": b"0"})]
    for number in range(1, 60):
        parents = rng.sample(commits[-8:], k=min(len(commits), rng.choice([1, 1, 1, 2, 3])))
        commits.append(history.commit_files({"a": str(number).encode()}, *parents))
    ada.repository("r").push_main(history, commits[-1])
    browser = browse(hub, ada, "r")

    walked: list[bytes] = []
    starts = [commits[-1]]
    while starts:
        page = hub.call(browser.load_history(starts, limit=7))
        assert len(page.commits) == 7 or not page.rest
        walked += [row.id for row in page.commits]
        starts = page.rest

    expected = [node.id for node in iter_commits(history.graph, [commits[-1]])]
    assert sorted(walked) == sorted(expected)
    places = {commit: place for place, commit in enumerate(walked)}
    for commit in walked:
        for parent in history.graph(commit).parents:
            assert places[commit] < places[parent]


def test_differences_of_directories_small_and_paged_are_those_of_the_library(hub: RunningHub) -> None:
    rng = random.Random(3)
    ada, history = hub.user("ada"), History()
    files: dict[str, bytes | None] = {f"big/{number:05}": b"x" for number in range(6_000)}
    files |= {f"d{number % 5}/e{number % 3}/f{number}": str(number).encode() for number in range(60)}
    commits = [history.commit_files(files)]
    for _ in range(6):
        names = rng.sample(sorted(files), 12)
        changes: dict[str, bytes | None] = {
            name: rng.choice([None, b"y", rng.randbytes(4)]) for name in names
        }
        changes |= {f"new{rng.randrange(4)}/deep/{rng.randrange(9)}": b"n", f"d{rng.randrange(9)}x": b"file"}
        commits.append(history.commit_files(changes, commits[-1]))
    ada.repository("r").push_main(history, commits[-1])
    browser = browse(hub, ada, "r")
    trees: list[bytes | None] = [None, *(tree_of(history, commit) for commit in commits)]

    for old in trees[::3]:
        for new in trees[1:]:
            assert new is not None
            found, more = hub.call(diff_trees(browser.reader, old, new, 10_000, 1_000))
            assert not more
            expected = sorted(diff_in_memory(history.load, old, new), key=lambda change: change.path)
            assert found == expected
    some, more = hub.call(diff_trees(browser.reader, None, trees[1] or b"", 5, 1_000))
    assert (len(some), more) == (5, True)


def test_entries_of_a_directory_of_many_pages_are_found_and_listed(hub: RunningHub) -> None:
    ada, history = hub.user("ada"), History()
    files: dict[str, bytes | None] = {f"big/{number:05}": b"12" for number in range(0, 6_000, 2)}
    commit = history.commit_files({**files, "a/b/c": b"deep"})
    ada.repository("r").push_main(history, commit)
    browser = browse(hub, ada, "r")
    root = tree_of(history, commit)

    def find(path: str) -> Any:
        return hub.call(find_entry(browser.reader, root, path))

    for path in ("big/00000", "big/02998", "big/05998", "a/b/c"):
        assert find(path).name == path.rpartition("/")[2]
    for path in ("big/00001", "big/99999", "a/b/c/d", "a/x", "x", "big/"):
        assert find(path) is None
    assert len(hub.call(load_entries(browser.reader, find("big").id))) == 3_000
    assert tuple(hub.call(load_totals(browser.reader, root))) == (3_001, 6_004)


def test_the_longest_ref_wins_and_ids_may_be_shortened(hub: RunningHub) -> None:
    ada, history = hub.user("ada"), History()
    first = history.commit_files({"x/y": b"1"})
    second = history.commit_files({"x/y": b"2"}, first)
    tag = history.tag("v1", first)
    again = history.tag("again", tag, Kind.TAG)
    tree = history.tag("a-tree", tree_of(history, first), Kind.TREE)
    updates = [
        RefUpdate("heads/main", None, first),
        RefUpdate("heads/a/b", None, second),
        RefUpdate("tags/a", None, first),
        RefUpdate("tags/main", None, second),
        RefUpdate("tags/v1", None, again, Kind.TAG),
        RefUpdate("tags/a-tree", None, tree, Kind.TAG),
    ]
    ada.repository("r").push(history, updates)
    browser = browse(hub, ada, "r")

    def resolve(text: str) -> tuple[str | None, bytes, str]:
        revision, path = hub.call(browser.resolve(text))
        return revision.ref, revision.commit.id, path

    assert resolve("main/x/y") == ("heads/main", first, "x/y")
    assert resolve("tags/main/x") == ("tags/main", second, "x")
    assert resolve("a/b/x") == ("heads/a/b", second, "x")
    assert resolve("a/c") == ("tags/a", first, "c")
    assert resolve("v1") == ("tags/v1", first, "")
    assert resolve(first.hex() + "/x") == (None, first, "x")
    assert resolve(second.hex()[:10]) == (None, second, "")
    for nothing in ("nought", "ffffff", second.hex()[:3], first.hex() + "00", "a-tree", ""):
        with pytest.raises(NotFound) as caught:
            resolve(nothing)
        assert caught.value.code == "unknown-revision"
    assert {tag.name: (tag.target, tag.kind) for tag in hub.call(browser.refs.list_tags(limit=100))} == {
        "a": (first, Kind.COMMIT),
        "main": (second, Kind.COMMIT),
        "v1": (first, Kind.COMMIT),
        "a-tree": (tree_of(history, first), Kind.TREE),
    }


def test_lists_hold_what_one_may_see_with_ones_own_first(hub: RunningHub) -> None:
    users = {name: hub.user(name) for name in ("ada", "eve")}
    for owner in users:
        for name in ("engine", "100_percent"):
            history = History()
            users[owner].repository(name).push_main(history, history.commit_files({"a": b"1"}))

    def names(actor: Actor, **more: Any) -> list[str]:
        rows = hub.call(list_visible(hub.database, actor, limit=10, **more))
        return [row.full_name for row in rows]

    eve = Actor(user_id=2, name="eve")
    admin = Actor(user_id=1, name="ada", is_admin=True, scope="admin")
    assert names(Actor()) == []
    assert names(eve) == ["eve/100_percent", "eve/engine"]
    assert names(eve, search="ENG") == ["eve/engine"]
    assert names(eve, search="eve/e") == ["eve/engine"]
    assert names(eve, search="%") == []
    assert names(admin) == ["ada/100_percent", "ada/engine", "eve/100_percent", "eve/engine"]
    assert names(admin, owner="eve") == ["eve/100_percent", "eve/engine"]
    assert names(admin._replace(scope="read")) == ["ada/100_percent", "ada/engine"]
    assert names(eve._replace(repository_id=-1)) == []
