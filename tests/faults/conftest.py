"""The stages of this process: servers started once, for all scenes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.stage import OpenStage, open_stages


@pytest.fixture(scope="session")
def open_stage() -> Iterator[OpenStage]:
    # A short path: PostgreSQL's socket lies in it.
    folder = Path(tempfile.mkdtemp(prefix="muse-faults-"))
    folder.chmod(0o755)
    try:
        with open_stages(folder) as get:
            yield get
    finally:
        shutil.rmtree(folder, ignore_errors=True)
