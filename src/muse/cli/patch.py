"""Differences between two versions of files: unified patches, statistics, and their JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from muse.cli.output import clean, clean_line, counted, human_size
from muse.history.textdiff import Hunk, compare_lines
from muse.objects.ids import format_id
from muse.objects.tree import CHUNKED_KINDS, SUBMODULE, SYMLINK

if TYPE_CHECKING:
    from muse.cli.output import Output

MAX_TEXT_BYTES = 4 << 20
"""Larger files are compared by size and id alone: neither is ever loaded whole."""
BINARY_PROBE_BYTES = 8000
STAT_WIDTH = 40

KIND_NAMES = {
    "f": "file",
    "x": "executable",
    "c": "chunked-file",
    "k": "chunked-executable",
    "l": "symlink",
    "s": "submodule",
    "d": "directory",
}
_MODES = {"f": "100644", "c": "100644", "x": "100755", "k": "100755", "l": "120000", "s": "160000"}


class Side(NamedTuple):
    """One version of a file; `id` is None for a file of the work tree that was not hashed."""

    kind: str
    id: bytes | None
    size_bytes: int
    read: Callable[[], bytes]


class FileChange(NamedTuple):
    """A file before and after; `old_path` differs from `path` when it was renamed."""

    path: str
    old_path: str
    old: Side | None
    new: Side | None

    @property
    def status(self) -> str:
        if self.old is None:
            return "added"
        if self.new is None:
            return "deleted"
        return "modified" if self.path == self.old_path else "renamed"


class Comparison(NamedTuple):
    """What differs inside a file; `binary` means that it is not shown line by line."""

    binary: bool
    hunks: list[Hunk]
    added_lines: int
    deleted_lines: int


def _is_text(data: bytes) -> bool:
    return b"\0" not in data[:BINARY_PROBE_BYTES]


def _content(side: Side | None) -> bytes | None:
    """Return the text of a side, None when it is too large or not text."""
    if side is None:
        return b""
    if side.kind == SUBMODULE:
        return b"submodule commit " + (side.id or b"")[:20].hex().encode() + b"\n"
    if side.kind in CHUNKED_KINDS or side.size_bytes > MAX_TEXT_BYTES:
        return None
    data = side.read()
    return data if side.kind == SYMLINK or _is_text(data) else None


def _lines(data: bytes) -> list[str]:
    lines = data.decode("utf-8", "backslashreplace").split("\n")
    last = lines.pop()
    lines = [line + "\n" for line in lines]
    return [*lines, last] if last else lines


def compare(change: FileChange) -> Comparison:
    """Compare both versions line by line; reads both when they are small enough."""
    old, new = change.old, change.new
    if old is not None and new is not None and old.id is not None and old.id == new.id:
        return Comparison(False, [], 0, 0)
    before = _content(old)
    after = _content(new) if before is not None else None
    if before is None or after is None:
        return Comparison(True, [], 0, 0)
    return Comparison(False, *compare_lines(_lines(before), _lines(after)))


def _size(side: Side | None) -> str:
    return human_size(side.size_bytes) if side is not None else "nothing"


def patch_lines(change: FileChange, comparison: Comparison, output: Output) -> Iterator[str]:
    """Yield the lines of a patch in the form that `git apply` and `patch` read."""
    bold = "bold"
    old_name, new_name = f"a/{change.old_path}", f"b/{change.path}"
    show = clean if output.color else str
    head = [f"diff --git {old_name} {new_name}"]
    old, new = change.old, change.new
    if old is None and new is not None:
        head.append(f"new file mode {_MODES[new.kind]}")
    elif new is None and old is not None:
        head.append(f"deleted file mode {_MODES[old.kind]}")
    elif old is not None and new is not None and _MODES[old.kind] != _MODES[new.kind]:
        head += [f"old mode {_MODES[old.kind]}", f"new mode {_MODES[new.kind]}"]
    if change.status == "renamed":
        if not comparison.hunks and not comparison.binary:
            head.append("similarity index 100%")
        head += [f"rename from {change.old_path}", f"rename to {change.path}"]
    if comparison.binary:
        names = f"{old_name if old else '/dev/null'} and {new_name if new else '/dev/null'}"
        head.append(f"Binary files {names} differ: {_size(old)}, then {_size(new)}")
    if comparison.hunks:
        head += [f"--- {old_name if old else '/dev/null'}", f"+++ {new_name if new else '/dev/null'}"]
    for text in head:
        yield output.style(show(text), bold)
    for hunk in comparison.hunks:
        yield output.style(hunk.header, "cyan")
        for line in hunk.lines:
            text = line.mark + line.text.removesuffix("\n")
            color = {"+": "green", "-": "red"}.get(line.mark)
            yield output.style(show(text), color) if color else show(text)
            if not line.text.endswith("\n"):
                yield "\\ No newline at end of file"


def status_lines(changes: list[FileChange], output: Output) -> Iterator[str]:
    """Yield `M  path` lines."""
    colors = {"added": "green", "deleted": "red", "modified": "yellow", "renamed": "cyan"}
    for change in changes:
        mark = output.style(change.status[0].upper(), colors[change.status])
        yield f"{mark}  {_name(change)}"


def _name(change: FileChange) -> str:
    if change.status == "renamed":
        return f"{clean_line(change.old_path)} -> {clean_line(change.path)}"
    return clean_line(change.path)


def stat_lines(pairs: list[tuple[FileChange, Comparison]], output: Output) -> Iterator[str]:
    """Yield one line per file with its changed lines as a bar, and a line of totals."""
    if not pairs:
        return
    names = [_name(change) for change, _ in pairs]
    width = min(max(map(len, names)), 60)
    largest = max((c.added_lines + c.deleted_lines for _, c in pairs), default=0)
    digits = len(str(largest))
    for name, (change, comparison) in zip(names, pairs, strict=True):
        shown = name if len(name) <= width else "…" + name[1 - width :]
        if comparison.binary:
            what = f"{'':>{max(digits - 1, 0)}}- {_size(change.old)} -> {_size(change.new)}"
        else:
            total = comparison.added_lines + comparison.deleted_lines
            plus, minus = comparison.added_lines, comparison.deleted_lines
            if largest > STAT_WIDTH:
                plus, minus = -(-plus * STAT_WIDTH // largest), -(-minus * STAT_WIDTH // largest)
            bar = output.style("+" * plus, "green") + output.style("-" * minus, "red")
            what = f"{total:>{digits}} {bar}"
        yield f" {shown:<{width}} | {what}".rstrip()
    added = sum(c.added_lines for _, c in pairs)
    deleted = sum(c.deleted_lines for _, c in pairs)
    yield f" {counted(len(pairs), 'file')} changed, {counted(added, 'line')} added, {deleted:,} deleted"


def _side_json(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {
        "kind": KIND_NAMES[side.kind],
        "id": format_id(side.id) if side.id is not None else None,
        "size_bytes": side.size_bytes,
    }


def change_json(change: FileChange, comparison: Comparison | None, patch: str | None) -> dict[str, Any]:
    """The JSON of one changed file; without a comparison only what is known from the trees."""
    value: dict[str, Any] = {
        "path": change.path,
        "old_path": change.old_path if change.old is not None else None,
        "status": change.status,
        "old": _side_json(change.old),
        "new": _side_json(change.new),
    }
    if comparison is not None:
        value["binary"] = comparison.binary
        value["added_lines"] = comparison.added_lines
        value["deleted_lines"] = comparison.deleted_lines
    if patch is not None:
        value["patch"] = patch
    return value


CHANGE_JSON = """{"path": "b.txt", "old_path": "a.txt", "status": "added|modified|deleted|renamed",
 "old": null or {"kind": "file", "id": "sha256:… or null", "size_bytes": 12}, "new": {…},
 "binary": false, "added_lines": 3, "deleted_lines": 1, "patch": "diff --git …"}"""
