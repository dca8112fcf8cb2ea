"""A repository of muse and a Git repository, both empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.muse.git.gitrepo import GitRepo

from muse.store.repository import Repository


@pytest.fixture
def source(tmp_path: Path) -> GitRepo:
    return GitRepo(tmp_path / "source.git")


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with Repository.init(tmp_path / "muse") as repository:
        yield repository
