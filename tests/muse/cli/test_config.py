"""`config`, `remote`, `init`, `version`: what is set."""

from __future__ import annotations

from pathlib import Path

from .conftest import Muse


def test_settings_of_user_and_repository(muse: Muse) -> None:
    muse("config", "set", "--global", "user.name", "Ada Lovelace")
    muse("config", "set", "user.name", "A. L.")
    assert muse("config", "get", "user.name").lines == ["A. L."]
    assert muse("config", "get", "--global", "user.name").lines == ["Ada Lovelace"]
    assert muse("config", "list").lines == ["user.name = A. L."]
    assert muse("config", "list", "--json").json == {
        "settings": [{"key": "user.name", "value": "A. L.", "scope": "repository"}]
    }
    muse("config", "unset", "user.name")
    assert muse("config", "get", "user.name").lines == ["Ada Lovelace"]
    assert "it is one of your own: --global" in muse("config", "unset", "user.name", code=3).errors
    muse("config", "unset", "--global", "user.name")
    assert "error[unknown-setting]" in muse("config", "get", "user.name", code=3).errors
    assert "error[bad-setting]" in muse("config", "set", "name", "x", code=2).errors


def test_the_users_settings_need_no_repository(nowhere: Muse) -> None:
    nowhere("config", "set", "--global", "user.name", "Ada")
    assert nowhere("config", "get", "user.name").lines == ["Ada"]
    assert nowhere("config", "list").lines == ["user.name = Ada"]
    assert "error[not-a-repository]" in nowhere("config", "set", "user.name", "x", code=3).errors


def test_the_file_of_settings_can_be_elsewhere(nowhere: Muse, tmp_path: Path) -> None:
    nowhere.environment["MUSE_CONFIG"] = str(tmp_path / "mine")
    nowhere("config", "set", "--global", "user.name", "Ada")
    assert (tmp_path / "mine").read_text() == "user.name = Ada\n"


def test_init(nowhere: Muse) -> None:
    path = nowhere.folder / "new" / "songs"
    assert nowhere("init", "new/songs", "--branch", "trunk").lines == [
        f'new repository "{path}" on branch "trunk"'
    ]
    assert "error[already-exists]" in nowhere("init", "new/songs", code=4).errors
    assert "error[bad-name]" in nowhere("init", "other", "-b", "a b", code=2).errors
    assert nowhere("-q", "init", "quiet").output == ""
    assert nowhere("init", "third", "--json").json == {
        "path": str(nowhere.folder / "third"),
        "branch": "main",
    }


def test_remotes(muse: Muse) -> None:
    assert muse("remote").output == ""
    url = "http://127.0.0.1:1337/ada/songs"
    assert muse("remote", "add", "origin", url).lines == [f'remote "origin" is {url}']
    assert muse("remote").lines == [f"origin  {url}"]
    assert muse("remote", "list", "--json").json == {"remotes": [{"name": "origin", "url": url}]}
    assert "error[already-exists]" in muse("remote", "add", "origin", url, code=4).errors
    assert "error[bad-arguments]" in muse("remote", "add", "x", "ftp://nowhere", code=2).errors
    assert "error[bad-name]" in muse("remote", "add", "a/b", url, code=2).errors
    muse("remote", "set-url", "origin", "http://127.0.0.1:1337/ada/other")
    muse("remote", "rename", "origin", "hub")
    assert muse("remote").lines == ["hub  http://127.0.0.1:1337/ada/other"]
    muse("remote", "remove", "hub")
    assert muse("remote").output == ""
    assert "error[unknown-remote]" in muse("remote", "remove", "hub", code=3).errors
