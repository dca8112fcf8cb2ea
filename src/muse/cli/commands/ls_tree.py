"""`muse ls-tree`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from muse.errors import NotFound

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context
    from muse.objects.tree import Entry

EXAMPLE = """muse ls-tree main
muse ls-tree -r v1.0 src/mixer"""
JSON = """{"tree": "sha256:…", "entries": [
 {"path": "a.txt", "kind": "file", "id": "sha256:…", "size_bytes": 12, "files": 1}]}
kind is file, executable, chunked-file, chunked-executable, symlink, submodule or directory"""


def configure(parser: Parser) -> None:
    parser.add_argument("revision", metavar="REVISION", nargs="?", default="HEAD", help="default: HEAD")
    parser.add_argument(
        "path", metavar="PATH", nargs="?", default="", help="a directory in it (default: the root)"
    )
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="list everything below, without directories"
    )
    parser.add_argument("--name-only", action="store_true", help="print paths only")


def run(context: Context, options: Namespace) -> None:
    from muse.cli.output import clean_line
    from muse.cli.revisions import find_object
    from muse.history.directory import iter_entries
    from muse.history.lookup import find_path, iter_files
    from muse.objects.commit import decode_commit, decode_tag
    from muse.objects.ids import Kind, format_id
    from muse.objects.tree import DIRECTORY

    output, load = context.output, context.repository.objects.load
    kind, object_id, _ = find_object(context, options.revision)
    while kind is Kind.TAG:
        tag = decode_tag(load(kind, object_id))
        kind, object_id = tag.target_kind, tag.target
    if kind is Kind.COMMIT:
        kind, object_id = Kind.TREE, decode_commit(load(kind, object_id)).tree
    if kind is not Kind.TREE:
        raise NotFound("unknown-path", f'"{options.revision}" is not a directory')
    path = options.path.strip("/").removeprefix("./").removesuffix(".")
    prefix = f"{path}/" if path else ""
    entries: Iterator[tuple[str, Entry]] | None = None
    if path:
        entry = find_path(load, object_id, path)
        if entry is None:
            raise NotFound("unknown-path", f'there is no "{path}" in "{options.revision}"')
        if entry.kind == DIRECTORY:
            object_id = entry.id
        else:
            entries = iter([(path, entry)])
    if entries is None:
        if options.recursive:
            entries = iter_files(load, object_id, prefix)
        else:
            entries = ((prefix + entry.name, entry) for entry in iter_entries(load, object_id))
    if output.json:
        output.document_stream(
            "entries", (entry_json(name, entry) for name, entry in entries), {"tree": format_id(object_id)}
        )
        return
    for name, entry in entries:
        output.write(clean_line(name) if options.name_only else entry_line(name, entry))


def entry_json(path: str, entry: Entry) -> dict[str, Any]:
    from muse.cli.patch import KIND_NAMES
    from muse.objects.ids import format_id

    return {
        "path": path,
        "kind": KIND_NAMES[entry.kind],
        "id": format_id(entry.id),
        "size_bytes": entry.size_bytes,
        "files": entry.files,
    }


def entry_line(path: str, entry: Entry) -> str:
    from muse.cli.output import clean_line
    from muse.cli.patch import KIND_NAMES

    slash = "/" if entry.kind == "d" else ""
    return (
        f"{KIND_NAMES[entry.kind]:<10}  {entry.id.hex()}  {entry.size_bytes:>10}  {clean_line(path)}{slash}"
    )
