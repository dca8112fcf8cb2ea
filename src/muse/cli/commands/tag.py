"""`muse tag`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from muse.errors import Conflict, NotFound, UsageError

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context
    from muse.store.refs import Ref

EXAMPLE = """muse tag
muse tag v1.0
muse tag v1.1 main~2 -m "first release with the bridge"
muse tag -d v1.0"""
JSON = """list: {"tags": [{"name": "v1.0", "ref": "tags/v1.0", "id": "sha256:…", "kind": "commit|tag",
  "commit": "sha256:… or null",
  "tag": null or {"id", "target", "target_kind", "name", "tagger", "message", "signature", "extra"}}]}
make: {"name": "v1.0", "id": "sha256:…", "kind": "commit|tag", "commit": "sha256:…"}
delete: {"deleted": [{"name": "v1.0", "id": "sha256:…"}]}"""


def configure(parser: Parser) -> None:
    parser.add_argument(
        "names", metavar="NAME [REVISION]", nargs="*", help="make the tag NAME (default: at HEAD)"
    )
    parser.add_argument("-m", "--message", metavar="TEXT", action="append", help="make an annotated tag")
    parser.add_argument("-d", "--delete", action="store_true", help="delete tags")
    parser.add_argument("-f", "--force", action="store_true", help="replace the tag if it exists")
    parser.add_argument("--date", metavar="DATE", help="the tag's date, if it is not now")
    parser.add_argument("--sign", action="store_true", default=None, help="sign with your key (needs -m)")
    parser.add_argument("--no-sign", dest="sign", action="store_false", help="do not sign")


def run(context: Context, options: Namespace) -> None:
    if options.delete:
        _delete(context, options)
    elif options.names:
        _create(context, options)
    else:
        _list(context)


def _list(context: Context) -> None:
    from muse.cli.commits import tag_json
    from muse.cli.output import clean
    from muse.objects.commit import Tag, decode_commit, decode_tag
    from muse.objects.ids import Kind, format_id, short_id

    output, load = context.output, context.repository.objects.load
    rows: list[dict[str, Any]] = []
    lines: list[tuple[str, str, str]] = []
    for ref in context.repository.refs.iter("tags/"):
        tag: Tag | None = decode_tag(load(Kind.TAG, ref.target)) if ref.kind is Kind.TAG else None
        commit_id = ref.commit
        name = ref.name.removeprefix("tags/")
        if output.json:
            rows.append(
                {
                    "name": name,
                    "ref": ref.name,
                    "id": format_id(ref.target),
                    "kind": ref.kind.word,
                    "commit": format_id(commit_id) if commit_id is not None else None,
                    "tag": tag_json(ref.target, tag) if tag is not None else None,
                }
            )
        elif tag is not None:
            lines.append((name, short_id(commit_id or ref.target), tag.message.split("\n", 1)[0]))
        elif commit_id is not None:
            lines.append((name, short_id(commit_id), decode_commit(load(Kind.COMMIT, commit_id)).summary))
        else:
            lines.append((name, short_id(ref.target), f"({ref.kind.word})"))
    output.document({"tags": rows})
    lines = [(clean(name), target, summary) for name, target, summary in lines]
    width = max((len(name) for name, _, _ in lines), default=0)
    for name, target, summary in lines:
        output.write(f"{output.style(name.ljust(width), 'yellow')}  {target}  {clean(summary)}")


def _create(context: Context, options: Namespace) -> None:
    from muse.cli.revisions import resolve
    from muse.cli.signing import sign_if_wanted
    from muse.objects.commit import Tag, encode_tag
    from muse.objects.ids import Kind, format_id, short_id

    if len(options.names) > 2:
        raise UsageError(
            "bad-arguments", "a tag has one name and one revision", hint="muse tag NAME [REVISION]"
        )
    name, *revision = options.names
    repository, output = context.repository, context.output
    commit_id = resolve(context, revision[0] if revision else "HEAD")
    existing = repository.refs.get(f"tags/{name}")
    if existing is not None and not options.force:
        raise Conflict("already-exists", f'there is a tag "{name}" already', hint="-f replaces it")
    if options.sign and not options.message:
        raise UsageError(
            "bad-arguments", "only an annotated tag is signed", hint=f'muse tag {name} --sign -m "..."'
        )
    with repository.transaction(context.operation) as transaction:
        kind, target = Kind.COMMIT, commit_id
        if options.message:
            message = "\n\n".join(part.strip("\n") for part in options.message) + "\n"
            tagger = context.person("COMMITTER", options.date)
            tag = Tag(commit_id, Kind.COMMIT, name, tagger, message)
            kind, target = Kind.TAG, b""
            target = transaction.put(Kind.TAG, encode_tag(sign_if_wanted(context, tag, options.sign)))
        transaction.set_ref(f"tags/{name}", target, existing.target if existing else None, kind)
    output.say(f'tag "{name}" at {short_id(commit_id)}')
    output.document(
        {"name": name, "id": format_id(target), "kind": kind.word, "commit": format_id(commit_id)}
    )


def _delete(context: Context, options: Namespace) -> None:
    from muse.objects.ids import format_id, short_id

    if not options.names:
        raise UsageError("bad-arguments", "which tag", hint="muse tag -d NAME")
    repository, output = context.repository, context.output
    refs: list[tuple[str, Ref]] = []
    for name in options.names:
        ref = repository.refs.get(f"tags/{name}")
        if ref is None:
            raise NotFound("unknown-tag", f'there is no tag "{name}"', hint="muse tag lists them")
        refs.append((name, ref))
    with repository.transaction(context.operation) as transaction:
        for _, ref in refs:
            transaction.set_ref(ref.name, None, ref.target, ref.kind)
    for name, ref in refs:
        output.say(f'deleted tag "{name}", which was at {short_id(ref.target)}')
    output.document({"deleted": [{"name": name, "id": format_id(ref.target)} for name, ref in refs]})
