"""Records and packs as somebody hostile or broken would send them."""

from __future__ import annotations

import struct
import tracemalloc

import pytest

from muse.errors import InvalidData
from muse.objects.ids import Kind, hash_bytes
from muse.packs import zstd
from muse.packs.pack import INDEX_ENTRY, TRAILER, PackWriter, scan_pack, verify_objects, verify_pack
from muse.packs.record import Encoding, Record, decode_object, encode_object, parse_record


def seal(*objects: tuple[bytes, Record]) -> memoryview:
    writer = PackWriter()
    for object_id, record in objects:
        writer.add(object_id, record)
    return memoryview(b"".join(writer.seal()[1]))


def no_base(kind: Kind, object_id: bytes) -> bytes:
    raise InvalidData("missing-objects", "no base")


def code_of(pack: memoryview) -> str:
    with pytest.raises(InvalidData) as caught:
        verify_pack(pack, no_base)
    return caught.value.code


def test_an_index_that_lies_about_an_id_is_refused() -> None:
    assert code_of(seal((hash_bytes(b"other"), encode_object(Kind.BLOB, b"content")))) == "wrong-hash"


def test_an_index_that_hides_or_invents_a_record_is_refused() -> None:
    one, two = (encode_object(Kind.BLOB, data) for data in (b"one", b"two"))
    pack = bytes(seal((hash_bytes(b"one"), one), (hash_bytes(b"two"), two)))
    entries = len(pack) - TRAILER.size - 2 * INDEX_ENTRY.size
    hidden = pack[:entries] + pack[entries : entries + INDEX_ENTRY.size]
    hidden += TRAILER.pack(1, entries, b"MUSEPACK")
    assert code_of(memoryview(hidden)) == "bad-pack"
    offset = entries + INDEX_ENTRY.size - 4
    moved = pack[:offset] + struct.pack("<I", 13) + pack[offset + 4 :]
    assert code_of(memoryview(moved)) == "bad-pack"


def test_an_object_that_is_there_twice_is_refused() -> None:
    one = encode_object(Kind.BLOB, b"one")
    assert code_of(seal((hash_bytes(b"one"), one), (hash_bytes(b"one"), one))) == "bad-pack"


def test_a_record_that_inflates_beyond_its_announcement_costs_no_memory() -> None:
    bomb = zstd.compress(bytes(64 << 20))
    record = Record(Kind.BLOB, Encoding.ZSTD, 1000, None, bomb)
    tracemalloc.start()
    with pytest.raises(InvalidData) as caught:
        decode_object(record)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.code == "bad-record"
    assert peak < 1 << 20


@pytest.mark.parametrize("announced", [99, 101, 0])
def test_a_record_must_hold_exactly_what_it_announces(announced: int) -> None:
    record = Record(Kind.BLOB, Encoding.ZSTD, announced, None, zstd.compress(b"x" * 100))
    with pytest.raises(InvalidData):
        decode_object(record)


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<BII", 0x10, 1 << 31, 1 << 31),
        struct.pack("<BII", 0x01, 5, 5),
        struct.pack("<BII", 0x61, 5, 5),
        struct.pack("<BII", 0x13, 5, 5),
        struct.pack("<BII", 0x10, 5, 6),
        struct.pack("<BII", 0x11, 5, 1 << 31),
    ],
)
def test_an_impossible_header_is_refused_before_anything_is_allocated(header: bytes) -> None:
    with pytest.raises(InvalidData):
        parse_record(memoryview(header + bytes(40)), 0)


def test_a_chain_of_bases_without_end_is_refused() -> None:
    objects = []
    previous = (hash_bytes(b"x" * 200), b"x" * 200)
    objects.append((previous[0], encode_object(Kind.BLOB, previous[1])))
    for number in range(70):
        data = b"x" * 200 + str(number).encode()
        record = Record(
            Kind.BLOB, Encoding.PREFIX, len(data), previous[0], zstd.compress_with_prefix(data, previous[1])
        )
        previous = (hash_bytes(data), data)
        objects.append((previous[0], record))
    assert code_of(seal(*objects)) == "bad-pack"


def test_a_base_that_nobody_has_is_an_error() -> None:
    base = (hash_bytes(b"y" * 200), b"y" * 200)
    record = encode_object(Kind.BLOB, b"y" * 200 + b"z", base)
    assert record.base == base[0]
    assert code_of(seal((hash_bytes(b"y" * 200 + b"z"), record))) == "missing-objects"


@pytest.fixture
def busy_thread() -> None:
    """Bring this thread to where it decompresses with a context that it uses again and again."""
    frame = zstd.compress(b"content")
    for _ in range(zstd.SINGLE_FRAMES + 2):
        assert zstd.decompress(frame, 7) == b"content"


