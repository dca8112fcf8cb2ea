"""Uploads to an issued address, whatever kind of store has issued it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
from urllib.parse import parse_qsl, urlsplit

from muse.errors import MuseError
from muse.wire.uploads import SignedRequest
from musehub.storage.disk import DiskStore
from musehub.storage.metering import MeteredStore
from musehub.storage.port import Store


async def send_signed(store: Store, request: SignedRequest, body: bytes) -> int:
    """PUT a body; returns the status. For the embedded store this does what a hub does."""
    inner = store.inner if isinstance(store, MeteredStore) else store
    if isinstance(inner, DiskStore):
        return await _receive(inner, request, body)
    return await asyncio.to_thread(_put, request, body)


async def _receive(store: DiskStore, request: SignedRequest, body: bytes) -> int:
    parts = urlsplit(request.url)
    permit = await store.signer.check("PUT", parts.path.removeprefix("/store/"), dict(parse_qsl(parts.query)))
    assert permit.size_bytes is not None
    assert permit.sha256 is not None
    try:
        with contextlib.closing(store.begin(permit.key, permit.size_bytes, permit.sha256)) as upload:
            upload.write([body])
            upload.finish()
    except MuseError as error:
        return error.http_status
    return 200


def _put(request: SignedRequest, body: bytes) -> int:
    parts = urlsplit(request.url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        headers = request.headers | {"Content-Length": str(len(body))}
        connection.request(request.method, f"{parts.path}?{parts.query}", body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()
