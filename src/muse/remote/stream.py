"""The request that ends a push: frames H, O, S, C, E in one body, progress and the receipt in its answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from muse.errors import RemoteFailure
from muse.wire.frames import (
    BLOBS,
    COMMITS,
    END,
    HEADER,
    MEDIA_TYPE,
    TREES,
    Frame,
    RecordBatch,
    encode_json,
)
from muse.wire.push import PushHeader
from muse.wire.stream import End, parse_progress

if TYPE_CHECKING:
    from muse.remote.client import HubClient
    from muse.remote.records import Piece
    from muse.store.progress import Progress

WHOLE_BODY_BYTES = 1 << 20
"""A body up to this goes out in one piece with its length; a longer one is chunked."""


class Load(NamedTuple):
    """What goes in one stream besides its head: `counts` by frame type, bytes of the blobs, and the records,
    which may be there to be read once.
    """

    counts: Mapping[str, int]
    size_bytes: int
    blobs: Iterable[Piece]
    trees: Iterable[Piece]
    commits: Iterable[Piece]


NOTHING = Load({}, 0, (), (), ())


def iter_push_frames(header: PushHeader, load: Load) -> Iterator[bytes]:
    """Encode a whole push; the records are read as the frames are taken."""
    digest = hashlib.sha256()
    counts: dict[str, int] = {}
    frame: bytes | None = encode_json(HEADER, header.to_json())
    assert frame is not None
    digest.update(frame)
    yield frame
    for frame_type, pieces in ((BLOBS, load.blobs), (TREES, load.trees), (COMMITS, load.commits)):
        batch = RecordBatch(frame_type)
        count = 0
        for piece in pieces:
            count += piece.records
            frame = batch.add_encoded(piece.data)
            if frame is not None:
                digest.update(frame)
                yield frame
        frame = batch.flush()
        if frame is not None:
            digest.update(frame)
            yield frame
        if count:
            counts[frame_type.decode()] = count
    yield encode_json(END, End(counts, digest.digest()).to_json())


def send_frames(
    hub: HubClient,
    path: str,
    make_frames: Callable[[], Iterator[bytes]],
    progress: Progress,
    all_sent: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Send the frames of a push and return what R holds; `all_sent` is called when the last byte is out.

    Raises what the hub's X frame holds, and what `HubClient` raises.
    """

    def make_body() -> bytes | Iterator[bytes]:
        frames = make_frames()
        first: list[bytes] = []
        size = 0
        for frame in frames:
            first.append(frame)
            size += len(frame)
            if size > WHOLE_BODY_BYTES:
                return iter_counted(chain(first, frames))
        all_sent()
        return b"".join(first)

    def iter_counted(frames: Iterator[bytes]) -> Iterator[bytes]:
        sent_bytes = 0
        for frame in frames:
            yield frame
            sent_bytes += len(frame)
            progress("sending", sent_bytes, None, "bytes")
        all_sent()

    def show(frame: Frame) -> None:
        at = parse_progress(frame.json())
        progress(f"hub: {at.phase}", at.done, at.total, at.unit)

    return hub.load_result(f"{path}/push/stream", MEDIA_TYPE, make_body, show)


def check_push_id(sent: bytes, answered: bytes) -> None:
    if answered != sent:
        raise RemoteFailure("remote-error", "the hub answered with the receipt of another push")
