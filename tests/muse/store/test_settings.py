"""Settings, and the small tables: stat cache, Git map, state of remotes."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import pytest
from tests.muse.store.scenes import Interrupted

from muse.errors import UsageError
from muse.objects.ids import Kind
from muse.store.repository import Repository
from muse.store.settings import UserSettings, user_config_path


def test_the_repository_overrides_the_user(tmp_path: Path) -> None:
    user_config = tmp_path / "config" / "muse"
    with Repository.init(tmp_path / "work", "main", user_config) as repository:
        settings = repository.settings
        assert settings.get("user.name") is None
        assert settings.get("user.name", "nobody") == "nobody"
        settings.user.set("user.name", "Ada = Countess")
        settings.user.set("user.email", "ada@example.org")
        assert settings.get("user.name") == "Ada = Countess"
        settings.set("user.name", "Grace")
        assert settings.get("user.name") == "Grace"
        assert list(settings.iter()) == [
            ("user.email", "ada@example.org", "user"),
            ("user.name", "Grace", "repository"),
        ]
        settings.set("user.name", None)
        assert settings.get("user.name") == "Ada = Countess"
        assert list(settings.iter("remote.")) == []


def test_settings_change_with_their_transaction(repository: Repository) -> None:
    with suppress(Interrupted), repository.transaction() as transaction:
        repository.settings.set("remote.origin.url", "http://127.0.0.1/a/b", transaction)
        raise Interrupted
    assert repository.settings.get("remote.origin.url") is None
    with repository.transaction() as transaction:
        repository.settings.set("remote.origin.url", "http://127.0.0.1/a/b", transaction)
    assert repository.settings.get("remote.origin.url") == "http://127.0.0.1/a/b"


def test_values_are_read_as_what_they_are_for(repository: Repository) -> None:
    settings = repository.settings
    settings.set("push.sign", "Yes")
    settings.set("push.jobs", "8")
    assert settings.get_bool("push.sign") is True
    assert settings.get_int("push.jobs", 4) == 8
    assert settings.get_int("push.other", 4) == 4
    for read in (lambda: settings.get_int("push.sign", 1), lambda: settings.get_bool("push.jobs")):
        with pytest.raises(UsageError) as caught:
            read()
        assert caught.value.code == "bad-setting"


@pytest.mark.parametrize("key", ["", "user", "user name.x", "a=b.c", ".x", "x."])
def test_bad_keys(repository: Repository, key: str) -> None:
    with pytest.raises(UsageError):
        repository.settings.set(key, "x")


def test_the_user_file_keeps_its_comments(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("# mine\nuser.name = A\n\nuser.email=a@b\n")
    user = UserSettings(path)
    user.set("user.name", "B")
    user.set("user.email", None)
    assert path.read_text() == "# mine\n\nuser.name = B\n"
    path.write_text("no equals sign")
    with pytest.raises(UsageError):
        user.load()
    with pytest.raises(UsageError):
        user.set("user.name", "two\nlines")


def test_where_the_user_file_is() -> None:
    assert user_config_path({"MUSE_CONFIG": "/a/b"}) == Path("/a/b")
    assert user_config_path({"XDG_CONFIG_HOME": "/x", "HOME": "/h"}) == Path("/x/muse/config")
    assert user_config_path({"HOME": "/h"}) == Path("/h/.config/muse/config")


def test_the_stat_cache_keeps_a_row_per_directory(repository: Repository) -> None:
    cache = repository.stat_cache
    with repository.transaction() as transaction:
        cache.save_directory(transaction, "", b"root")
        cache.save_directory(transaction, "a/b", b"\0\xff")
    assert cache.load_all() == {"": b"root", "a/b": b"\0\xff"}
    with repository.transaction() as transaction:
        cache.clear(transaction)
        cache.save_directory(transaction, "c", b"new")
    assert cache.load_all() == {"c": b"new"}
    with repository.transaction() as transaction:
        cache.forget_directory(transaction, "c")
    assert cache.load_all() == {}


def test_the_git_map_leads_both_ways(repository: Repository) -> None:
    sha1 = hashlib.sha1(b"x", usedforsecurity=False).digest()
    other = hashlib.sha256(b"y").digest()
    with repository.transaction() as transaction:
        blob = transaction.put(Kind.BLOB, b"x")
        repository.git_map.put_many(
            transaction, {sha1: (Kind.BLOB, blob, 1, 1), other: ("c", bytes(32), 5 << 20, 1)}
        )
    assert repository.git_map.find_many([sha1, other, bytes(20)]) == {
        sha1: (Kind.BLOB, blob, 1, 1),
        other: ("c", bytes(32), 5 << 20, 1),
    }
    assert isinstance(repository.git_map.find_many([sha1])[sha1].kind, Kind)
    assert repository.git_map.find_git_ids(Kind.BLOB, [blob, bytes(32)]) == {blob: sha1}
    assert repository.git_map.find_git_ids("c", [bytes(32)]) == {bytes(32): other}
    assert repository.git_map.find_git_ids(Kind.TREE, [blob]) == {}


def test_the_git_map_is_flushed_with_the_objects(repository: Repository) -> None:
    with suppress(Interrupted), repository.transaction() as transaction:
        blob = transaction.put(Kind.BLOB, b"x")
        repository.git_map.put_many(transaction, {bytes(20): (Kind.BLOB, blob, 1, 1)})
        repository.settings.set("a.b", "c", transaction)
        transaction.flush()
        raise Interrupted
    assert repository.git_map.find_many([bytes(20)])
    assert repository.settings.get("a.b") is None


def test_an_open_push_is_remembered(repository: Repository) -> None:
    assert repository.remotes.get_open_push("origin") is None
    repository.remotes.set_open_push("origin", "push-1")
    repository.remotes.set("origin", "other", "x")
    with Repository.open(repository.work_dir) as again:
        assert again.remotes.get_open_push("origin") == "push-1"
    assert repository.remotes.get_open_push("backup") is None
    with repository.transaction() as transaction:
        repository.remotes.set_open_push("origin", None, transaction)
    assert repository.remotes.get_open_push("origin") is None
    with repository.transaction() as transaction:
        repository.remotes.forget("origin", transaction)
    assert repository.remotes.get("origin", "other") is None
