"""The user's Ed25519 key: where it is, and when commits and tags are signed with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from muse.objects.commit import Commit, Tag

if TYPE_CHECKING:
    from muse.cli.context import Context

T = TypeVar("T", Commit, Tag)


def key_path(context: Context) -> Path:
    """Return the file of the user's key: `user.signing-key`, else `key.pem` beside the settings."""
    named = context.setting("user.signing-key")
    if named:
        home = context.environment.get("HOME", "")
        return Path(os.path.join(home, named[2:]) if named.startswith("~/") else named)
    return context.config_path.with_name("key.pem")


def sign_if_wanted(context: Context, value: T, wanted: bool | None) -> T:
    """Sign a commit or tag when it is asked for, or without a word on it when `commit.sign` is true.

    Raises `key-not-found`. An old signature goes: it is about other bytes.
    """
    value = value._replace(signature=None)
    if wanted is None:
        wanted = context.repository.settings.get_bool("commit.sign")
    if not wanted:
        return value
    from muse.objects.signature import sign
    from muse.remote.auth import load_key

    signed = sign(value, load_key(key_path(context)))
    assert isinstance(signed, type(value))
    return signed
