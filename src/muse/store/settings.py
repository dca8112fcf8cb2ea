"""Settings: text under dotted keys, of the repository above those of the user."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from muse.errors import UsageError
from muse.store.failure import os_failure

if TYPE_CHECKING:
    from muse.store.database import Database
    from muse.store.transaction import Transaction

_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}


def user_config_path(environ: Mapping[str, str]) -> Path:
    """Return where the user's settings are: `MUSE_CONFIG`, or `muse/config` in the XDG folder."""
    if environ.get("MUSE_CONFIG"):
        return Path(environ["MUSE_CONFIG"])
    folder = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME") or "/", ".config")
    return Path(folder, "muse", "config")


def check_key(key: str) -> None:
    """Raise `bad-setting` unless the key is written as `section.name` without white space or `=`."""
    if "." not in key.strip(".") or any(char.isspace() or char == "=" or char == "#" for char in key):
        raise UsageError("bad-setting", f"{key!r} is not the name of a setting", hint="for example user.name")


class UserSettings:
    """The user's own file: lines of `key = value`, `#` begins a comment line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> dict[str, str]:
        """Return all of it; {} where there is no file."""
        try:
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            if isinstance(error, OSError):
                raise os_failure(error, self.path) from error
            raise UsageError("bad-setting", f'"{self.path}" is not UTF-8 text') from error
        values = {}
        for number, line in enumerate(text.splitlines(), 1):
            line = line.strip()
            if line and not line.startswith("#"):
                key, equals, value = line.partition("=")
                if not equals:
                    raise UsageError("bad-setting", f'"{self.path}", line {number}: no "=" in it')
                values[key.strip()] = value.strip()
        return values

    def set(self, key: str, value: str | None) -> None:
        """Write one setting, or remove it with None; comments and all other lines stay."""
        check_key(key)
        if value is not None and ("\n" in value or value != value.strip()):
            raise UsageError("bad-setting", "a value is one line without white space at its ends")
        try:
            lines = self.path.read_text("utf-8").splitlines() if self.path.exists() else []
            kept = [line for line in lines if line.partition("=")[0].strip() != key]
            if value is not None:
                kept.append(f"{key} = {value}")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
            temporary.write_text("".join(f"{line}\n" for line in kept), "utf-8")
            os.replace(temporary, self.path)
        except OSError as error:
            raise os_failure(error, self.path) from error


class Settings:
    """Settings as they apply in one repository. Values are text; `get_bool` and `get_int` read them."""

    def __init__(self, database: Database, begin: Callable[[], Transaction], user: UserSettings) -> None:
        self._database = database
        self._begin = begin
        self.user = user

    def get(self, key: str, default: str | None = None) -> str | None:
        row = self._database.find_row("SELECT value FROM settings WHERE key = ?", (key,))
        if row is not None:
            value: str = row[0]
            return value
        return self.user.load().get(key, default)

    def get_bool(self, key: str) -> bool:
        """Return whether a setting is on; one that has no value is off."""
        value = self.get(key)
        if value is None:
            return False
        if value.lower() in _TRUE | _FALSE:
            return value.lower() in _TRUE
        raise UsageError("bad-setting", f'"{key}" is "{value}"; it must be true or false')

    def get_int(self, key: str, default: int) -> int:
        value = self.get(key)
        try:
            return default if value is None else int(value)
        except ValueError:
            raise UsageError("bad-setting", f'"{key}" is "{value}"; it must be a whole number') from None

    def set(self, key: str, value: str | None, transaction: Transaction | None = None) -> None:
        """Set a value of this repository, or remove it with None; at once or with the transaction."""
        check_key(key)
        if transaction is None:
            with self._begin() as own:
                self.set(key, value, own)
        elif value is None:
            transaction.write_rows("DELETE FROM settings WHERE key = ?", [(key,)])
        else:
            transaction.write_rows("INSERT OR REPLACE INTO settings VALUES (?, ?)", [(key, value)])

    def iter(self, prefix: str = "") -> Iterator[tuple[str, str, str]]:
        """Yield (key, value, "repository" or "user") of all that applies, by key."""
        merged = {key: (value, "user") for key, value in self.user.load().items()}
        for key, value in self._database.load_rows("SELECT key, value FROM settings"):
            merged[key] = (value, "repository")
        for key in sorted(merged):
            if key.startswith(prefix):
                yield (key, *merged[key])
