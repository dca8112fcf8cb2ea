"""These run on both homes of a hub."""

from __future__ import annotations

import pytest
from tests.musehub.homes import settings
from tests.musehub.hub import Remote, RunningHub

__all__ = ["settings"]


@pytest.fixture
def ada(hub: RunningHub) -> Remote:
    return hub.user("ada").repository("notes")
