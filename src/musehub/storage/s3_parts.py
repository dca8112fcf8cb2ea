"""Uploads in parts to an S3-compatible store: begin, what is there, finish, give up, find what was forgotten.

Five requests that `obstore` does not offer. Each is small, so they go through `http.client` in a thread.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import logging
import random
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from muse.errors import Environment, InvalidData, NotFound, RemoteFailure
from musehub.storage.port import UnfinishedUpload
from musehub.storage.s3_address import S3Address, sign_request

logger = logging.getLogger("musehub.storage")
logger.addHandler(logging.NullHandler())  # a command that keeps no log shows the note by itself

PART_MIN_BYTES = 5 << 20
"""S3 refuses smaller parts, the last one excepted."""
_TTL_S = 300
_MAX_ANSWER_BYTES = 64 << 20
_FIRST_PAUSE_S = 0.2


class _Answer(NamedTuple):
    status: int
    body: bytes

    def tree(self) -> ElementTree.Element:
        return ElementTree.fromstring(self.body)

    @property
    def error_code(self) -> str:
        """The store's own name of what went wrong; a failed completion comes with status 200."""
        if b"<Error>" not in self.body and b"<Error " not in self.body:
            return ""
        try:
            return self.tree().findtext("{*}Code", "") or "unknown"
        except ElementTree.ParseError:
            return "unknown"


class S3Parts:
    """The requests about uploads in parts; see `Store` for what each guarantees."""

    def __init__(
        self, address: S3Address, keys: tuple[str, str], *, idle_timeout_s: float, retry_timeout_s: float
    ) -> None:
        self._address = address
        self._keys = keys
        self._idle_timeout_s = idle_timeout_s
        self._retry_timeout_s = retry_timeout_s

    async def open(self, key: str) -> str:
        found = [upload for upload in await self.list_uploads(key) if upload.key == key]
        if found:
            return max(found, key=lambda upload: (upload.started_at, upload.upload)).upload
        answer = await self._send("POST", key, {"uploads": ""}, {"x-amz-checksum-algorithm": "SHA256"})
        upload = answer.tree().findtext("{*}UploadId")
        if not upload:
            raise _unavailable("it began an upload without a name")
        return upload

    async def load_sizes(self, key: str, upload: str) -> dict[int, int]:
        return {number: size for number, (size, _etag) in (await self._load_parts(key, upload)).items()}

    async def finish(self, key: str, upload: str, parts: Sequence[bytes]) -> None:
        stored = await self._load_parts(key, upload)
        if any(number not in stored for number in range(1, len(parts) + 1)):
            raise _incomplete(key)
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(stored[number][1])}</ETag>"
            f"<ChecksumSHA256>{base64.b64encode(sha256).decode()}</ChecksumSHA256></Part>"
            for number, sha256 in enumerate(parts, start=1)
        )
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        await self._send("POST", key, {"uploadId": upload}, body=body)

    async def abort(self, key: str, upload: str) -> None:
        try:
            await self._send("DELETE", key, {"uploadId": upload})
        except NotFound:
            pass

    async def list_uploads(self, prefix: str) -> list[UnfinishedUpload]:
        found: list[UnfinishedUpload] = []
        base = self._address.prefix
        query = {"uploads": "", "prefix": f"{base}{prefix}"}
        while True:
            tree = (await self._send("GET", "", query)).tree()
            for item in tree.findall("{*}Upload"):
                found.append(
                    UnfinishedUpload(
                        item.findtext("{*}Key", "").removeprefix(base),
                        item.findtext("{*}UploadId", ""),
                        _parse_time(item.findtext("{*}Initiated", "")),
                    )
                )
            if tree.findtext("{*}IsTruncated") != "true":
                return found
            query["key-marker"] = tree.findtext("{*}NextKeyMarker", "")
            query["upload-id-marker"] = tree.findtext("{*}NextUploadIdMarker", "")

    async def _load_parts(self, key: str, upload: str) -> dict[int, tuple[int, str]]:
        """Size and ETag of every part that is there."""
        found: dict[int, tuple[int, str]] = {}
        query = {"uploadId": upload}
        while True:
            tree = (await self._send("GET", key, query)).tree()
            for item in tree.findall("{*}Part"):
                size, etag = int(item.findtext("{*}Size", "0")), item.findtext("{*}ETag", "")
                found[int(item.findtext("{*}PartNumber", "0"))] = (size, etag)
            if tree.findtext("{*}IsTruncated") != "true":
                return found
            query["part-number-marker"] = tree.findtext("{*}NextPartNumberMarker", "")

    async def _send(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str] = {},
        body: bytes = b"",
    ) -> _Answer:
        """Make a request, several times if the store fails; raises what its refusal means."""
        deadline = time.monotonic() + self._retry_timeout_s
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                answer = await asyncio.to_thread(self._send_once, method, key, query, headers, body)
                failure = _judge(key, answer)
                if failure is None:
                    return answer
            except (OSError, http.client.HTTPException) as error:
                failure = _unavailable(str(error) or type(error).__name__)
            if not isinstance(failure, RemoteFailure) or time.monotonic() + pause_s > deadline:
                raise failure
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s *= 2

    def _send_once(
        self, method: str, key: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> _Answer:
        signed = sign_request(
            self._address, self._keys, method, key, headers=headers, query=query, ttl_s=_TTL_S, public=False
        )
        parts = urlsplit(signed.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.netloc, timeout=self._idle_timeout_s)
        try:
            connection.request(method, f"{parts.path}?{parts.query}", body, signed.headers)
            answer = connection.getresponse()
            return _Answer(answer.status, answer.read(_MAX_ANSWER_BYTES))
        finally:
            connection.close()


def _judge(key: str, answer: _Answer) -> Exception | None:
    code = answer.error_code
    if answer.status < 300 and not code:
        return None
    if code == "NoSuchUpload" or answer.status == 404:
        return NotFound("pack-not-found", f'no upload in parts is under way for "{key}"', retry=True)
    if code in ("InvalidPart", "InvalidPartOrder", "BadDigest", "InvalidRequest"):
        return _incomplete(key)
    if answer.status in (401, 403):
        return Environment(
            "read-only",
            "the store refuses the hub's keys",
            hint="check store_access_key and store_secret_key, and what they may do in the bucket",
        )
    return _unavailable(f"status {answer.status} {code}".strip())


def _incomplete(key: str) -> InvalidData:
    return InvalidData("truncated", f'not all parts of "{key}" are there as announced', retry=True)


def _unavailable(cause: str) -> RemoteFailure:
    """`cause` may name hosts: it goes into the log and a note, never into an answer."""
    logger.warning("the object store does not answer: %s", cause[:200])
    failure = RemoteFailure(
        "store-unavailable", "the object store does not answer", hint="try again later", retry=True
    )
    failure.add_note(cause[:200])
    return failure


def _parse_time(text: str) -> datetime:
    parsed = datetime.fromisoformat(text) if text else datetime.now(UTC)
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)
