"""The way of one pack to the object store: presign, PUT, confirm."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from muse.errors import RemoteFailure
from muse.remote.client import JSON_TYPE
from muse.remote.presigned import put_bytes
from muse.wire.push import Create
from muse.wire.uploads import (
    ConfirmRequest,
    Multipart,
    PartRequest,
    PresignRequest,
    parse_confirm_result,
    parse_presign_answer,
    parse_signed_request,
)

if TYPE_CHECKING:
    from muse.remote.client import HubClient
    from muse.remote.packing import Pack

Parts = Sequence[bytes | memoryview]
NoteSent = Callable[[int], None]


class PackSender:
    """Sends packs of one push; for any number of threads."""

    def __init__(
        self,
        hub: HubClient,
        path: str,
        push_id: bytes,
        create: Create | None,
    ) -> None:
        self._hub = hub
        self._path = path
        self._push_id = push_id
        self._create = create

    def send(self, pack: Pack, note_sent: NoteSent) -> None:
        """Presign, PUT and confirm, every time anew: an address is never used twice.

        `note_sent` is told of bytes as they leave, and less than nothing when they have to be sent again. It
        may raise to give the pack up.
        """
        request = PresignRequest(self._push_id, pack.digest, pack.size_bytes, self._create)
        answer = parse_presign_answer(
            self._hub.load_json_once("POST", f"{self._path}/push/presign", request.to_json())
        )
        if answer.stored:
            note_sent(pack.size_bytes)
            return
        if answer.multipart is not None:
            hashes = self._put_parts(answer.multipart, pack, note_sent)
            self._confirm(pack, answer.multipart.upload, hashes)
            return
        if answer.request is not None:
            put_bytes(self._hub, answer.request, pack.parts, pack.size_bytes, note_sent)
        else:
            note_sent(pack.size_bytes)
        self._confirm(pack)

    def _put_parts(self, multipart: Multipart, pack: Pack, note_sent: NoteSent) -> list[bytes]:
        from muse.remote.parts import cut, send_parts

        parts = cut(pack.parts, multipart.part_size_bytes)
        stored = {number for number in multipart.stored if number <= len(parts)}
        skipped = sum(sum(map(len, parts[number - 1])) for number in stored)
        note_sent(skipped)
        sent = [skipped]

        def send(number: int, sha256: bytes, part: Parts) -> None:
            request = PartRequest(
                self._push_id, pack.digest, pack.size_bytes, multipart.upload, number, sha256
            ).to_json()
            size = sum(map(len, part))

            def attempt(_: int) -> None:
                answer = self._hub.load_json_once("POST", f"{self._path}/push/part", request)
                put_bytes(self._hub, parse_signed_request(answer), part, size, note_sent)

            self._hub.retry.run(attempt)
            sent.append(size)

        try:
            return send_parts(parts, stored, send)
        except BaseException:
            note_sent(-sum(sent))
            raise

    def _confirm(self, pack: Pack, upload: str | None = None, parts: list[bytes] | None = None) -> None:
        request = ConfirmRequest(self._push_id, pack.digest, pack.size_bytes, upload, parts or [])
        body = json.dumps(request.to_json()).encode()
        result = parse_confirm_result(self._hub.load_result(f"{self._path}/push/confirm", JSON_TYPE, body))
        if result.digest != pack.digest or result.objects != pack.objects:
            raise RemoteFailure("remote-error", "the hub confirmed another pack than the one it was sent")
