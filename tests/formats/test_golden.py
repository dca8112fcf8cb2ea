"""Golden objects and packs: read as they always were, written as they always were."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.formats.vectors import OBJECTS

from muse.objects.chunks import cut_stream, decode_chunks, encode_chunks
from muse.objects.commit import decode_commit, decode_tag, encode_commit, encode_tag
from muse.objects.ids import Kind, hash_bytes
from muse.objects.tree import decode_tree, encode_entries, encode_pages
from muse.packs.pack import verify_pack

FOLDER = Path(__file__).parent
GOLDEN_OBJECTS = json.loads((FOLDER / "objects.json").read_text())
GOLDEN_PACKS = json.loads((FOLDER / "packs.json").read_text())


def _recode_tree(data: bytes) -> bytes:
    tree = decode_tree(data)
    return encode_pages(tree.level, tree.pages) if tree.level else encode_entries(tree.entries)


def _recode_chunks(data: bytes) -> bytes:
    node = decode_chunks(data)
    return encode_chunks(node.level, node.file_id, node.chunks)


RECODE: dict[str, Callable[[bytes], bytes]] = {
    "blob": bytes,
    "tree": _recode_tree,
    "chunks": _recode_chunks,
    "commit": lambda data: encode_commit(decode_commit(data)),
    "tag": lambda data: encode_tag(decode_tag(data)),
}


@pytest.mark.parametrize("name", GOLDEN_OBJECTS)
def test_a_golden_object_is_read_and_written_unchanged(name: str) -> None:
    golden: dict[str, Any] = GOLDEN_OBJECTS[name]
    data = bytes.fromhex(golden["bytes"])
    assert hash_bytes(data).hex() == golden["id"]
    assert RECODE[golden["kind"]](data) == data
    kind, make = OBJECTS[name]
    assert (kind.name.lower(), make()) == (golden["kind"], data)


@pytest.mark.parametrize("name", GOLDEN_PACKS)
def test_a_golden_pack_is_read(name: str) -> None:
    pack = bytes.fromhex(GOLDEN_PACKS[name]["bytes"])
    assert hash_bytes(pack).hex() == GOLDEN_PACKS[name]["id"]

    def no_base(kind: Kind, object_id: bytes) -> bytes:
        raise AssertionError("every base is in the pack")

    assert [entry.encoding for entry in verify_pack(memoryview(pack), no_base)] == [1, 2, 0]


def test_every_type_of_object_has_a_golden_one() -> None:
    assert {golden["kind"] for golden in GOLDEN_OBJECTS.values()} == {kind.name.lower() for kind in Kind}
    assert GOLDEN_OBJECTS.keys() == OBJECTS.keys()


def test_large_files_are_cut_where_they_always_were(tmp_path: Path) -> None:
    content = Random(1).randbytes(4 << 20)
    path = tmp_path / "content"
    path.write_bytes(content)
    with path.open("rb") as stream:
        sizes = [len(chunk) for chunk in cut_stream(stream)]
    assert sizes[:4] == [204367, 274040, 398271, 477575]
    assert sum(sizes) == len(content)
