"""Many who push at the same time: nobody is told that something landed that is not in the history."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.faults.stage import EMBEDDED, SERVERS, OpenStage, Stage
from tests.histories import commit_files, content, make_repository

from muse.errors import Conflict, MuseError
from muse.history.walk import is_ancestor
from muse.remote.address import RepositoryUrl
from muse.remote.client import HubClient
from muse.remote.clone import clone
from muse.remote.fetch import fetch
from muse.remote.push import Pushed, push
from muse.remote.retry import Retry
from muse.remote.selection import select_refs
from muse.store.repository import Repository


@pytest.fixture(params=[EMBEDDED, SERVERS])
def stage(request: pytest.FixtureRequest, open_stage: OpenStage) -> Stage:
    opened = open_stage(request.param)
    opened.heal()
    opened.reset()
    return opened


def client(stage: Stage) -> HubClient:
    return HubClient(stage.hub.origin, stage.hub.token, retry=Retry(8, 0.02, 0.3))


def run_together(count: int, work: Callable[[int], None]) -> None:
    """Run `work(number)` in so many threads that begin at the same moment; raises what one of them did."""
    barrier = threading.Barrier(count)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            barrier.wait(30)
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures, failures


def start(stage: Stage, tmp_path: Path, name: str, count: int) -> tuple[RepositoryUrl, list[Path]]:
    """A repository with one commit on the hub, and so many clones of it."""
    url = RepositoryUrl(stage.hub.origin, stage.hub.user, f"{name}-{tmp_path.name}"[:60])
    with make_repository(tmp_path / "origin", url) as repository, client(stage) as hub:
        commit_files(repository, {"start": b"0"})
        push(repository, "origin", select_refs(repository), hub)
        places = []
        for number in range(count):
            clone(url, tmp_path / f"copy-{number}", hub, checkout=False).repository.close()
            places.append(tmp_path / f"copy-{number}")
    return url, places


@pytest.mark.parametrize("pushers", [2, 16])
def test_one_branch(stage: Stage, tmp_path: Path, pushers: int) -> None:
    """Whoever is refused takes up what came before and tries again: everything lands, one after the other."""
    if stage.kind == SERVERS:
        pushers = min(pushers, 8)  # the tries grow with the square of them
    url, places = start(stage, tmp_path, f"one{pushers}", pushers)
    landed: list[tuple[bytes | None, bytes]] = []
    wanted: list[bytes] = []

    def work(number: int) -> None:
        with Repository.open(places[number]) as repository, client(stage) as hub:
            parent = repository.refs.get("remotes/origin/heads/main").target
            for _ in range(4 * pushers):
                head = commit_files(repository, {f"by-{number}": b"x"}, parents=[parent])
                try:
                    pushed = push(repository, "origin", select_refs(repository), hub)
                except Conflict as error:
                    if error.code not in ("not-fast-forward", "stale-head") or not error.hint:
                        raise
                    fetch(repository, "origin", hub)
                    parent = repository.refs.get("remotes/origin/heads/main").target
                    continue
                update = next(iter(pushed.receipt.updates))
                assert pushed.receipt.refs["heads/main"].target == head
                landed.append((update.old, head))
                wanted.append(head)
                return
            raise AssertionError("never landed")

    run_together(pushers, work)
    assert len(landed) == pushers
    assert len({old for old, _ in landed}) == pushers, "two replaced the same head"
    with client(stage) as hub, clone(url, tmp_path / "all", hub, checkout=False).repository as copy:
        refs, _ = content(copy)
        for old, new in landed:
            assert old is not None
            assert is_ancestor(copy.graph, old, new)
            assert is_ancestor(copy.graph, new, refs["main"])


def test_many_branches(stage: Stage, tmp_path: Path) -> None:
    url, places = start(stage, tmp_path, "many", 8)
    heads: dict[str, bytes] = {}

    def work(number: int) -> None:
        branch = f"branch-{number}"
        with Repository.open(places[number]) as repository, client(stage) as hub:
            parent = [repository.refs.get("remotes/origin/heads/main").target]
            for step in range(3):
                parent = [commit_files(repository, {f"{branch}/{step}": b"y"}, branch, parent)]
                pushed = push(repository, "origin", select_refs(repository, [branch]), hub)
                assert not pushed.receipt.up_to_date
                heads[branch] = parent[0]

    run_together(8, work)
    with client(stage) as hub, clone(url, tmp_path / "all", hub, checkout=False).repository as copy:
        refs = {ref.name: ref.target for ref in copy.refs.iter("remotes/origin/heads/")}
        assert {name: refs[f"remotes/origin/heads/{name}"] for name in heads} == heads


def test_several_branches_of_one_push_move_all_or_none(stage: Stage, tmp_path: Path) -> None:
    """Both push the same two branches: the two are always of one hand."""
    url, places = start(stage, tmp_path, "both", 4)
    won: list[int] = []
    made: dict[bytes, int] = {}

    def work(number: int) -> None:
        with Repository.open(places[number]) as repository, client(stage) as hub:
            base = [repository.refs.get("remotes/origin/heads/main").target]
            for branch in ("left", "right"):
                made[commit_files(repository, {branch: b"%d" % number}, branch, base)] = number
            try:
                push(repository, "origin", select_refs(repository, ["left", "right"]), hub)
            except Conflict:
                return
            won.append(number)

    run_together(4, work)
    with client(stage) as hub:
        refs: Any = hub.load_json("GET", f"{url.path}/refs")["refs"]
    assert [made[bytes.fromhex(refs[f"heads/{name}"]["target"])] for name in ("left", "right")] == won * 2
    assert len(won) == 1


def test_the_same_push_twice_at_the_same_time(stage: Stage, tmp_path: Path) -> None:
    """Two processes take up the same unfinished push: it lands once, and both are told the same."""
    url, places = start(stage, tmp_path, "twice", 2)
    push_id = bytes(range(16))
    with Repository.open(places[0]) as repository:
        head = commit_files(
            repository, {"twice": b"z"}, parents=[repository.refs.get("remotes/origin/heads/main").target]
        )
    with Repository.open(places[1]) as repository:
        same = commit_files(
            repository, {"twice": b"z"}, parents=[repository.refs.get("remotes/origin/heads/main").target]
        )
    assert head == same
    results: list[Pushed] = []

    def work(number: int) -> None:
        with Repository.open(places[number]) as repository, client(stage) as hub:
            repository.remotes.set_open_push("origin", push_id.hex())
            results.append(push(repository, "origin", select_refs(repository), hub))

    run_together(2, work)
    assert {pushed.receipt.push_id for pushed in results} == {push_id}
    assert {pushed.receipt.finished_at for pushed in results} == {results[0].receipt.finished_at}
    assert all(pushed.receipt.refs["heads/main"].target == head for pushed in results)
    with client(stage) as hub:
        answer = hub.load_json("GET", f"{url.path}/push/{push_id.hex()}")
    assert answer["state"] == "done"


def test_who_is_killed_while_others_push_harms_nobody(stage: Stage, tmp_path: Path) -> None:
    """The hub dies under four pushers: after it is back each lands, by trying again."""
    url, places = start(stage, tmp_path, "killed", 4)
    heads: dict[str, bytes] = {}

    def work(number: int) -> None:
        branch = f"branch-{number}"
        with Repository.open(places[number]) as repository:
            base = [repository.refs.get("remotes/origin/heads/main").target]
            heads[branch] = commit_files(repository, {branch: b"k" * 200}, branch, base)
            for _ in range(20):
                if number == 0:
                    stage.kill_hub(back=True)
                    number = 4
                try:
                    with client(stage) as hub:
                        push(repository, "origin", select_refs(repository, [branch]), hub)
                    return
                except MuseError as error:
                    if error.code not in ("remote-closed", "remote-unreachable"):
                        raise
                    stage.heal()
            raise AssertionError("never landed")

    run_together(4, work)
    with client(stage) as hub:
        refs: Any = hub.load_json("GET", f"{url.path}/refs")["refs"]
    assert {name: bytes.fromhex(refs[f"heads/{name}"]["target"]) for name in heads} == heads
