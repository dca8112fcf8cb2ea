"""Which store the settings name, and what is said at the start when it cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.musehub.seaweedfs import SeaweedFS

from muse.errors import MuseError
from musehub.settings import Settings, load_settings
from musehub.storage.opening import check_store, open_store
from musehub.storage.s3 import S3Store


async def secret() -> bytes:
    return b"s" * 32


def settings_of(tmp_path: Path, **flags: object) -> Settings:
    return load_settings({"data_dir": tmp_path, "store_retry_timeout_s": 1, **flags}, environ={})


@pytest.fixture
def keys(seaweedfs: SeaweedFS) -> dict[str, str]:
    return dict(zip(("store_access_key", "store_secret_key"), seaweedfs.keys, strict=True))


async def test_a_bucket_that_answers_is_fine(
    seaweedfs: SeaweedFS, tmp_path: Path, keys: dict[str, str]
) -> None:
    settings = settings_of(tmp_path, store_url=seaweedfs.create_bucket(), **keys)
    store = open_store(settings, secret)
    assert isinstance(store.inner, S3Store)
    await check_store(settings, store)


async def test_the_embedded_store_need_not_be_there_yet(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    await check_store(settings, open_store(settings, secret))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "code", "hint"),
    [
        ({"store_secret_key": "wrong"}, "read-only", "store_access_key"),
        ({"store_url": "s3://no-such-bucket?endpoint=ENDPOINT"}, "bad-setting", "make the bucket"),
        ({"store_url": "s3://tests?endpoint=http://127.0.0.1:9"}, "store-unavailable", "endpoint"),
    ],
)
async def test_what_is_wrong_is_said_with_what_to_do(
    seaweedfs: SeaweedFS,
    tmp_path: Path,
    keys: dict[str, str],
    change: dict[str, str],
    code: str,
    hint: str,
) -> None:
    flags = {"store_url": seaweedfs.create_bucket(), **keys, **change}
    flags["store_url"] = flags["store_url"].replace("ENDPOINT", seaweedfs.endpoint)
    settings = settings_of(tmp_path, **flags)
    with pytest.raises(MuseError) as caught:
        await check_store(settings, open_store(settings, secret))
    assert caught.value.code == code
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    "flags",
    [
        {"store_url": "ftp://somewhere"},
        {"store_url": "s3://bucket"},
        {"store_url": "s3://KEY:SECRET@bucket", "store_access_key": "a", "store_secret_key": "b"},
    ],
)
def test_a_store_that_cannot_be_is_refused_without_showing_secrets(
    tmp_path: Path, flags: dict[str, str]
) -> None:
    with pytest.raises(MuseError) as caught:
        open_store(settings_of(tmp_path, **flags), secret)
    assert caught.value.code == "bad-setting"
    assert "SECRET" not in str(caught.value)


def test_keys_may_come_in_their_usual_names_and_are_never_shown(tmp_path: Path) -> None:
    environ = {
        "AWS_ACCESS_KEY_ID": "usual-key",
        "AWS_SECRET_ACCESS_KEY": "usual-secret",
        "MUSEHUB_STORE_SECRET_KEY": "own-secret",
        "MUSEHUB_DATABASE_URL": "postgresql://hub:pass-word@db.example.org/hub",
    }
    settings = load_settings({"data_dir": tmp_path}, environ=environ)
    assert (settings.store_access_key, settings.store_secret_key) == ("usual-key", "own-secret")
    shown = repr(settings)
    assert not any(secret in shown for secret in ("usual-key", "own-secret", "pass-word"))
    assert "hub:***@db.example.org" in shown
