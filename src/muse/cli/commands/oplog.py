"""`muse oplog`."""

from __future__ import annotations

from argparse import Namespace
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context
    from muse.store.operations import Change, Operation

EXAMPLE = "muse oplog\nmuse oplog -n 3"
JSON = """{"operations": [{"id": 7, "time": "2024-05-01T10:00:00+00:00",
 "command": "muse commit -m bridge", "undoes": null or 6,
 "changes": [{"ref": "heads/main", "old": "sha256:… or null", "new": "sha256:… or null"}]}]}
for HEAD on a branch old and new are the branch's ref, heads/main"""


def configure(parser: Parser) -> None:
    parser.add_argument("-n", "--max-count", metavar="N", type=int, help="show at most N operations")


def run(context: Context, options: Namespace) -> None:
    from muse.cli.dates import format_date, local_offset_min
    from muse.cli.output import clean

    output = context.output
    operations = islice(context.repository.operations.iter(), options.max_count)
    if output.json:
        output.document_stream("operations", map(_operation_json, operations))
        return
    output.page()
    empty = True
    for operation in operations:
        empty = False
        when = format_date(int(operation.time_s), local_offset_min(operation.time_s))
        undoes = f" (undoes {operation.undoes})" if operation.undoes is not None else ""
        output.write(
            f"{output.style(str(operation.id), 'yellow')}  {when}  {clean(operation.command)}{undoes}"
        )
        for change in operation.changes:
            output.write(f"     {change.ref}  {_short(change, old=True)} -> {_short(change, old=False)}")
    if empty:
        output.say("no operations yet")


def value_text(change: Change, old: bool) -> str | None:
    """Return a change's old or new value: an id, for HEAD the ref of a branch, None for nothing."""
    from muse.objects.ids import format_id
    from muse.store.refs import SYMBOLIC

    value, kind = (change.old, change.old_kind) if old else (change.new, change.new_kind)
    if value is None:
        return None
    return value.decode() if kind == SYMBOLIC else format_id(value)


def _short(change: Change, old: bool) -> str:
    text = value_text(change, old)
    if text is None:
        return "nothing"
    return text.removeprefix("sha256:")[:12] if text.startswith("sha256:") else text


def _operation_json(operation: Operation) -> dict[str, Any]:
    from muse.cli.dates import format_iso

    return {
        "id": operation.id,
        "time": format_iso(int(operation.time_s), 0),
        "command": operation.command,
        "undoes": operation.undoes,
        "changes": [
            {"ref": change.ref, "old": value_text(change, True), "new": value_text(change, False)}
            for change in operation.changes
        ],
    }
