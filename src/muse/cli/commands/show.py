"""`muse show`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from muse.cli.commits import COMMIT_JSON
from muse.cli.patch import CHANGE_JSON

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context
    from muse.cli.revisions import Object

EXAMPLE = """muse show
muse show v1.0 --stat
muse show main~2:notes/readme.md"""
JSON = f"""of a commit, a merge compared with its first parent: {{"tag": null or as in tag, "commit":
{COMMIT_JSON},
 "files": [{CHANGE_JSON}]}}
of a file: {{"path": "notes/readme.md", "kind": "file", "id": "sha256:…", "size_bytes": 12,
 "text": "…" or "base64": "…"}}
of a directory: as ls-tree; of any other object: as cat-file -p"""


def configure(parser: Parser) -> None:
    from muse.cli.commands.diff import add_format_options

    parser.add_argument(
        "object", metavar="OBJECT", nargs="?", default="HEAD", help="a revision, REVISION:PATH or an id"
    )
    add_format_options(parser)


def run(context: Context, options: Namespace) -> None:
    from muse.cli.commands import cat_file
    from muse.cli.revisions import find_object
    from muse.objects.commit import decode_tag
    from muse.objects.ids import Kind

    found = find_object(context, options.object)
    load = context.repository.objects.load
    tags = []
    while found.kind is Kind.TAG:
        tag = decode_tag(load(Kind.TAG, found.id))
        tags.append((found.id, tag))
        found = found._replace(kind=tag.target_kind, id=tag.target)
    context.output.page()
    if found.kind is Kind.COMMIT:
        _show_commit(context, options, found.id, tags)
    elif found.kind in (Kind.BLOB, Kind.CHUNKS) and found.entry is not None:
        _show_file(context, options.object, found)
    else:
        cat_file.print_object(context, found.kind, found.id)


def _show_commit(
    context: Context, options: Namespace, commit_id: bytes, tags: list[tuple[bytes, Any]]
) -> None:
    from muse.cli.changes import tree_changes
    from muse.cli.commands.diff import changes_json, print_changes
    from muse.cli.commits import commit_json, commit_lines, refs_by_target, tag_json, tag_lines
    from muse.objects.commit import decode_commit
    from muse.objects.ids import Kind

    repository, output = context.repository, context.output
    commit = decode_commit(repository.objects.load(Kind.COMMIT, commit_id))
    names = refs_by_target(repository).get(commit_id, [])
    parent = repository.graph(commit.parents[0]).tree if commit.parents else None
    changes = tree_changes(repository, parent, commit.tree, [])
    if output.json:
        head = {"tag": tag_json(*tags[0]) if tags else None, "commit": commit_json(commit_id, commit, names)}
        output.document_stream("files", changes_json(context, options, changes), head)
        return
    for _, tag in tags:
        for line in [*tag_lines(tag, output), ""]:
            output.write(line)
    for line in commit_lines(commit_id, commit, names, repository.refs.head().branch, output):
        output.write(line)
    if changes:
        output.write()
    print_changes(context, options, changes)


def _show_file(context: Context, text: str, found: Object) -> None:
    from muse.cli.commands.ls_tree import entry_json

    assert found.entry is not None
    pieces = context.repository.objects.open_file(found.entry.kind, found.id)
    if not context.output.json:
        context.output.binary(pieces)
        return
    value = entry_json(text.partition(":")[2], found.entry)
    del value["files"]
    data = b"".join(pieces)
    try:
        value["text"] = data.decode()
    except UnicodeDecodeError:
        from base64 import b64encode

        value["base64"] = b64encode(data).decode()
    context.output.document(value)
