"""Clone and fetch against a real hub: complete or nothing, whatever the network does."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.faulty_proxy import Fault, FaultyProxy
from tests.histories import commit_files, commit_random, content, make_repository, tag_commit
from tests.hub_process import HubProcess

from muse.errors import Conflict, MuseError, NotFound
from muse.remote.address import RepositoryUrl
from muse.remote.clone import Cloned, clone
from muse.remote.fetch import Fetched, fetch
from muse.remote.push import push
from muse.remote.retry import Retry
from muse.remote.selection import select_refs
from muse.store.progress import Progress, silent
from muse.store.repository import Repository


@pytest.fixture
def source(
    tmp_path: Path, url: RepositoryUrl, hub_process: HubProcess, proxy: FaultyProxy
) -> Iterator[Repository]:
    """A repository that was pushed: several packs, two branches, tags."""
    with make_repository(tmp_path / "source", url) as repository:
        commit_random(repository, random.Random(11), commits=25, files=8, size=4000)
        side = commit_files(repository, {"side": b"only here"}, branch="side")
        tag_commit(repository, "v1", side)
        push_all(repository, hub_process)
        proxy.reset()
        yield repository


def push_all(repository: Repository, hub: HubProcess) -> None:
    with hub.client(RepositoryUrl(hub.origin, "", "").origin) as client:
        push(repository, "origin", select_refs(repository, all_branches=True, tags=True), client)


def clone_from(
    url: RepositoryUrl,
    hub: HubProcess,
    folder: Path,
    attempts: int = 1,
    progress: Progress = silent,
    **options: Any,
) -> Cloned:
    with hub.client(url.origin) as client:
        client.retry = Retry(attempts=attempts, sleep=lambda seconds: None)
        return clone(url, folder, client, progress=progress, **options)


def fetch_into(repository: Repository, hub: HubProcess, url: RepositoryUrl, **options: bool) -> Fetched:
    with hub.client(url.origin) as client:
        client.retry = Retry(attempts=1, sleep=lambda seconds: None)
        return fetch(repository, "origin", client, **options)


def check_same(copy: Repository, source: Repository) -> None:
    assert content(copy, "remotes/origin/") == content(source, "remotes/origin/")


def test_a_clone_has_every_object_and_every_file(
    source: Repository, url: RepositoryUrl, hub_process: HubProcess, proxy: FaultyProxy, tmp_path: Path
) -> None:
    made = clone_from(url, hub_process, tmp_path / "a" / "b" / "clone")
    with made.repository as copy:
        check_same(copy, source)
        assert made.branch == "main"
        assert copy.refs.head() == source.refs.head()
        assert copy.refs.get("tags/v1") == source.refs.get("tags/v1")
        assert made.fetched.packs >= 2
        assert proxy.kinds.count("fetch") == 1
        assert len(proxy.requests) == 1 + made.fetched.packs
        from muse.history.lookup import iter_files

        tree = copy.graph(copy.refs.head().target).tree
        files = dict(iter_files(copy.objects.load, tree))
        on_disk = {
            path.relative_to(copy.work_dir).as_posix()
            for path in copy.work_dir.rglob("*")
            if path.is_file() and ".muse" not in path.parts
        }
        assert on_disk == files.keys()
        for name, entry in files.items():
            assert (copy.work_dir / name).read_bytes() == b"".join(
                copy.objects.open_file(entry.kind, entry.id)
            )
        assert copy.settings.get("remote.origin.url") == str(url)


def test_a_clone_of_one_branch_brings_that_one_alone(
    source: Repository, url: RepositoryUrl, hub_process: HubProcess, tmp_path: Path
) -> None:
    made = clone_from(url, hub_process, tmp_path / "clone", branch="side", only=True)
    with made.repository as copy:
        side = source.refs.get("heads/side").target
        assert (made.branch, made.fetched.refs.keys()) == ("side", {"heads/side"})
        assert [ref.name for ref in copy.refs.iter()] == ["heads/side", "remotes/origin/heads/side"]
        newer = commit_files(source, {"more": b"of it"}, branch="side")
        commit_files(source, {"other": b"thing"})
        push_all(source, hub_process)
        changes = fetch_into(copy, hub_process, url).changes
        assert [(change.name, change.old.target, change.new.target) for change in changes] == [
            ("remotes/origin/heads/side", side, newer)
        ]
        copy.settings.set("remote.origin.refs", None)
        fetch_into(copy, hub_process, url)
        check_same(copy, source)
    with pytest.raises(NotFound) as caught:
        clone_from(url, hub_process, tmp_path / "none", branch="none", only=True)
    assert caught.value.code == "unknown-branch"
    assert not (tmp_path / "none").exists()


def test_another_branch_and_an_unknown_one(
    source: Repository, url: RepositoryUrl, hub_process: HubProcess, tmp_path: Path
) -> None:
    with hub_process.client(url.origin) as client:
        with clone(url, tmp_path / "side", client, branch="side").repository as copy:
            assert copy.refs.head().branch == "side"
            assert (copy.work_dir / "side").read_bytes() == b"only here"
        with pytest.raises(NotFound):
            clone(url, tmp_path / "none", client, branch="none")
    assert not (tmp_path / "none").exists()


def test_an_empty_repository_can_be_cloned(
    url: RepositoryUrl, hub_process: HubProcess, proxy: FaultyProxy, tmp_path: Path
) -> None:
    proxy.faults = [
        Fault("/push/stream", cut_request_at=10)
    ]  # the repository is there by then, without a branch
    with make_repository(tmp_path / "seed", url) as seed, hub_process.client(url.origin) as client:
        client.retry = Retry(attempts=1)
        commit_random(seed, random.Random(14), commits=5, files=8)
        with pytest.raises(MuseError):
            push(seed, "origin", select_refs(seed), client)
    made = clone_from(url, hub_process, tmp_path / "clone")
    with made.repository as copy:
        assert made.fetched.refs == {}
        assert copy.refs.head() == (made.branch, None)


def test_a_folder_in_use_is_left_alone(
    source: Repository, url: RepositoryUrl, hub_process: HubProcess, tmp_path: Path, proxy: FaultyProxy
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("full", "file"):
        with pytest.raises(Conflict) as caught:
            clone_from(url, hub_process, tmp_path / name)
        assert caught.value.code == "already-exists"
    assert (tmp_path / "full" / "mine").read_text() == (tmp_path / "file").read_text() == "mine"
    assert proxy.requests == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault("/fetch", cut_answer_at=100),
        Fault("/fetch", cut_answer_at=3_000),
        Fault("/fetch", cut_answer_at=20_000),
        Fault("/fetch", drop_answer=True),
        Fault("?", cut_answer_at=2_000),
        Fault("?", nth=2, cut_request_at=40),
    ],
    ids=lambda fault: f"{fault.path[:6]}-{fault.nth}-{'-'.join(map(str, fault[2:]))}",
)
def test_a_clone_that_is_cut_leaves_nothing_and_works_the_next_time(
    source: Repository,
    url: RepositoryUrl,
    hub_process: HubProcess,
    proxy: FaultyProxy,
    tmp_path: Path,
    fault: Fault,
) -> None:
    (tmp_path / "there").mkdir()
    for folder in (tmp_path / "new" / "clone", tmp_path / "there"):
        proxy.reset()
        proxy.faults = [fault]
        with pytest.raises(MuseError) as caught:
            clone_from(url, hub_process, folder)
        assert caught.value.code in ("remote-closed", "bad-frame")
        assert proxy.happened == [fault]
    assert not (tmp_path / "new").exists()
    assert os.listdir(tmp_path / "there") == []
    with clone_from(url, hub_process, tmp_path / "there").repository as copy:
        check_same(copy, source)


def test_with_retries_a_cut_goes_unnoticed(
    source: Repository, url: RepositoryUrl, hub_process: HubProcess, proxy: FaultyProxy, tmp_path: Path
) -> None:
    proxy.faults = [Fault("/fetch", cut_answer_at=3_000), Fault("?", nth=2, cut_answer_at=2_000)]
    with clone_from(url, hub_process, tmp_path / "clone", attempts=4).repository as copy:
        check_same(copy, source)
    assert len(proxy.happened) == 2


def test_ctrl_c_leaves_nothing(
    source: Repository, url: RepositoryUrl, hub_process: HubProcess, tmp_path: Path
) -> None:
    def interrupt(phase: str, done: int, total: int | None, unit: str) -> None:
        if threading.current_thread() is threading.main_thread() and phase == "receiving":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clone_from(url, hub_process, tmp_path / "clone", progress=interrupt)
    assert not (tmp_path / "clone").exists()


def test_a_fetch_brings_what_is_new_in_one_request(
    source: Repository, url: RepositoryUrl, hub_process: HubProcess, proxy: FaultyProxy, tmp_path: Path
) -> None:
    with clone_from(url, hub_process, tmp_path / "clone").repository as copy:
        proxy.reset()
        assert fetch_into(copy, hub_process, url).changes == []
        assert proxy.kinds == ["fetch"]
        commit_files(source, {"text/1/1.txt": b"one more"})
        push_all(source, hub_process)
        proxy.reset()
        fetched = fetch_into(copy, hub_process, url)
        assert proxy.kinds == ["fetch"]
        assert fetched.objects == 5
        assert [(change.name, change.forced) for change in fetched.changes] == [
            ("remotes/origin/heads/main", False)
        ]
        check_same(copy, source)


def test_an_interrupted_fetch_changes_no_ref_and_the_next_one_is_whole(
    source: Repository, url: RepositoryUrl, hub_process: HubProcess, proxy: FaultyProxy, tmp_path: Path
) -> None:
    with clone_from(url, hub_process, tmp_path / "clone").repository as copy:
        before = list(copy.refs.iter())
        commit_random(source, random.Random(12), commits=8, files=8, size=4000)
        push_all(source, hub_process)
        proxy.reset()
        proxy.faults = [Fault("/fetch", cut_answer_at=60_000)]
        with pytest.raises(MuseError):
            fetch_into(copy, hub_process, url)
        assert list(copy.refs.iter()) == before
        fetch_into(copy, hub_process, url)
        check_same(copy, source)


def test_a_deleted_branch_is_pruned_when_asked(
    source: Repository, url: RepositoryUrl, hub_process: HubProcess, tmp_path: Path
) -> None:
    with clone_from(url, hub_process, tmp_path / "clone").repository as copy:
        with hub_process.client(url.origin) as client:
            push(source, "origin", select_refs(source, ["side"], delete=True), client)
        assert fetch_into(copy, hub_process, url).changes == []
        pruned = fetch_into(copy, hub_process, url, prune=True)
        assert [change.name for change in pruned.changes] == ["remotes/origin/heads/side"]


def test_a_stranger_does_not_find_the_repository(
    source: Repository, url: RepositoryUrl, hub_process: HubProcess, tmp_path: Path
) -> None:
    from muse.remote.client import HubClient

    with HubClient(url.origin) as nobody, pytest.raises(NotFound) as caught:
        clone(url, tmp_path / "clone", nobody)
    assert caught.value.code == "repository-not-found"
    assert not (tmp_path / "clone").exists()
