"""What the commands print: text for people or one JSON document on stdout, errors on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from subprocess import Popen

    from muse.errors import MuseError

_STYLES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}
_CONTROL |= {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_INVISIBLE = {9: "\\t", 10: "\\n"} | {
    code: f"\\u{code:04x}"
    for code in (*range(0x200B, 0x2010), 0x2028, 0x2029, *range(0x2060, 0x2065), 0xFEFF)
}
"""Harmless in a text, but in a remark on one line they make one name look like another."""


class ClosedPipe(Exception):
    """Whoever read stdout went away."""


class Output:
    """Writes results. `write` is the answer itself, `say` a remark that `--quiet` silences; with `--json`
    both are silent and `document` is the answer.
    """

    def __init__(self, *, json: bool, environment: Mapping[str, str]) -> None:
        self.json = json
        self.quiet = False
        self.color = False
        self.paging = False
        self._environment = environment
        self._pager: Popen[str] | None = None
        self._stream: IO[str] = sys.stdout
        reconfigure = getattr(sys.stdout, "reconfigure", None)
        if reconfigure is not None:  # a name that the terminal cannot show must not end the command
            reconfigure(errors="backslashreplace")

    # ---- colours

    def set_color(self, when: str) -> None:
        """`auto` colours on a terminal unless NO_COLOR is set or the terminal is dumb."""
        self.color = not self.json and (
            when == "always" or (when == "auto" and self._wants_color(sys.stdout))
        )
        self.error_color = when == "always" or (when == "auto" and self._wants_color(sys.stderr))

    error_color = False

    def _wants_color(self, stream: IO[str]) -> bool:
        return (
            not self._environment.get("NO_COLOR")
            and self._environment.get("TERM", "dumb") != "dumb"
            and is_terminal(stream)
        )

    def style(self, text: str, *names: str) -> str:
        if not self.color or not text:
            return text
        return f"\x1b[{';'.join(_STYLES[name] for name in names)}m{text}\x1b[m"

    # ---- results

    def write(self, text: str = "", end: str = "\n") -> None:
        """Print a part of the answer, for people."""
        if not self.json:
            self._put(text + end)

    def say(self, text: str) -> None:
        """Print a remark on what was done, for people."""
        if not self.json and not self.quiet:
            self._put(text + "\n")

    def document(self, value: Any) -> None:
        """Print the one JSON document of the command, if it was asked for."""
        if self.json:
            import json

            self._put(json.dumps(value, ensure_ascii=False, indent=2) + "\n")

    def document_stream(self, name: str, items: Iterable[Any], head: dict[str, Any] | None = None) -> None:
        """Print a JSON document `{**head, name: [items]}` without ever holding all of it."""
        import json

        first = json.dumps(head, ensure_ascii=False)[1:-1] + ", " if head else ""
        self._put(f'{{{first}"{name}": [')
        separator = "\n"
        for item in items:
            self._put(separator + json.dumps(item, ensure_ascii=False))
            separator = ",\n"
        self._put("\n]}\n" if separator != "\n" else "]}\n")

    def binary(self, pieces: Iterable[bytes]) -> None:
        """Print bytes as they are."""
        stream = self._stream
        self._guard(stream.flush)
        for piece in pieces:
            self._guard(stream.buffer.write, piece)  # type: ignore[attr-defined]
        self._guard(stream.flush)

    # ---- remarks on stderr

    def warning(self, text: str, hint: str | None = None) -> None:
        self._complain("warning", "yellow", text, hint)

    def error(self, error: MuseError) -> None:
        """Print an error: two lines of text, or with `--json` one JSON document, on stderr."""
        if self.json:
            import json

            sys.stderr.write(json.dumps({"error": error.to_json()}, ensure_ascii=False) + "\n")
        else:
            self._complain(f"error[{error.code}]", "red", error.message, error.hint)

    def _complain(self, label: str, color: str, text: str, hint: str | None) -> None:
        hint_label = "hint:"
        label += ":"
        if self.error_color:
            label = f"\x1b[1;{_STYLES[color]}m{label}\x1b[m"
            hint_label = f"\x1b[1m{hint_label}\x1b[m"
        lines = f"{label} {clean_line(text)}\n"
        if hint:
            lines += f"{hint_label} {clean_line(hint)}\n"
        sys.stderr.write(lines)
        sys.stderr.flush()

    # ---- the stream

    def _guard(self, action: Any, *arguments: Any) -> None:
        try:
            action(*arguments)
        except BrokenPipeError:
            raise ClosedPipe from None

    def _put(self, text: str) -> None:
        self._guard(self._stream.write, text)

    def page(self) -> None:
        """Send what follows through the pager, when a person reads it on a terminal."""
        if self.json or self._pager is not None or not is_terminal(sys.stdout):
            return
        from muse.cli.pager import start_pager

        self._pager = start_pager(self._environment)
        if self._pager is not None and self._pager.stdin is not None:
            self._stream = self._pager.stdin
            self.paging = True

    def close(self) -> None:
        """Flush, and wait until the reader leaves the pager."""
        try:
            self._guard(self._stream.flush)
        finally:
            self._leave_pager()

    def _leave_pager(self) -> None:
        if self._pager is None:
            return
        pager, self._pager = self._pager, None
        self._stream = sys.stdout
        from muse.cli.pager import finish_pager

        finish_pager(pager)

    def abandon_if_broken(self) -> None:
        """After an error: forget what stdout cannot take, for example because its disk is full."""
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            self.abandon()

    def abandon(self) -> None:
        """Forget what is buffered: nobody reads it, and the interpreter must not complain at its end."""
        if self.paging:
            return
        import os

        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (OSError, ValueError):
            pass


def is_terminal(stream: IO[str]) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def clean(text: str) -> str:
    """Make control characters visible, so that no name or message can steer the terminal."""
    return text if text.isprintable() else text.translate(_CONTROL)


def clean_line(text: str) -> str:
    """`clean` for a name on a line of a list, where a line feed would make it look like two."""
    return text if text.isprintable() else clean(text).translate(_INVISIBLE)


def columns(rows: list[list[str]]) -> list[str]:
    """Lay out rows of plain text in columns; the last column is not padded."""
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def human_size(size_bytes: int) -> str:
    """Write a size the way a person reads it: `1.4 MiB`."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size_bytes} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Write `1 file`, `2 files`, `12,345 files`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
