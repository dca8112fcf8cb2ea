"""Nothing new and one file cost the same in a repository of a hundred objects and of twenty thousand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.histories import commit_files, make_repository
from tests.musehub.hub import RunningHub

from muse.remote.address import RepositoryUrl, parse_hub_url
from muse.remote.client import HubClient
from muse.remote.push import Pushed, push
from muse.remote.selection import select_refs
from muse.store.repository import Repository

SIZES = (100, 20_000)
FILES_PER_FOLDER = 100


class Costs(NamedTuple):
    requests: int
    statements: int
    transactions: int
    store_calls: int


class Ada:
    """Somebody who pushes the same repository again and again while it grows."""

    def __init__(self, folder: Path, hub: RunningHub) -> None:
        user = hub.user("ada")
        self._token = user._token
        self._url = RepositoryUrl(parse_hub_url(hub.url), "ada", "notes")
        self.repository: Repository = make_repository(folder / "work", self._url)
        self._blobs = 0

    def grow(self, blobs: int) -> None:
        """Commit that many blobs, a hundred in each folder, and push them."""
        numbers = range(self._blobs, blobs)
        files = {
            f"d{n // FILES_PER_FOLDER // 50}/e{n // FILES_PER_FOLDER % 50}/f{n}": b"%d" % n for n in numbers
        }
        self._blobs = blobs
        commit_files(self.repository, files)
        self.push()

    def push(self) -> Pushed:
        with HubClient(self._url.origin, self._token) as hub:
            return push(self.repository, "origin", select_refs(self.repository), hub)

    def push_files(self, count: int) -> Costs:
        """Commit so many other files, and push them in packs; returns what the last stream and parts cost."""
        numbers = range(self._blobs, self._blobs + count)
        self._blobs += count
        commit_files(self.repository, {f"more/{n}": b"%d" % n for n in numbers})
        pushed = self.push()
        costs, parts = costs_of(pushed), pushed.receipt.timeline["parts"]
        return costs._replace(transactions=costs.transactions + (parts["transactions"] if parts else 0))

    def commit_one_file(self, content: bytes) -> None:
        commit_files(self.repository, {"d0/e0/one": content})


@pytest.fixture
def ada(tmp_path: Path, hub: RunningHub) -> Iterator[Ada]:
    made = Ada(tmp_path, hub)
    yield made
    made.repository.close()


def costs_of(pushed: Pushed) -> Costs:
    timeline = pushed.receipt.timeline
    assert timeline is not None
    counts = (timeline[name] for name in ("statements", "transactions", "store_calls"))
    return Costs(pushed.requests, *counts)


def test_small_pushes_cost_the_same_at_every_size(ada: Ada) -> None:
    nothing_new, one_file, bytes_of_nothing, bytes_of_one = [], [], set(), []
    for size in SIZES:
        ada.grow(size)
        pushed = ada.push()
        assert pushed.receipt.up_to_date
        nothing_new.append(costs_of(pushed))
        bytes_of_nothing.add(pushed.bytes_sent)
        ada.commit_one_file(b"one of %d" % size)
        pushed = ada.push()
        assert pushed.objects == 5  # a blob, three trees, a commit
        one_file.append(costs_of(pushed))
        bytes_of_one.append(pushed.bytes_sent)

    assert nothing_new[0] == nothing_new[1]
    assert nothing_new[0].requests == 1
    assert nothing_new[0].statements <= 3
    assert nothing_new[0].store_calls == 0
    assert len(bytes_of_nothing) == 1
    assert one_file[0] == one_file[1]
    assert one_file[0].requests == 1
    assert one_file[0].statements <= 28
    assert one_file[0].store_calls == 1
    # The folders above it, which may hold a hundred names each, and nothing else of the repository.
    assert max(bytes_of_one) < 8_000


def test_what_a_batch_names_is_asked_for_in_parts(ada: Ada, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musehub.push.memory.MAX_KNOWN", 0)
    ada.grow(SIZES[0])
    whole = ada.push_files(700)
    monkeypatch.setattr("musehub.push.closure.IDS_AT_ONCE", 100)
    parts = ada.push_files(700)
    assert parts.transactions >= whole.transactions + 5
    assert parts.requests == whole.requests
