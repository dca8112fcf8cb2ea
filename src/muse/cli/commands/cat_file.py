"""`muse cat-file`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context
    from muse.objects.ids import Kind

EXAMPLE = """muse cat-file -p HEAD
muse cat-file -p main:notes/readme.md
muse cat-file -t 3f2a9c01"""
JSON = """{"id": "sha256:…", "kind": "blob|tree|commit|tag|chunks", "size_bytes": 12}
without -t, -s and --raw, too: "object": the commit as in log, the tag as in tag,
  {"entries": […]} as in ls-tree, {"chunks": [{"id": "sha256:…", "size_bytes": 1}]},
  or for a blob {"text": "…"} or {"base64": "…"}"""


def configure(parser: Parser) -> None:
    parser.add_argument(
        "object", metavar="OBJECT", help="a revision, REVISION:PATH, an id or the beginning of one"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("-t", "--kind", action="store_true", help="print the kind")
    what.add_argument("-s", "--size", action="store_true", help="print the size in bytes")
    what.add_argument("-p", "--pretty", action="store_true", help="print the content for people (default)")
    what.add_argument("--raw", action="store_true", help="print the bytes that the id is the hash of")


def run(context: Context, options: Namespace) -> None:
    from muse.cli.revisions import find_object

    repository, output = context.repository, context.output
    kind, object_id, _ = find_object(context, options.object)
    if options.kind and not output.json:
        output.write(kind.word)
    elif options.size and not output.json:
        output.write(str(repository.objects.size(kind, object_id)))
    elif options.raw and not output.json:
        output.binary([repository.objects.load(kind, object_id)])
    else:
        print_object(context, kind, object_id, with_content=not (options.kind or options.size or options.raw))


def print_object(context: Context, kind: Kind, object_id: bytes, with_content: bool = True) -> None:
    """Print an object for people, or as JSON."""
    from muse.objects.ids import format_id

    if not context.output.json:
        _pretty(context, kind, object_id)
        return
    size_bytes = context.repository.objects.size(kind, object_id)
    value: dict[str, Any] = {"id": format_id(object_id), "kind": kind.word, "size_bytes": size_bytes}
    if with_content:
        value["object"] = _object_json(context, kind, object_id)
    context.output.document(value)


def _object_json(context: Context, kind: Kind, object_id: bytes) -> dict[str, Any]:
    from muse.cli.commits import commit_json, tag_json
    from muse.objects.chunks import iter_chunks
    from muse.objects.commit import decode_commit, decode_tag
    from muse.objects.ids import Kind, format_id

    load = context.repository.objects.load
    if kind is Kind.COMMIT:
        return commit_json(object_id, decode_commit(load(kind, object_id)), [])
    if kind is Kind.TAG:
        return tag_json(object_id, decode_tag(load(kind, object_id)))
    if kind is Kind.TREE:
        from muse.cli.commands.ls_tree import entry_json
        from muse.history.directory import iter_entries

        return {"entries": [entry_json(entry.name, entry) for entry in iter_entries(load, object_id)]}
    if kind is Kind.CHUNKS:
        chunks = iter_chunks(object_id, load)
        return {"chunks": [{"id": format_id(chunk.id), "size_bytes": chunk.size_bytes} for chunk in chunks]}
    data = load(kind, object_id)
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        from base64 import b64encode

        return {"base64": b64encode(data).decode()}


def _pretty(context: Context, kind: Kind, object_id: bytes) -> None:
    from muse.cli.commits import commit_lines, tag_lines
    from muse.objects.commit import decode_commit, decode_tag
    from muse.objects.ids import Kind

    repository, output = context.repository, context.output
    load = repository.objects.load
    if kind is Kind.COMMIT:
        commit = decode_commit(load(kind, object_id))
        head, *rest = commit_lines(object_id, commit, [], None, output)
        parents = [f"parent:    {parent.hex()}" for parent in commit.parents]
        lines = [head, f"tree:      {commit.tree.hex()}", *parents, *rest]
    elif kind is Kind.TAG:
        tag = decode_tag(load(kind, object_id))
        head, *rest = tag_lines(tag, output)
        lines = [head, f"target:    {tag.target_kind.word} {tag.target.hex()}", *rest]
    elif kind is Kind.TREE:
        from muse.cli.commands.ls_tree import entry_line
        from muse.history.directory import iter_entries

        lines = [entry_line(entry.name, entry) for entry in iter_entries(load, object_id)]
    elif kind is Kind.CHUNKS:
        from muse.objects.chunks import iter_chunks

        lines = [f"{chunk.id.hex()}  {chunk.size_bytes:>9}" for chunk in iter_chunks(object_id, load)]
    else:
        output.binary([load(kind, object_id)])
        return
    for line in lines:
        output.write(line)
