from __future__ import annotations

import stat
from pathlib import Path

import pytest

from muse.errors import Environment, UsageError
from muse.remote.address import parse_hub_url
from muse.remote.credentials import Credential, CredentialFile, credentials_path

ONE = parse_hub_url("http://127.0.0.1:1337")
OTHER = parse_hub_url("https://hub.example.org")


def test_tokens_are_kept_per_hub_in_a_private_file(tmp_path: Path) -> None:
    path = credentials_path(tmp_path / "muse" / "config")
    file = CredentialFile(path)
    assert file.find(ONE) is None
    file.store(ONE, Credential("ada", "mht_1"))
    file.store(OTHER, Credential("grace", "mht_2", "2025-01-01T00:00:00Z"))
    assert CredentialFile(path).find(ONE) == Credential("ada", "mht_1")
    assert CredentialFile(path).find(OTHER) == Credential("grace", "mht_2", "2025-01-01T00:00:00Z")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_newer_token_replaces_the_older_and_logging_out_removes_it(tmp_path: Path) -> None:
    file = CredentialFile(tmp_path / "credentials.json")
    file.store(ONE, Credential("ada", "mht_1"))
    file.store(ONE, Credential("ada", "mht_2"))
    assert file.find(ONE) == Credential("ada", "mht_2")
    assert file.remove(ONE)
    assert not file.remove(ONE)
    assert file.find(ONE) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"hubs": []}', '{"version": 1}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "credentials.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"credentials\.json"):
        CredentialFile(path).find(ONE)


def test_a_folder_in_the_way_is_an_error_of_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    path.mkdir()
    with pytest.raises(Environment):
        CredentialFile(path).store(ONE, Credential("ada", "mht_1"))
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
