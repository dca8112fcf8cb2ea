"""A large push sends trees and commits in parts while its packs are still on their way."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faulty_proxy import BEFORE, CLOSE, DONE, Fault, FaultyProxy
from tests.histories import content, make_repository
from tests.hub_process import HubProcess

from muse.errors import MuseError
from muse.history.edit import edit_tree
from muse.history.missing import STEP_OBJECTS
from muse.objects.commit import Commit, Person, encode_commit
from muse.objects.ids import Kind
from muse.objects.tree import FILE, Entry
from muse.remote.address import RepositoryUrl
from muse.remote.clone import clone
from muse.remote.push import Pushed, push
from muse.remote.retry import Retry
from muse.remote.selection import select_refs
from muse.store.repository import Repository

COMMITS = 700
METADATA = 4 * COMMITS
"""Three trees and a commit each."""


@pytest.fixture
def work(tmp_path: Path, url: RepositoryUrl) -> Iterator[Repository]:
    """One small file a commit, three packs in all; the first holds what the first part needs."""
    rng = random.Random(21)
    with make_repository(tmp_path / "work", url) as repository:
        with repository.transaction() as transaction:
            root = head = None
            for number in range(COMMITS):
                blob = transaction.put(Kind.BLOB, rng.randbytes(400))
                changes = {f"a/{number % 7}/{number}": Entry("", FILE, blob, 400)}
                root = edit_tree(transaction.load, root, changes, transaction.put).id
                ada = Person("Ada", "ada@example.org", 1_700_000_000 + number, 0)
                commit = Commit(root, (head,) if head else (), ada, ada, str(number))
                head = transaction.put(Kind.COMMIT, encode_commit(commit), head)
            transaction.set_ref("heads/main", head)
        yield repository


@pytest.fixture(autouse=True)
def _one_pack_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muse.remote.upload.FIRST_CONCURRENT", 1)


def wait_for_a_part(stream: Fault) -> list[Fault]:
    """Hold the second pack back until the first stream has come as far as `stream` says."""
    over = threading.Event()

    def wait() -> None:
        assert over.wait(60)

    return [stream._replace(run=over.set), Fault("/push/confirm", 2, moment=BEFORE, run=wait)]


def push_through(work: Repository, hub: HubProcess, proxy: FaultyProxy, attempts: int = 4) -> Pushed:
    with hub.client(proxy.origin) as client:
        client.retry = Retry(attempts=attempts, sleep=lambda seconds: None)
        return push(work, "origin", select_refs(work), client)


def check_clone(work: Repository, hub: HubProcess, folder: Path) -> None:
    remote = RepositoryUrl(hub.origin, *work.settings.get("remote.origin.url").split("/")[-2:])
    with hub.client() as client, clone(remote, folder, client, checkout=False).repository as copy:
        assert content(copy, "remotes/origin/") == content(work, "remotes/origin/")


def test_trees_and_commits_go_while_packs_are_uploaded(
    work: Repository, hub_process: HubProcess, proxy: FaultyProxy, tmp_path: Path
) -> None:
    proxy.faults = wait_for_a_part(Fault("/push/stream", moment=DONE))
    pushed = push_through(work, hub_process, proxy)
    assert not proxy.faults, proxy.kinds
    assert proxy.kinds.count("push/confirm") == pushed.packs == 3
    assert 2 <= proxy.kinds.count("push/stream") <= 1 + METADATA // STEP_OBJECTS
    assert pushed.objects == METADATA + COMMITS
    counts = pushed.receipt.counts
    assert (counts["commits"], counts["trees"], counts["blobs"]) == (COMMITS, 3 * COMMITS, COMMITS)
    parts = pushed.receipt.timeline["parts"]
    assert parts["trees"] + parts["commits"] >= STEP_OBJECTS
    check_clone(work, hub_process, tmp_path / "clone")


def test_what_is_too_much_for_one_plan_goes_in_several(
    work: Repository,
    hub_process: HubProcess,
    proxy: FaultyProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("muse.remote.plan.MAX_PLANNED", 2 * COMMITS)  # four objects a commit, besides it
    pushed = push_through(work, hub_process, proxy)
    assert pushed.objects == METADATA + COMMITS
    counts = pushed.receipt.counts
    assert (counts["commits"], counts["trees"], counts["blobs"]) == (COMMITS, 3 * COMMITS, COMMITS)
    check_clone(work, hub_process, tmp_path / "clone")


def test_after_a_push_that_died_between_two_plans_only_the_rest_is_sent(
    work: Repository,
    hub_process: HubProcess,
    proxy: FaultyProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("muse.remote.plan.MAX_PLANNED", 2 * COMMITS)
    # The second plan begins with a question.
    proxy.faults = [Fault("/push/missing", moment=BEFORE, after_bytes=n, effect=CLOSE) for n in range(3)]
    with pytest.raises(MuseError) as caught:
        push_through(work, hub_process, proxy, attempts=1)
    assert caught.value.retry
    assert proxy.kinds.count("push/missing") > 0
    proxy.reset()
    proxy.faults = []
    pushed = push_through(work, hub_process, proxy)
    assert pushed.resumed
    assert pushed.objects < METADATA + COMMITS - 2 * COMMITS
    check_clone(work, hub_process, tmp_path / "clone")


def test_what_a_broken_part_held_goes_with_the_rest(
    work: Repository, hub_process: HubProcess, proxy: FaultyProxy, tmp_path: Path
) -> None:
    proxy.faults = wait_for_a_part(Fault("/push/stream", moment=DONE, effect=CLOSE))
    pushed = push_through(work, hub_process, proxy)
    assert not proxy.faults, proxy.kinds
    assert proxy.kinds.count("push/confirm") == 3
    assert pushed.objects == METADATA + COMMITS
    check_clone(work, hub_process, tmp_path / "clone")


def test_after_a_push_that_died_only_the_rest_is_sent(
    work: Repository, hub_process: HubProcess, proxy: FaultyProxy, tmp_path: Path
) -> None:
    first, second = wait_for_a_part(Fault("/push/stream", moment=DONE))
    later = [Fault("/push/stream", moment=BEFORE, after_bytes=n, effect=CLOSE) for n in range(3)]
    proxy.faults = [first, second, *later]
    with pytest.raises(MuseError) as caught:
        push_through(work, hub_process, proxy, attempts=1)
    assert caught.value.retry
    proxy.reset()
    proxy.faults = []
    pushed = push_through(work, hub_process, proxy)
    assert pushed.resumed
    assert "push/presign" not in proxy.kinds
    assert proxy.kinds.count("push/stream") == 1
    assert pushed.objects <= METADATA - STEP_OBJECTS
    check_clone(work, hub_process, tmp_path / "clone")
