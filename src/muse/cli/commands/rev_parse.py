"""`muse rev-parse`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context

EXAMPLE = """muse rev-parse HEAD main~2 'main@{1}'
muse rev-parse --short v1.0
muse rev-parse main:notes/readme.md"""
JSON = '{"objects": [{"text": "main~2", "id": "sha256:…", "kind": "commit"}]}'


def configure(parser: Parser) -> None:
    parser.add_argument("revisions", metavar="REVISION", nargs="+", help="a revision, REVISION:PATH or an id")
    parser.add_argument("--short", action="store_true", help="print twelve digits")


def run(context: Context, options: Namespace) -> None:
    from muse.cli.revisions import find_object
    from muse.objects.ids import format_id, short_id

    found = [(text, find_object(context, text)) for text in options.revisions]
    for _, (_, object_id, _) in found:
        context.output.write(short_id(object_id) if options.short else object_id.hex())
    context.output.document(
        {
            "objects": [
                {"text": text, "id": format_id(value.id), "kind": value.kind.word} for text, value in found
            ]
        }
    )
