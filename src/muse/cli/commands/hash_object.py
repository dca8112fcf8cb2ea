"""`muse hash-object`."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context

EXAMPLE = """muse hash-object song.wav      # the same as sha256sum song.wav
muse hash-object -w song.wav   # and keep its bytes
echo text | muse hash-object -"""
JSON = '{"objects": [{"path": "song.wav", "id": "sha256:…", "size_bytes": 12, "stored": false}]}'


def configure(parser: Parser) -> None:
    parser.add_argument("paths", metavar="FILE", nargs="+", help="files, - is stdin")
    parser.add_argument("-w", "--write", action="store_true", help="store the content in the repository, too")


def run(context: Context, options: Namespace) -> None:
    from muse.objects.ids import format_id

    rows = []
    for name in options.paths:
        if name == "-":
            object_id, size_bytes = _add(context, sys.stdin.buffer, 0, options.write)
        else:
            with open(context.directory / name, "rb") as file:
                file.seek(0, 2)
                size_hint = file.tell()
                file.seek(0)
                object_id, size_bytes = _add(context, file, size_hint, options.write)
        rows.append(
            {"path": name, "id": format_id(object_id), "size_bytes": size_bytes, "stored": options.write}
        )
        context.output.write(object_id.hex())
    context.output.document({"objects": rows})


def _add(context: Context, stream: BinaryIO, size_hint: int, write: bool) -> tuple[bytes, int]:
    """Return the id, of a chunked file that of its content, and the size; store it if wanted."""
    if not write:
        return _hash(stream)
    with context.repository.transaction() as transaction:
        kind, object_id, size_bytes = transaction.put_stream(stream, size_hint)
        from muse.objects.chunks import decode_chunks
        from muse.objects.ids import Kind
        from muse.objects.tree import CHUNKED_KINDS

        if kind in CHUNKED_KINDS:
            object_id = decode_chunks(transaction.load(Kind.CHUNKS, object_id)).file_id
        return object_id, size_bytes


def _hash(stream: BinaryIO) -> tuple[bytes, int]:
    from hashlib import sha256

    digest, size_bytes = sha256(), 0
    while piece := stream.read(1 << 20):
        digest.update(piece)
        size_bytes += len(piece)
    return digest.digest(), size_bytes
