"""A new repository per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from muse.store.repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with Repository.init(tmp_path / "work") as made:
        yield made
