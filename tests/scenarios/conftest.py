"""One hub for all scenes of a process; each scene has repositories of its own on it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faulty_proxy import FaultyProxy
from tests.hub_process import HubProcess

from muse.remote.address import RepositoryUrl

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def hub_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub that wants packs from 20 blobs or 200 kB on: small histories take the way of large ones."""
    hub = HubProcess(
        tmp_path_factory.mktemp("hub"),
        stream_max_objects=20,
        stream_max_size_bytes=200_000,
        pack_max_bytes=200_000,
    )
    yield hub
    hub.kill()  # asked to stop, it would wait for pushes that a fault left hanging


@pytest.fixture
def own_hub(tmp_path: Path) -> Iterator[HubProcess]:
    """A hub of this scene alone, which may be killed."""
    hub = HubProcess(
        tmp_path / "own-hub", stream_max_objects=20, stream_max_size_bytes=200_000, pack_max_bytes=200_000
    )
    yield hub
    hub.kill()


@pytest.fixture
def proxy(hub_process: HubProcess) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(hub_process.origin)
    yield proxy
    proxy.close()


@pytest.fixture
def url(proxy: FaultyProxy) -> RepositoryUrl:
    """A repository that nobody has pushed to yet, by way of the proxy."""
    return RepositoryUrl(proxy.origin, HubProcess.user, f"songs-{next(_numbers)}")
