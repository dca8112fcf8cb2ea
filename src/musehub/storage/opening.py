"""Opens the store that the settings name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from muse.errors import MuseError, NotFound, UsageError
from musehub.settings import Settings
from musehub.storage.disk import DiskStore
from musehub.storage.metering import MeteredStore
from musehub.storage.port import Store
from musehub.storage.signing import UrlSigner


def open_store(settings: Settings, get_secret: Callable[[], Awaitable[bytes]]) -> MeteredStore:
    """Return the store; the secret signs the addresses of the embedded one. Makes no connection yet.

    Raises `bad-setting` for an address of a kind that is not supported.
    """
    url = urlsplit(settings.store_url)
    if url.scheme == "file":
        return MeteredStore(DiskStore(Path(unquote(url.path)), UrlSigner(get_secret)))
    if url.scheme == "s3":
        return MeteredStore(_open_s3(settings))
    raise UsageError(
        "bad-setting",
        f'setting "store_url" names a store that is not supported: "{url.scheme}"',
        hint="use file:///PATH or s3://BUCKET?endpoint=http://HOST:PORT, or leave it empty",
    )


def _open_s3(settings: Settings) -> Store:
    # An embedded hub need not load what it does not use.
    from musehub.storage.s3 import S3Store
    from musehub.storage.s3_address import parse_s3_address

    address = parse_s3_address(settings.store_url)
    if not settings.store_access_key or not settings.store_secret_key:
        raise UsageError(
            "bad-setting",
            f'the store "s3://{address.bucket}" needs keys',
            hint="set MUSEHUB_STORE_ACCESS_KEY and MUSEHUB_STORE_SECRET_KEY, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY",
        )
    return S3Store(
        address,
        settings.store_access_key,
        settings.store_secret_key,
        put_max_bytes=settings.store_put_max_bytes,
        idle_timeout_s=settings.store_idle_timeout_s,
        retry_timeout_s=settings.store_retry_timeout_s,
    )


async def check_store(settings: Settings, store: Store) -> None:
    """Ask the store something; raises `bad-setting` or `store-unavailable` with what to do about it.

    The embedded store is made when something is put into it.
    """
    if urlsplit(settings.store_url).scheme == "file":
        return
    place = settings.store_url.partition("?")[0]
    try:
        # Of all questions this one is answered most exactly when the bucket or the right to it is missing.
        async for _ in store.list_uploads("startup/"):
            break
    except NotFound:
        raise UsageError(
            "bad-setting", f'the store has no bucket for "{place}"', hint="make the bucket first"
        ) from None
    except MuseError as error:
        error.message = f'{error.message} ("{place}")'
        error.hint = error.hint if error.code == "read-only" else "check the endpoint in store_url"
        raise
