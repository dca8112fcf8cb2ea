"""A PUT to a presigned address, and what a store's refusal means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from muse.errors import AccessDenied, InvalidData, LimitReached, MuseError, RemoteFailure
from muse.remote.retry import RETRY_AFTER
from muse.wire.uploads import SignedRequest

if TYPE_CHECKING:
    from muse.remote.client import HubClient
    from muse.remote.connections import OpenAnswer

Parts = Sequence[bytes | memoryview]

PIECE_BYTES = 256 << 10
AGAIN = "push again; what was confirmed is not sent twice"


def put_bytes(
    hub: HubClient, request: SignedRequest, parts: Parts, size_bytes: int, note_sent: Callable[[int], None]
) -> None:
    """Send `parts` as one body; raises what the store's answer means, most of it worth a fresh address.

    `note_sent` hears of every piece, and of all of them with a minus when they have to be sent again.
    """
    counted = 0

    def count(pieces: Iterator[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        nonlocal counted
        note_sent(-counted)
        counted = 0
        for piece in pieces:
            yield piece
            note_sent(len(piece))
            counted += len(piece)

    try:
        with hub.open_url(
            request.method, request.url, request.headers, lambda: count(_iter_pieces(parts)), size_bytes
        ) as answer:
            if not 200 <= answer.status < 300:
                raise _explain_refusal(answer)
            if b"<Error>" in answer.answer.read_all(1 << 20):  # a store that failed after its status
                raise RemoteFailure(
                    "store-unavailable",
                    "the object store answered an upload with success and an error",
                    hint=AGAIN,
                    retry=True,
                )
    except BaseException:
        note_sent(-counted)
        raise


def _iter_pieces(parts: Parts) -> Iterator[bytes | memoryview]:
    """Yield a pack in pieces that are worth a system call; large parts are not copied."""
    pieces: list[bytes | memoryview] = []
    size = 0
    for part in parts:
        if len(part) >= PIECE_BYTES // 4:
            if pieces:
                yield b"".join(pieces)
                pieces, size = [], 0
            yield part
            continue
        pieces.append(part)
        size += len(part)
        if size >= PIECE_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    if pieces:
        yield b"".join(pieces)


def _explain_refusal(answer: OpenAnswer) -> MuseError:
    """Turn a store's refusal of a pack into an error; most are worth another attempt with a fresh address."""
    status = answer.status
    text = answer.answer.read_all(64 << 10).decode("utf-8", "replace").strip()
    details = {"status": status, "answer": text[:500]}
    pause = answer.retry_after_s
    if pause is not None:
        details[RETRY_AFTER] = pause
    message = f"the object store answered an upload with status {status}"
    if status in (401, 403):
        return AccessDenied("bad-upload-url", message, hint=AGAIN, retry=True, details=details)
    if status == 429:
        return LimitReached("busy", message, hint=AGAIN, retry=True, details=details)
    if status == 507:
        hint = "the store of the hub is full; its operator has to make room"
        return RemoteFailure("store-unavailable", message, hint=hint, retry=True, details=details)
    if status in (408, 425) or status >= 500:
        return RemoteFailure("store-unavailable", message, hint=AGAIN, retry=True, details=details)
    if status == 413:
        hint = "the store takes less at once than the hub says; its operator has to lower pack_max_bytes"
        return LimitReached("too-large", message, hint=hint, details=details)
    return InvalidData("wrong-hash", message, hint=AGAIN, retry=True, details=details)
