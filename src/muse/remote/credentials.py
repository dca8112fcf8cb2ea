"""The user's tokens, one per hub, in a file that nobody else may read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from muse.errors import UsageError
from muse.remote.address import Origin
from muse.store.failure import os_failure

VERSION = 1


class Credential(NamedTuple):
    """What a login left: `expires_at` is the hub's ISO time, for people."""

    user: str
    token: str
    expires_at: str = ""


def credentials_path(user_config: Path) -> Path:
    """Return where the tokens are: beside the user's settings."""
    return user_config.with_name("credentials.json")


class CredentialFile:
    """The file of tokens. Read when asked, written as a whole: a crash leaves the old one or the new one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, origin: Origin) -> Credential | None:
        """Return what is known for a hub; raises `bad-setting` when the file is damaged."""
        entry = self._load().get(str(origin))
        if not isinstance(entry, dict) or not isinstance(entry.get("token"), str):
            return None
        return Credential(str(entry.get("user", "")), entry["token"], str(entry.get("expires_at", "")))

    def store(self, origin: Origin, credential: Credential) -> None:
        """Keep a token, in place of an older one for the same hub; raises `read-only`, `io-error`."""
        hubs = self._load()
        hubs[str(origin)] = credential._asdict()
        self._write(hubs)

    def remove(self, origin: Origin) -> bool:
        """Forget the token for a hub; False if there was none."""
        hubs = self._load()
        if hubs.pop(str(origin), None) is None:
            return False
        self._write(hubs)
        return True

    def _load(self) -> dict[str, Any]:
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise os_failure(error, self.path) from error
        try:
            hubs = json.loads(text)["hubs"]
        except (ValueError, KeyError, TypeError):
            hubs = None
        if not isinstance(hubs, dict):
            raise UsageError(
                "bad-setting", f'"{self.path}" is damaged', hint="remove it and log in with `muse auth login`"
            )
        return hubs

    def _write(self, hubs: dict[str, Any]) -> None:
        text = json.dumps({"version": VERSION, "hubs": hubs}, indent=2, sort_keys=True) + "\n"
        write_private(self.path, text.encode(), replace=True)


def write_private(path: Path, data: bytes, *, replace: bool) -> None:
    """Write a file that only its owner may read, durably and as a whole; without `replace` there must be none
    yet.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                os.replace(temporary, path)
            else:
                os.link(temporary, path)  # fails where a name is taken
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise
    except OSError as error:
        raise os_failure(error, path) from error
