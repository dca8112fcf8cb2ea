"""Opens the store that the settings name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from muse.errors import UsageError
from musehub.settings import Settings
from musehub.storage.disk import DiskStore
from musehub.storage.metering import MeteredStore
from musehub.storage.signing import UrlSigner


def open_store(settings: Settings, get_secret: Callable[[], Awaitable[bytes]]) -> MeteredStore:
    """Return the store; the secret signs the addresses of the embedded one. Makes no connection yet.

    Raises `bad-setting` for an address of a kind that is not supported.
    """
    url = urlsplit(settings.store_url)
    if url.scheme != "file":
        raise UsageError(
            "bad-setting",
            f'setting "store_url" names a store that is not supported: "{url.scheme}"',
            hint="use file:///PATH, or leave it empty",
        )
    return MeteredStore(DiskStore(Path(unquote(url.path)), UrlSigner(get_secret)))