@pytest.mark.usefixtures("busy_thread")
def test_a_context_that_is_used_again_refuses_what_a_new_one_does() -> None:
    content = bytes(range(256)) * 8
    frame = zstd.compress(content)
    low, high = (
        frame[:5] + struct.pack("<H", size - 256) + frame[7:]
        for size in (len(content) - 100, len(content) + 100)
    )
    empty = zstd.compress(b"")
    for bad, size in (
        (frame, len(content) - 1),
        (frame, len(content) + 1),
        (frame, 0),
        (frame[:-1], len(content)),
        (frame + b"x", len(content)),
        (frame + frame, len(content)),
        (low, len(content) - 100),
        (high, len(content) + 100),
        (empty + b"x", 0),
        (empty, 1),
        (b"", 1),
        (b"no frame at all", 15),
    ):
        with pytest.raises(InvalidData) as caught:
            zstd.decompress(bad, size)
        assert caught.value.code == "bad-record"
    assert zstd.decompress(frame, len(content)) == content
    assert zstd.decompress(empty, 0) == b""


def small_blobs(count: int) -> list[tuple[bytes, Record]]:
    contents = [b"%d " % number * 500 for number in range(count)]
    return [(hash_bytes(content), encode_object(Kind.BLOB, content)) for content in contents]


@pytest.mark.usefixtures("busy_thread")
@pytest.mark.parametrize("place", [0, 150, 399])
def test_among_many_small_objects_each_is_checked(place: int) -> None:
    blobs = small_blobs(400)
    seen: list[int] = []
    assert len(verify_pack(seal(*blobs), no_base)) == 400
    verify_objects(seal(*blobs), scan_pack(seal(*blobs)), no_base, advance=seen.append)
    assert sum(seen) == 400
    object_id, good = blobs[place]
    frame = bytes(good.payload)
    skippable = struct.pack("<II", 0x184D2A50, 3) + b"abc"
    for payload, raw_size, code in (
        (frame, good.raw_size - 1, "bad-record"),
        (frame, good.raw_size + 1, "bad-record"),
        (frame[:-1], good.raw_size, "bad-record"),
        (frame + b"x", good.raw_size, "bad-record"),
        (frame + frame, good.raw_size, "bad-record"),
        (frame + skippable, good.raw_size, "bad-record"),
        (b"", good.raw_size, "bad-record"),
        (zstd.compress(bytes(good.raw_size)), good.raw_size, "wrong-hash"),
    ):
        bad = Record(Kind.BLOB, Encoding.ZSTD, raw_size, None, payload)
        assert code_of(seal(*blobs[:place], (object_id, bad), *blobs[place + 1 :])) == code


@pytest.mark.usefixtures("busy_thread")
def test_many_frames_come_back_as_each_alone() -> None:
    contents = [bytes([number]) * (number * 40 + 1) for number in range(100)]
    frames: list[zstd.Frame] = [zstd.compress(content) for content in contents]
    sizes = [len(content) for content in contents]
    assert list(map(bytes, zstd.decompress_many(frames, sizes))) == contents
    compressor = zstd.ZstdCompressor()
    frames[7] = compressor.compress(contents[7]) + compressor.flush()  # does not announce its size
    assert list(map(bytes, zstd.decompress_many(frames, sizes))) == contents


@pytest.mark.usefixtures("busy_thread")
def test_a_frame_may_leave_out_its_size() -> None:
    compressor = zstd.ZstdCompressor()
    frame = compressor.compress(b"content") + compressor.flush()
    assert zstd.decompress(frame, 7) == b"content"
    with pytest.raises(InvalidData):
        zstd.decompress(frame, 6)


@pytest.mark.usefixtures("busy_thread")
@pytest.mark.parametrize("size", [8, 255, 256, 1000, 64 << 10, (64 << 10) + 1, 200_000])
def test_a_context_that_is_used_again_takes_a_base_of_any_size(size: int) -> None:
    base = (struct.pack("<I", 0xEC30A437) + bytes(range(256)) * (size // 256 + 1))[
        :size
    ]  # looks like a dictionary
    content = base[: size // 2] + b"changed" + base[size // 2 + 3 :]
    frame = zstd.compress_with_prefix(content, base)
    assert zstd.decompress_with_prefix(frame, len(content), base) == content
    for bad, announced in (
        (frame, len(content) - 1),
        (frame, len(content) + 1),
        (frame, 0),
        (frame[:-1], len(content)),
        (frame + b"x", len(content)),
        (frame + frame, len(content)),
        (frame + struct.pack("<II", 0x184D2A50, 3) + b"abc", len(content)),
        (b"", 1),
        (b"no frame at all", 15),
    ):
        with pytest.raises(InvalidData) as caught:
            zstd.decompress_with_prefix(bad, announced, base)
        assert caught.value.code == "bad-record"


def test_a_base_of_a_few_bytes_is_refused() -> None:
    frame = zstd.compress_with_prefix(b"content" * 20, b"12345678")
    with pytest.raises(InvalidData):
        zstd.decompress_with_prefix(frame, 140, b"1234567")
