"""A hub whose disk is really full: a clear error, everything that was there stays, room cures it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.faults.small_disk import SmallDisk
from tests.histories import commit_chain, commit_files, content, make_repository
from tests.hub_process import MUSEHUB, HubProcess

from muse.errors import MuseError
from muse.remote.address import RepositoryUrl
from muse.remote.clone import clone
from muse.remote.push import Pushed, push
from muse.remote.retry import Retry
from muse.remote.selection import select_refs
from muse.store.fsck import fsck
from muse.store.repository import Repository

COMMITS = 6_000
SMALL_BYTES, LARGE_BYTES = 3 << 20, 64 << 20


@contextmanager
def serve(folder: Path, disk: SmallDisk, **settings: object) -> Iterator[HubProcess]:
    hub = HubProcess(folder, prefix=disk.prefix, workers=0, **settings)
    try:
        yield hub
    finally:
        hub.kill()


def push_once(repository: Repository, hub: HubProcess) -> Pushed:
    with hub.client() as client:
        client.retry = Retry(1)
        return push(repository, "origin", select_refs(repository), client)


def check_refused(repository: Repository, hub: HubProcess) -> MuseError:
    with pytest.raises(MuseError) as caught:
        push_once(repository, hub)
    assert caught.value.code in ("disk-full", "store-unavailable")
    assert "full" in f"{caught.value.code} {caught.value.hint}"
    assert caught.value.hint
    with hub.client() as client:
        assert client.load_json("GET", "/health")["status"] == "ok"
    return caught.value


def check_same(url: RepositoryUrl, repository: Repository, hub: HubProcess, folder: Path) -> None:
    with hub.client() as client, clone(url, folder, client, checkout=False).repository as copy:
        assert content(copy) == content(repository)
        assert list(fsck(copy)) == []


def check_hub(disk: SmallDisk, hub: HubProcess, *options: str) -> None:
    """`musehub fsck`, which fails if anything is wrong."""
    disk.run(hub.pid, MUSEHUB, "fsck", "--deep", "--data", hub.data, *options)


@pytest.mark.parametrize("files", [3, 1000], ids=["in one request", "in packs"])
def test_a_full_store(tmp_path: Path, files: int) -> None:
    disk = SmallDisk(tmp_path / "hub" / "data" / "store", SMALL_BYTES)
    rng = random.Random(files)
    with serve(tmp_path / "hub", disk, stream_max_size_bytes=20 << 20) as hub:
        before = RepositoryUrl(hub.origin, hub.user, "before")
        url = RepositoryUrl(hub.origin, hub.user, "large")
        with (
            make_repository(tmp_path / "before", before) as old,
            make_repository(tmp_path / "work", url) as new,
        ):
            commit_files(old, {"a": rng.randbytes(1000)})
            push_once(old, hub)
            commit_files(new, {f"{number}": rng.randbytes(9_000_000 // files) for number in range(files)})
            for _ in range(2):
                check_refused(new, hub)
            check_same(before, old, hub, tmp_path / "copy-while-full")
            # What did not fit is not what fills the disk.
            commit_files(old, {"b": rng.randbytes(100_000)})
            push_once(old, hub)
            disk.resize(hub.pid, LARGE_BYTES)
            push_once(new, hub)
            check_same(before, old, hub, tmp_path / "copy-before")
            check_same(url, new, hub, tmp_path / "copy")
        check_hub(disk, hub)


def test_a_full_disk_of_the_database(tmp_path: Path) -> None:
    """What was recorded before it was full is not sent again."""
    disk = SmallDisk(tmp_path / "hub" / "data", 4 << 20)
    store = (tmp_path / "store").as_uri()
    with serve(tmp_path / "hub", disk, store_url=store) as hub:
        url = RepositoryUrl(hub.origin, hub.user, "long")
        with make_repository(tmp_path / "work", url) as repository:
            commit_chain(repository, COMMITS)
            check_refused(repository, hub)
            check_refused(repository, hub)
            disk.resize(hub.pid, LARGE_BYTES)
            pushed = push_once(repository, hub)
            assert pushed.receipt.refs["heads/main"].target == repository.refs.get("heads/main").target
            assert 0 < pushed.objects < COMMITS
            check_same(url, repository, hub, tmp_path / "copy")
        check_hub(disk, hub, "--store", store)
