"""Puts the settings together from flags, environment and file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from muse.errors import UsageError
from musehub.settings.schema import SECRETS, Settings, setting_types

PREFIX = "MUSEHUB_"
_USUAL_NAMES = {"store_access_key": "AWS_ACCESS_KEY_ID", "store_secret_key": "AWS_SECRET_ACCESS_KEY"}
"""Variables that other programs read as well; they count where this hub's own are not set."""


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """`$XDG_DATA_HOME/musehub`, or `~/.local/share/musehub`."""
    base = environ.get("XDG_DATA_HOME") or ""
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "share") / "musehub"


def load_settings(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    config_file: Path | None = None,
) -> Settings:
    """Put the settings together; `flags` whose value is None count as not given.

    Raises `UsageError("bad-setting")` naming the setting, where it came from and what is allowed.
    """
    environ = os.environ if environ is None else environ
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    known = set(Settings.__struct_fields__)
    from_environ: dict[str, Any] = {
        name: environ[variable] for name, variable in _USUAL_NAMES.items() if environ.get(variable)
    }
    for variable, value in environ.items():
        if variable.startswith(PREFIX) and variable != PREFIX + "CONFIG":
            from_environ[variable.removeprefix(PREFIX).lower()] = value
    _refuse_unknown(from_environ, known, lambda name: f"environment variable {PREFIX}{name.upper()}")
    _refuse_unknown(given, known, lambda name: f"flag {name}")

    data_dir = Path(given.get("data_dir") or from_environ.get("data_dir") or default_data_dir(environ))
    from_file: dict[str, Any] = {}
    if config_file is None and environ.get(PREFIX + "CONFIG"):
        config_file = Path(environ[PREFIX + "CONFIG"])
    implicit = data_dir / "musehub.toml"
    if config_file is not None or implicit.is_file():
        from_file = _read_toml(config_file or implicit)
        _refuse_unknown(from_file, known, lambda name: f"{config_file or implicit}: {name}")
    if "data_dir" not in given and "data_dir" not in from_environ and "data_dir" in from_file:
        data_dir = Path(str(from_file["data_dir"]))

    merged: dict[str, Any] = {**from_file, **from_environ, **given}
    merged["data_dir"] = str(data_dir.expanduser().absolute())
    for name in merged:
        _check_one(name, merged[name])
    settings = msgspec.convert(merged, Settings, strict=False, dec_hook=_convert_path)
    return _fill_in(settings)


def _refuse_unknown(values: Mapping[str, Any], known: set[str], place: Any) -> None:
    for name in values:
        if name not in known:
            raise UsageError(
                "bad-setting",
                f'there is no setting "{name}" ({place(name)})',
                hint=_nearest(name, known),
            )


def _nearest(name: str, known: set[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f'did you mean "{close[0]}"?' if close else "docs/settings.md lists all settings"


def _check_one(name: str, value: Any) -> None:
    kind = setting_types()[name]
    try:
        msgspec.convert(value, kind, strict=False, dec_hook=_convert_path)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise UsageError(
            "bad-setting",
            f'setting "{name}" cannot be {"what it is" if name in SECRETS else repr(value)}',
            hint=str(error).lower(),
        ) from None


def _convert_path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, (str, Path)):
        return Path(value)
    raise TypeError(f"expected {kind.__name__}")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError("bad-setting", f'cannot read the settings file "{path}": {error.strerror}') from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError("bad-setting", f'"{path}" is not valid TOML: {error}') from None


def _fill_in(settings: Settings) -> Settings:
    url = settings.database_url or f"sqlite:///{settings.data_dir / 'musehub.sqlite'}"
    if not url.startswith(("sqlite:", "postgresql:", "postgres:")):
        raise UsageError(
            "bad-setting",
            f'setting "database_url" names a database that is not supported: "{url.split(":")[0]}"',
            hint="use sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME",
        )
    public_url = settings.public_url.rstrip("/")
    if public_url and not public_url.startswith(("http://", "https://")):
        raise UsageError(
            "bad-setting",
            f'setting "public_url" must begin with http:// or https://, not "{public_url}"',
        )
    return msgspec.structs.replace(
        settings,
        database_url=url,
        store_url=settings.store_url or (settings.data_dir / "store").as_uri(),
        public_url=public_url,
    )
