"""Lines of history drawn with text: one column per line of descent.

A column waits for the commit that is next on its line. Columns never shift: one that ended is free for the
next line that begins, so only a commit with a line ending or beginning beside it needs a row of connectors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from muse.cli.output import Output
    from muse.history.walk import Node

_COLORS = ("red", "green", "yellow", "blue", "magenta", "cyan")

# Corner by (comes from above, goes on below, goes left, goes right).
_CORNERS = {
    (True, True, False, True): "├",
    (True, True, True, False): "┤",
    (True, True, True, True): "┼",
    (True, False, False, True): "╰",
    (True, False, True, False): "╯",
    (True, False, True, True): "┴",
    (False, True, False, True): "╭",
    (False, True, True, False): "╮",
    (False, True, True, True): "┬",
}


class Lanes:
    """Draws the commits of `iter_commits`, one after the other."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lanes: list[bytes | None] = []

    def draw(self, node: Node, lines: list[str]) -> list[str]:
        """Return the lines of a commit with the graph on their left, and a row that leads to its parents."""
        column = self._find(node.id)
        rows = [self._row({column: "*"})]
        before = list(self._lanes)
        goes_on = {} if node.parents else {column: " "}
        rows += [self._row(goes_on)] * (len(lines) - 1)
        targets = self._follow(column, node.parents)
        drawn = [f"{row} {line}".rstrip() for row, line in zip(rows, lines, strict=True)]
        if targets:
            drawn.append(self._connect(before, column, targets).rstrip())
        while self._lanes and self._lanes[-1] is None:
            self._lanes.pop()
        return drawn

    def _find(self, commit: bytes) -> int:
        """Return the column that waits for a commit; a free or a new one when none does."""
        if commit in self._lanes:
            return self._lanes.index(commit)
        return self._begin(commit)

    def _begin(self, commit: bytes) -> int:
        for column, lane in enumerate(self._lanes):
            if lane is None:
                self._lanes[column] = commit
                return column
        self._lanes.append(commit)
        return len(self._lanes) - 1

    def _follow(self, column: int, parents: tuple[bytes, ...]) -> list[int]:
        """Let the columns wait for the parents; return the other columns that lines lead to."""
        waiting = {lane: i for i, lane in enumerate(self._lanes) if i != column and lane is not None}
        new = [parent for parent in dict.fromkeys(parents) if parent not in waiting]
        targets = [waiting[parent] for parent in dict.fromkeys(parents) if parent in waiting]
        self._lanes[column] = new[0] if new else None
        targets += [self._begin(parent) for parent in new[1:]]
        return sorted(targets)

    def _row(self, marks: dict[int, str]) -> str:
        cells = ("│" if lane is not None else " " for lane in self._lanes)
        return " ".join(self._paint(i, marks.get(i, cell)) for i, cell in enumerate(cells))

    def _connect(self, before: list[bytes | None], column: int, targets: list[int]) -> str:
        first, last = min(column, targets[0]), max(column, targets[-1])
        row = ""
        for i, lane in enumerate(self._lanes):
            above = i < len(before) and before[i] is not None
            if i == column or i in targets:
                cell = _CORNERS[above, lane is not None, i > first, i < last]
            else:
                cell = "│" if lane is not None else "─" if first < i < last else " "
            row += self._paint(i, cell) + ("─" if first <= i < last else " ")
        return row

    def _paint(self, column: int, cell: str) -> str:
        return cell if cell in "* " else self._output.style(cell, _COLORS[column % len(_COLORS)])
