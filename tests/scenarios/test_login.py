"""Logging in to a real hub: with a password, with a key, and out again."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from tests.hub_process import HubProcess

from muse.errors import AccessDenied, Conflict, MuseError
from muse.remote.address import Origin
from muse.remote.auth import (
    add_key,
    generate_key,
    load_identity,
    load_key,
    log_in_with_key,
    log_in_with_password,
    log_out,
)
from muse.remote.client import HubClient


def test_a_password_gives_a_token_that_can_be_given_up(hub_process: HubProcess) -> None:
    with HubClient(hub_process.origin) as nobody:
        credential = log_in_with_password(nobody, "admin", hub_process.password, label="test", scope="write")
        with pytest.raises(AccessDenied) as caught:
            load_identity(nobody)
        assert caught.value.code == "not-logged-in"
    assert credential.user == "admin"
    with HubClient(hub_process.origin, credential.token) as hub:
        identity = load_identity(hub)
        assert (identity.user, identity.scope, identity.is_admin) == ("admin", "write", True)
        log_out(hub)
        with pytest.raises(AccessDenied) as caught:
            load_identity(hub)
        assert caught.value.code in ("token-revoked", "bad-credentials")


def test_a_wrong_password_is_refused_and_tried_once(hub_process: HubProcess) -> None:
    with HubClient(hub_process.origin) as nobody, pytest.raises(AccessDenied) as caught:
        log_in_with_password(nobody, "admin", "wrong")
    assert caught.value.code == "bad-credentials"
    assert nobody.requests == 1


def test_a_key_proves_who_one_is(hub_process: HubProcess, tmp_path: Path) -> None:
    path = tmp_path / "keys" / "laptop"
    public = generate_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (tmp_path / "keys" / "laptop.pub").read_text() == public.hex() + "\n"
    with pytest.raises(Conflict):
        generate_key(path)
    key = load_key(path)
    assert key.public_key().public_bytes_raw() == public
    with HubClient(hub_process.origin) as nobody:
        with pytest.raises(AccessDenied):
            log_in_with_key(nobody, key)
        with hub_process.client() as hub:
            add_key(hub, public, "laptop")
        credential = log_in_with_key(nobody, key, label="laptop")
    with HubClient(hub_process.origin, credential.token) as hub:
        assert load_identity(hub).user == "admin"


def test_a_challenge_for_another_address_is_not_signed(hub_process: HubProcess, tmp_path: Path) -> None:
    generate_key(tmp_path / "key")
    elsewhere = Origin("http", "localhost", hub_process.origin.port)
    with HubClient(elsewhere) as nobody, pytest.raises(AccessDenied) as caught:
        log_in_with_key(nobody, load_key(tmp_path / "key"))
    assert str(hub_process.origin) in (caught.value.hint or "")


@pytest.mark.parametrize(
    "content", [None, b"", b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_that_is_no_key_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MuseError, match="key") as caught:
        load_key(path)
    assert caught.value.code == ("key-not-found" if content is None else "bad-arguments")
