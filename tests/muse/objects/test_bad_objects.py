"""Objects as somebody hostile or broken would send them."""

from __future__ import annotations

import struct

import pytest

from muse.errors import InvalidData, MuseError
from muse.objects.chunks import Chunk, decode_chunks, encode_chunks
from muse.objects.commit import Commit, Person, Tag, decode_commit, decode_tag, encode_commit, encode_tag
from muse.objects.ids import Kind, hash_bytes
from muse.objects.names import find_collisions
from muse.objects.signature import check_signature, sign
from muse.objects.tree import TYPE_LINE, Entry, decode_tree, encode_entries

ID = hash_bytes(b"content")
ANA = Person("Ana", "ana@example.org", 1_700_000_000, 60)
COMMIT = encode_commit(Commit(ID, (ID,), ANA, ANA, "message"))


def raw_tree(names: list[bytes], kinds: bytes = b"") -> bytes:
    """A tree as the format says, with no check of anything."""
    n = len(names)
    kinds = kinds or b"f" * n
    return TYPE_LINE + struct.pack("<BI", 0, n) + kinds + ID * n + bytes(16 * n) + b"\0".join(names)


BAD_NAMES = [b"..", b".", b"", b".muse", b".MUSE", b".git", b".Git", b"a/b", b"a\0b", b"\xff\xfe", b"x" * 256]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_tree_with_a_forbidden_name_is_refused_in_both_directions(name: bytes) -> None:
    with pytest.raises(InvalidData):
        decode_tree(raw_tree([name]))
    text = name.decode(errors="surrogateescape")
    with pytest.raises(InvalidData) as caught:
        encode_entries([Entry(text, "f", ID, 0)])
    assert caught.value.code == "bad-path"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"muse tree 2\n" + bytes(5),
        raw_tree([b"b", b"a"]),
        raw_tree([b"a", b"a"]),
        raw_tree([b"a"], b"z"),
        raw_tree([b"a"], b"p"),
        raw_tree([b"a"])[:-20],
        raw_tree([]) + b"x",
        TYPE_LINE + struct.pack("<BI", 1, 0),
        TYPE_LINE + struct.pack("<BI", 0, 0xFFFFFFFF),
        TYPE_LINE + struct.pack("<BI", 200, 1) + bytes(100),
    ],
)
def test_a_malformed_tree_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidData):
        decode_tree(data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"message":"message"', b'"message": "message"'),
        (b'"message":"message"', b'"message":"\\u006dessage"'),
        (b'"message":"message"', b'"message":"message","more":1'),
        (b'"message":"message"', b'"message":"\\ud800"'),
        (b'"message":"message"', b'"message":null'),
        (b'"time":1700000000', b'"time":1700000000.0'),
        (b'"time":1700000000', b'"time":true'),
        (b'"offset":60', b'"offset":6e1'),
        (b'"signature":null', b'"signature":{"key":"00","value":"00"}'),
        (b'"extra":{}', b'"extra":{"a":1}'),
        (b'"tree":"' + ID.hex().encode(), b'"tree":"' + ID.hex().upper().encode()),
        (b'"tree":"' + ID.hex().encode(), b'"tree":"' + ID.hex()[:-2].encode()),
        (b"muse commit 1\n{", b"muse commit 1\n{{"),
        (b"muse commit 1\n", b"muse commit 9\n"),
        (b"muse commit 1\n{", b"muse commit 1\n" + b"[" * 100_000 + b"{"),
    ],
)
def test_a_commit_that_is_not_canonical_is_refused(old: bytes, new: bytes) -> None:
    assert COMMIT.count(old) >= 1
    decode_commit(COMMIT)
    with pytest.raises(InvalidData) as caught:
        decode_commit(COMMIT.replace(old, new))
    assert caught.value.code == "bad-object"


@pytest.mark.parametrize(
    "data",
    [
        encode_chunks(0, ID, [Chunk(5, ID)])[:-1],
        encode_chunks(0, ID, [Chunk(0, ID)]),
        encode_chunks(0, ID, [Chunk(2 << 20, ID)]),
        encode_chunks(9, ID, [Chunk(5, ID)]),
        encode_chunks(1, ID, [Chunk(1 << 62, ID), Chunk(1 << 62, ID)]),
        b"muse chunks 1\n" + struct.pack("<BI32s", 0, 0, ID),
    ],
)
def test_a_malformed_chunk_list_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidData):
        decode_chunks(data)


def test_a_tag_names_a_known_kind() -> None:
    tag = encode_tag(Tag(ID, Kind.COMMIT, "v1", ANA, ""))
    with pytest.raises(InvalidData):
        decode_tag(tag.replace(b'"target_kind":"commit"', b'"target_kind":"chunks"'))


def test_a_signature_covers_everything_and_fits_its_key_only() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    commit = sign(Commit(ID, (), ANA, ANA, "signed"), key)
    assert isinstance(commit, Commit)
    assert check_signature(decode_commit(encode_commit(commit))) == key.public_key().public_bytes_raw()
    assert check_signature(commit._replace(signature=None)) is None
    for forged in (
        commit._replace(message="other"),
        commit._replace(parents=(ID,)),
        commit._replace(extra={"a": "b"}),
        commit._replace(author=ANA._replace(offset_min=0)),
        commit._replace(signature=commit.signature and commit.signature._replace(key=bytes(32))),
    ):
        with pytest.raises(MuseError) as caught:
            check_signature(forged)
        assert caught.value.code == "bad-signature"


def test_names_that_file_systems_confuse_are_found() -> None:
    assert find_collisions(["a", "B", "b", "é", "e\u0301", "c"]) == [("B", "b"), ("é", "e\u0301")]
