"""Verifying a pack leaves nothing behind, even where circular garbage is collected late."""

from __future__ import annotations

import gc

from muse.objects.ids import Kind, hash_bytes
from muse.packs.pack import PackWriter, verify_pack
from muse.packs.record import encode_object


def test_no_object_outlives_its_verification() -> None:
    writer = PackWriter()
    for content in (b"one" * 100, b"two" * 100):
        writer.add(hash_bytes(content), encode_object(Kind.BLOB, content))
    pack = b"".join(writer.seal()[1])
    seen: list[bytes] = []

    def load_base(kind: Kind, object_id: bytes) -> bytes:
        raise AssertionError

    gc.disable()
    try:
        verify_pack(memoryview(pack), load_base, visit=lambda _kind, _id, data: seen.append(data))
        assert len(seen) == 2
        assert [holder is seen for holder in gc.get_referrers(seen[0])] == [True]
    finally:
        gc.enable()
