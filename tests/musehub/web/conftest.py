"""One hub for all tests of pages in a process."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.web_scene import Scene, build_scene


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    scene = build_scene(tmp_path_factory.mktemp("web"))
    yield scene
    scene.hub.stop()


@pytest.fixture
def visitor(scene: Scene) -> Iterator[httpx.Client]:
    """Somebody who is not signed in."""
    with scene.visitor() as client:
        yield client


@pytest.fixture
def admin(scene: Scene) -> Iterator[httpx.Client]:
    """The owner of every repository of the scene."""
    with scene.sign_in() as client:
        yield client
