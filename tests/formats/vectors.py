"""How the golden files of the formats are written: `python -m tests.formats.vectors` adds what is missing.

A vector that exists is never changed: a reader of today must read what a writer of any version wrote.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

from muse.objects.chunks import NO_FILE_ID, Chunk, encode_chunks
from muse.objects.commit import Agent, Commit, Person, Signature, Tag, encode_commit, encode_tag
from muse.objects.ids import Kind, hash_bytes
from muse.objects.tree import Entry, Page, encode_entries, encode_pages
from muse.packs.pack import PackWriter
from muse.packs.record import encode_object

FOLDER = Path(__file__).parent
A, B, C = (hash_bytes(letter) for letter in (b"a", b"b", b"c"))
ANA = Person("Ana", "ana@example.org", 1_700_000_000, 60)
SIGNATURE = Signature(bytes(range(32)), bytes(range(64)))


def _mixed_tree() -> bytes:
    return encode_entries(
        [
            Entry("big.bin", "c", B, 5_000_000),
            Entry("empty", "f", hash_bytes(b""), 0),
            Entry("huge-tool", "k", C, 6_000_000),
            Entry("lib", "d", C, 12_345, 17),
            Entry("link", "l", A, 1),
            Entry("run.sh", "x", B, 20),
            Entry("vendor", "s", bytes.fromhex("11" * 20 + "00" * 12), 0),
            Entry("Ärger.txt", "f", A, 1),
        ]
    )


def _pack() -> bytes:
    rng = Random(7)
    first = rng.randbytes(400).hex().encode()
    second = first[:300] + b"changed" + first[300:]
    writer = PackWriter()
    for data, base in ((first, None), (second, (hash_bytes(first), first)), (rng.randbytes(64), None)):
        writer.add(hash_bytes(data), encode_object(Kind.BLOB, data, base))
    return b"".join(writer.seal()[1])


OBJECTS: dict[str, tuple[Kind, Callable[[], bytes]]] = {
    "blob, empty": (Kind.BLOB, lambda: b""),
    "tree, empty": (Kind.TREE, lambda: encode_entries([])),
    "tree, every kind of entry": (Kind.TREE, _mixed_tree),
    "tree, index node": (
        Kind.TREE,
        lambda: encode_pages(1, [Page("m", A, 10, 2, 2), Page("z", B, 1 << 40, 1 << 33, 300)]),
    ),
    "chunks, root": (Kind.CHUNKS, lambda: encode_chunks(0, C, [Chunk(65_536, A), Chunk(7, B)])),
    "chunks, inner node": (Kind.CHUNKS, lambda: encode_chunks(1, NO_FILE_ID, [Chunk(1 << 30, A)])),
    "commit, root": (Kind.COMMIT, lambda: encode_commit(Commit(A, (), ANA, ANA, "first\n"))),
    "commit, merge by an agent, signed": (
        Kind.COMMIT,
        lambda: encode_commit(
            Commit(
                A,
                (B, C),
                ANA,
                Person("Ünï", "", -1, -765),
                'quote " back\\slash tab\t \u2028 \U0001f3b5\n',
                Agent("composer", "m-1", "muse"),
                {"b": "2", "a": "1"},
                SIGNATURE,
            )
        ),
    ),
    "tag": (Kind.TAG, lambda: encode_tag(Tag(A, Kind.COMMIT, "v1", ANA, "one\n", {"x": "y"}, SIGNATURE))),
    "tag, of a blob, without tagger": (Kind.TAG, lambda: encode_tag(Tag(B, Kind.BLOB, "key", None, ""))),
}
PACKS: dict[str, Callable[[], bytes]] = {"raw, zstd and prefix": _pack}


def _add_missing(name: str, entries: dict[str, dict[str, str]]) -> None:
    path = FOLDER / name
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**entries, **known}, indent=1, sort_keys=True) + "\n")


def main() -> None:
    objects = {}
    for name, (kind, make) in OBJECTS.items():
        data = make()
        objects[name] = {"kind": kind.name.lower(), "id": hash_bytes(data).hex(), "bytes": data.hex()}
    _add_missing("objects.json", objects)
    packs = {}
    for name, make_pack in PACKS.items():
        data = make_pack()
        packs[name] = {"id": hash_bytes(data).hex(), "bytes": data.hex()}
    _add_missing("packs.json", packs)


if __name__ == "__main__":
    main()
