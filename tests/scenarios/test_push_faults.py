"""A push that is cut, doubled or killed at any point: run again it converges, and only the rest is sent."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.faulty_proxy import Fault, FaultyProxy
from tests.histories import commit_files, commit_random, content, make_repository
from tests.hub_process import HubProcess

from muse.errors import MuseError
from muse.remote.address import RepositoryUrl
from muse.remote.clone import clone
from muse.remote.push import Pushed, push
from muse.remote.retry import Retry
from muse.remote.selection import select_refs
from muse.store.progress import silent
from muse.store.repository import Repository


@pytest.fixture
def work(tmp_path: Path, url: RepositoryUrl) -> Iterator[Repository]:
    """A history whose push takes several packs."""
    with make_repository(tmp_path / "work", url) as repository:
        commit_random(repository, random.Random(7), commits=30, files=8, size=4000)
        yield repository


def push_once(
    work: Repository,
    hub: HubProcess,
    proxy: FaultyProxy,
    attempts: int = 1,
    progress: Callable[[str, int, int | None, str], None] = silent,
) -> Pushed:
    """Push with so many attempts at everything, and no pauses between them."""
    with hub.client(proxy.origin) as client:
        client.retry = Retry(attempts=attempts, sleep=lambda seconds: None)
        return push(work, "origin", select_refs(work), client, progress=progress)


def check_landed(work: Repository, hub: HubProcess, folder: Path) -> None:
    """The branch is where it should be, and a clone holds every object of it."""
    head = work.refs.get("heads/main").target
    assert work.refs.get("remotes/origin/heads/main").target == head
    assert work.remotes.get_open_push("origin") is None
    remote = RepositoryUrl(hub.origin, *work.settings.get("remote.origin.url").split("/")[-2:])
    with hub.client() as client, clone(remote, folder, client, checkout=False).repository as copy:
        assert content(copy, "remotes/origin/") == content(work, "remotes/origin/")


def test_killed_after_each_confirmed_pack_only_the_rest_is_sent(
    work: Repository, hub_process: HubProcess, proxy: FaultyProxy, tmp_path: Path
) -> None:
    proxy.faults = [Fault("/push/confirm", nth=4, cut_request_at=50)]
    with pytest.raises(MuseError) as caught:
        push_once(work, hub_process, proxy)
    assert caught.value.code == "remote-closed"
    first_bytes = proxy.bytes_up
    confirmed = proxy.kinds.count("push/confirm") - 1
    assert confirmed >= 1
    proxy.reset()
    pushed = push_once(work, hub_process, proxy)
    assert pushed.resumed
    assert pushed.packs >= 1
    puts = [request for request in proxy.requests if request.method == "PUT"]
    assert sum(request.bytes_up for request in puts) < first_bytes
    check_landed(work, hub_process, tmp_path / "clone")


@pytest.mark.parametrize(
    "fault",
    [
        Fault("/refs", cut_answer_at=20),
        Fault("/push/presign", cut_request_at=30),
        Fault("/push/presign", nth=2, cut_answer_at=60),
        Fault("/push/presign", nth=2, drop_answer=True),
        Fault("?", cut_request_at=30_000),
        Fault("?", nth=2, drop_answer=True),
        Fault("/push/confirm", drop_answer=True),
        Fault("/push/confirm", nth=2, cut_answer_at=130),
        Fault("/push/stream", cut_request_at=400),
        Fault("/push/stream", cut_request_at=8_000),
        Fault("/push/stream", drop_answer=True),
        Fault("/push/stream", cut_answer_at=40),
        Fault("/push/stream", duplicate=True),
        Fault("/push/confirm", duplicate=True),
    ],
    ids=lambda fault: f"{fault.path}-{fault.nth}-{'-'.join(map(str, fault[2:6]))}",
)
def test_one_fault_anywhere_costs_a_retry_and_nothing_else(
    work: Repository, hub_process: HubProcess, proxy: FaultyProxy, tmp_path: Path, fault: Fault
) -> None:
    proxy.faults = [fault]
    pushed = push_once(work, hub_process, proxy, attempts=4)
    assert proxy.happened == [fault]
    assert pushed.receipt.refs["heads/main"].target == work.refs.get("heads/main").target
    check_landed(work, hub_process, tmp_path / "clone")


def test_a_reply_that_was_lost_is_asked_for_and_nothing_sent_again(
    work: Repository, hub_process: HubProcess, proxy: FaultyProxy
) -> None:
    proxy.faults = [Fault("/push/stream", drop_answer=True)]
    with pytest.raises(MuseError) as caught:
        push_once(work, hub_process, proxy)
    assert caught.value.code == "remote-closed"
    proxy.reset()
    pushed = push_once(work, hub_process, proxy)
    assert pushed.resumed
    assert [kind.partition("/")[0] for kind in proxy.kinds] == ["push"]
    assert proxy.requests[0].method == "GET"
    assert not pushed.receipt.up_to_date
    assert pushed.objects == 0


def test_a_lost_reply_and_a_new_commit_take_the_receipt_and_push_the_rest(
    work: Repository, hub_process: HubProcess, proxy: FaultyProxy, tmp_path: Path
) -> None:
    proxy.faults = [Fault("/push/stream", drop_answer=True)]
    with pytest.raises(MuseError):
        push_once(work, hub_process, proxy)
    head = commit_files(work, {"one/more": b"after the lost reply"})
    proxy.reset()
    pushed = push_once(work, hub_process, proxy)
    assert pushed.receipt.refs["heads/main"].target == head
    assert pushed.objects <= 5
    check_landed(work, hub_process, tmp_path / "clone")


def test_after_every_cut_the_next_push_gets_further(
    work: Repository, hub_process: HubProcess, proxy: FaultyProxy, tmp_path: Path
) -> None:
    """The number of runs stays bounded, because what was confirmed stays."""
    runs = 0
    codes: set[str] = set()
    rng = random.Random(8)
    while True:
        runs += 1
        assert runs < 40
        paths = rng.choice(["/push/presign", "?", "/push/confirm", "/push/stream"])
        proxy.reset()
        proxy.faults = [Fault(paths, nth=rng.randrange(1, 4), cut_request_at=rng.randrange(60, 60_000))]
        try:
            push_once(work, hub_process, proxy)
        except MuseError as error:
            codes.add(error.code)
        else:
            break
    assert codes <= {"remote-closed", "push-in-progress"}
    check_landed(work, hub_process, tmp_path / "clone")


@pytest.mark.parametrize("phase", ["uploading", "sending"])
def test_the_hub_is_killed_and_comes_back(tmp_path: Path, own_hub: HubProcess, phase: str) -> None:
    url = RepositoryUrl(own_hub.origin, HubProcess.user, "songs")
    proxy = FaultyProxy(own_hub.origin)
    with make_repository(tmp_path / "work", url) as work:
        commit_random(
            work, random.Random(9), commits=30, files=8, size=40_000 if phase == "uploading" else 4000
        )
        killed = []

        def kill(name: str, done: int, total: int | None, unit: str) -> None:
            if name == phase and done > 100_000 and not killed:
                killed.append(done)
                own_hub.kill()

        if phase == "sending":
            proxy.faults = [Fault("/push/stream", cut_request_at=3000)]
        with pytest.raises(MuseError) as caught:
            push_once(work, own_hub, proxy, progress=kill)
        assert caught.value.code in ("remote-closed", "remote-unreachable")
        own_hub.kill()
        own_hub.start()
        push_once(work, own_hub, FaultyProxy(own_hub.origin))
        check_landed(work, own_hub, tmp_path / "clone")
    proxy.close()


def test_the_hub_stays_away(
    tmp_path: Path, work: Repository, proxy: FaultyProxy, hub_process: HubProcess
) -> None:
    proxy.close()
    pauses: list[float] = []
    with hub_process.client(proxy.origin) as client:
        client.retry = Retry(sleep=pauses.append)
        with pytest.raises(MuseError) as caught:
            push(work, "origin", select_refs(work), client)
    assert caught.value.code == "remote-unreachable"
    assert "is the hub running" in (caught.value.hint or "")
    assert pauses == []


@pytest.mark.parametrize("known_then", [True, False])
def test_the_hub_is_restored_to_an_earlier_state_of_its_database(
    tmp_path: Path, own_hub: HubProcess, known_then: bool
) -> None:
    """The client believes in refs, or in a repository, that the hub has forgotten."""
    url = RepositoryUrl(own_hub.origin, HubProcess.user, "songs")
    proxy = FaultyProxy(own_hub.origin)
    with make_repository(tmp_path / "work", url) as work:
        rng = random.Random(16)
        commit_random(work, rng, commits=10, files=8, size=4000)
        if known_then:
            push_once(work, own_hub, proxy)
        own_hub.stop()
        shutil.copytree(own_hub.data, tmp_path / "backup", ignore=shutil.ignore_patterns("store"))
        own_hub.start()
        commit_random(work, rng, commits=20, files=8, size=4000)
        push_once(work, own_hub, proxy)
        commit_files(work, {"side": b"1"}, branch="side")
        with own_hub.client() as client:
            push(work, "origin", select_refs(work, ["side"]), client)
        own_hub.stop()
        for path in own_hub.data.iterdir():
            if path.is_file():
                path.unlink()
        shutil.copytree(tmp_path / "backup", own_hub.data, dirs_exist_ok=True)
        own_hub.start()
        proxy.reset()
        assert not push_once(work, own_hub, proxy).receipt.up_to_date
        assert "push/confirm" in proxy.kinds
        if known_then:  # a repository that is made anew has a place of its own in the store
            assert "PUT" not in {request.method for request in proxy.requests}
        commit_files(work, {"one/more": b"after the restore"})
        push_once(work, own_hub, proxy)
        with own_hub.client() as client:
            push(work, "origin", select_refs(work, ["side"]), client)
        check_landed(work, own_hub, tmp_path / "clone")
    proxy.close()
