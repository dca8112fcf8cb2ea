from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse.errors import InvalidData, NotFound
from muse.objects.ids import Kind
from muse.packs.record import decode_object, encode_object
from muse.wire.frames import (
    BLOBS,
    END,
    FrameParser,
    RecordBatch,
    decode_error,
    encode_error,
    encode_frame,
    encode_json,
)


@given(st.lists(st.tuples(st.sampled_from([b"H", b"S", b"O", b"E"]), st.binary(max_size=50))), st.data())
def test_frames_survive_any_cutting_of_the_stream(
    frames: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(encode_frame(*frame) for frame in frames)
    parser = FrameParser()
    received = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        received += [tuple(frame) for frame in parser.feed(stream[:size])]
        stream = stream[size:]
    parser.close()
    assert received == frames


@pytest.mark.parametrize("stream", [b"Zxxxx", b"S\xff\xff\xff\xff"])
def test_an_unknown_or_oversized_frame_is_refused_at_its_header(stream: bytes) -> None:
    with pytest.raises(InvalidData) as caught:
        list(FrameParser().feed(stream))
    assert caught.value.code == "bad-frame"


def test_a_stream_that_ends_inside_a_frame_is_truncated() -> None:
    parser = FrameParser()
    assert list(parser.feed(encode_frame(END, b"12345")[:-1])) == []
    with pytest.raises(InvalidData) as caught:
        parser.close()
    assert (caught.value.code, caught.value.retry) == ("truncated", True)


def test_batches_keep_every_record_and_close_when_full() -> None:
    batch = RecordBatch(BLOBS)
    contents = [bytes([number]) * 300_000 + number.to_bytes(2, "big") for number in range(50)]
    frames = []
    for content in contents:
        frames.append(batch.add(encode_object(Kind.BLOB, content)._replace(encoding=0, payload=content)))
    frames.append(batch.flush())
    assert batch.flush() is None
    parser = FrameParser()
    parsed = [frame for data in frames if data for frame in parser.feed(data)]
    assert len(parsed) > 5
    assert [decode_object(record) for frame in parsed for record in frame.records()] == contents


def test_an_error_travels_whole() -> None:
    error = NotFound("unknown-branch", "no branch", hint="look", retry=True, details={"a": 1})
    (frame,) = FrameParser().feed(encode_error(error))
    received = decode_error(frame)
    assert type(received) is NotFound
    assert received.to_json() == error.to_json()


def test_a_json_frame_holds_an_object() -> None:
    (frame,) = FrameParser().feed(encode_frame(END, b"[1]"))
    with pytest.raises(InvalidData):
        frame.json()
    (frame,) = FrameParser().feed(encode_json(END, {"é": 1}))
    assert frame.json() == {"é": 1}
