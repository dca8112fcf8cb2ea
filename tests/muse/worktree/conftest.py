from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.muse.worktree.scene import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """An empty repository."""
    scene = Scene(tmp_path / "work")
    yield scene
    scene.repository.close()
