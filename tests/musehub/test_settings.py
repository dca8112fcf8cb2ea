"""Where settings come from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from muse.errors import UsageError
from musehub.settings import Settings, load_settings, settings_reference


def load(flags: dict[str, object], environ: dict[str, str] | None = None) -> Settings:
    return load_settings(flags, environ=environ or {})


def test_without_anything_everything_lies_in_the_home_folder() -> None:
    settings = load({})
    assert settings.data_dir == Path.home() / ".local" / "share" / "musehub"
    assert settings.database_url == f"sqlite:///{settings.data_dir}/musehub.sqlite"
    assert settings.store_url == f"file://{settings.data_dir}/store"
    assert (settings.host, settings.port) == ("127.0.0.1", 1337)
    assert load({}, {"XDG_DATA_HOME": "/srv"}).data_dir == Path("/srv/musehub")


def test_flag_wins_over_environment_over_file_over_default(tmp_path: Path) -> None:
    (tmp_path / "musehub.toml").write_text('port = 1\nhost = "file"\nkeepalive_s = 5\n')
    environ = {"MUSEHUB_PORT": "2", "MUSEHUB_HOST": "environ", "MUSEHUB_DATA_DIR": str(tmp_path)}
    settings = load({"port": 3, "host": None}, environ)
    assert (settings.port, settings.host, settings.keepalive_s) == (3, "environ", 5)
    assert settings.statement_timeout_s == 60


def test_a_named_file_replaces_the_one_in_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "musehub.toml").write_text("port = 1\n")
    (tmp_path / "other.toml").write_text("port = 2\n")
    environ = {"MUSEHUB_CONFIG": str(tmp_path / "other.toml")}
    assert load({"data_dir": tmp_path}, environ).port == 2


@pytest.mark.parametrize(
    ("flags", "environ", "named"),
    [
        ({"port": "many"}, {}, "port"),
        ({"port": 70000}, {}, "port"),
        ({}, {"MUSEHUB_DATABASE_POOL_SIZE": "0"}, "database_pool_size"),
        ({}, {"MUSEHUB_PROT": "1"}, "prot"),
        ({"no_such": 1}, {}, "no_such"),
        ({"database_url": "mysql://x/y"}, {}, "database_url"),
        ({"public_url": "hub.example.org"}, {}, "public_url"),
        ({"heartbeat_s": -1}, {}, "heartbeat_s"),
    ],
)
def test_what_is_wrong_is_named(flags: dict[str, object], environ: dict[str, str], named: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(flags, environ)
    assert caught.value.code == "bad-setting"
    assert f'"{named}"' in caught.value.message


def test_a_misspelt_setting_gets_a_suggestion() -> None:
    with pytest.raises(UsageError) as caught:
        load({}, {"MUSEHUB_PROT": "1"})
    assert caught.value.hint == 'did you mean "port"?'


@pytest.mark.parametrize("text", ["port = ", "\xff", "no_such = 1"])
def test_a_bad_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError) as caught:
        load_settings({}, environ={}, config_file=path)
    assert "bad.toml" in caught.value.message
    with pytest.raises(UsageError):
        load_settings({}, environ={}, config_file=tmp_path / "missing.toml")


def test_a_public_address_has_no_slash_at_its_end() -> None:
    assert load({"public_url": "https://hub.example.org/"}).public_url == "https://hub.example.org"


def test_the_reference_describes_every_setting() -> None:
    reference = settings_reference()
    for field in msgspec.structs.fields(Settings):
        assert f"| `{field.name}` | `MUSEHUB_{field.name.upper()}` |" in reference
