"""Both homes of a hub: SQLite with a folder, PostgreSQL with S3. Tests with `settings` run on each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.musehub.seaweedfs import SeaweedFS

from musehub.settings import Settings


@pytest.fixture
def settings(
    make_settings: Callable[..., Settings],
    database_kind: str,
    database_url: str,
    request: pytest.FixtureRequest,
) -> Settings:
    if database_kind == "sqlite":
        return make_settings(database_url=database_url)
    server: SeaweedFS = request.getfixturevalue("seaweedfs")
    access, secret = server.keys
    return make_settings(
        database_url=database_url,
        store_url=server.create_bucket(),
        store_access_key=access,
        store_secret_key=secret,
    )
