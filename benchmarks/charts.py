"""Charts as SVG, written by hand: points and lines on logarithmic axes, and the phases of one push."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import Row
from benchmarks.scenarios import LAST_STREAM
from benchmarks.servers import EMBEDDED

CHARTS = {
    "push.svg": "Seconds of a first push against objects",
    "growth.svg": "Microseconds for each object while a repository grows",
    "small.svg": "Seconds of a small push, whatever is there already",
    "waterfall.svg": "Phases of one first push",
}
COLOURS = ("#0b6e99", "#d9730d", "#6940a5", "#448361", "#9f2f2f", "#787774")
WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 46, 50


class Series(NamedTuple):
    name: str
    points: list[tuple[float, float]]
    joined: bool = True


class Drawing:
    """Elements of one picture on white ground, readable on any page."""

    def __init__(self, title: str, height: int = HEIGHT) -> None:
        self._height = height
        self._parts = [f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>']
        self.text(LEFT, 24, title, size=15)

    def text(
        self, x: float, y: float, text: str, *, size: int = 11, anchor: str = "start", turn: int = 0
    ) -> None:
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turned}'
        self._parts.append(f'<text {place} font-size="{size}">{escape(text)}</text>')

    def line(self, points: Iterable[tuple[float, float]], colour: str, width: float = 1) -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
        )

    def dot(self, x: float, y: float, colour: str) -> None:
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')

    def bar(self, x: float, y: float, width: float, height: float, colour: str, title: str) -> None:
        place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height:.1f}"'
        self._parts.append(f'<rect {place} fill="{colour}"><title>{escape(title)}</title></rect>')

    def save(self, path: Path) -> None:
        body = "\n".join(self._parts)
        path.write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self._height}" width="{WIDTH}" '
            f'height="{self._height}" font-family="sans-serif" fill="#222222">\n{body}\n</svg>\n'
        )


def draw_log_log(title: str, x_name: str, y_name: str, series: list[Series]) -> Drawing:
    """Lines on axes that both go by powers of ten."""
    drawing = Drawing(title)
    points = [point for one in series for point in one.points]
    x_low, x_high = _decades(x for x, _ in points)
    y_low, y_high = _decades(y for _, y in points)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - x_low) / (x_high - x_low)
        up = (math.log10(y) - y_low) / (y_high - y_low)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    for power in range(x_low, x_high + 1):
        x, bottom = place(10.0**power, 10.0**y_low)
        drawing.line([(x, bottom), place(10.0**power, 10.0**y_high)], "#e3e2e0")
        drawing.text(x, bottom + 16, f"{10**power:,}" if power >= 0 else f"{10.0**power:g}", anchor="middle")
    for power in range(y_low, y_high + 1):
        left, y = place(10.0**x_low, 10.0**power)
        drawing.line([(left, y), place(10.0**x_high, 10.0**power)], "#e3e2e0")
        drawing.text(left - 6, y + 4, f"{10.0**power:g}", anchor="end")
    drawing.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_name, anchor="middle")
    drawing.text(18, (TOP + HEIGHT - BOTTOM) / 2, y_name, anchor="middle", turn=-90)
    for number, one in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        placed = [place(x, y) for x, y in sorted(one.points)]
        if one.joined:
            drawing.line(placed, colour, 1.5)
        for x, y in placed:
            drawing.dot(x, y, colour)
        drawing.dot(WIDTH - RIGHT + 18, TOP + 10 + 20 * number, colour)
        drawing.text(WIDTH - RIGHT + 28, TOP + 14 + 20 * number, one.name)
    return drawing


def _decades(values: Iterable[float]) -> tuple[int, int]:
    logs = [math.log10(value) for value in values]
    low, high = math.floor(min(logs)), math.ceil(max(logs))
    return low, max(high, low + 1)


def draw_waterfall(row: Row) -> Drawing:
    """The client's phases one after the other; below them the hub's, which end when the client ends."""
    lanes = {"client": [(phase["name"], phase["seconds"]) for phase in row.details["phases"]]}
    for lane, phases in row.details["hub_phases"].items():
        if phases or lane == LAST_STREAM:
            lanes[lane] = [(phase["name"], phase["s"]) for phase in phases if phase["s"] > 0]
    starts = dict.fromkeys(lanes, _start_of_upload(lanes["client"]))
    starts["client"] = 0.0
    client_s = sum(seconds for _, seconds in lanes["client"])
    last_stream_s = sum(seconds for _, seconds in lanes[LAST_STREAM])
    starts[LAST_STREAM] = max(0.0, client_s - last_stream_s)
    whole_s = max(starts[lane] + sum(seconds for _, seconds in phases) for lane, phases in lanes.items())
    height = TOP + 18 * sum(len(phases) + 1 for phases in lanes.values()) + BOTTOM
    drawing = Drawing(
        f"One first push of {row.history}, {row.home}: {row.wall_s:.2f} s with the start", height
    )
    scale = (WIDTH - LEFT - RIGHT - 70) / whole_s
    y = float(TOP)
    for number, (lane, phases) in enumerate(lanes.items()):
        drawing.text(8, y + 12, lane, size=12)
        y += 18
        at = starts[lane]
        for name, seconds in phases:
            drawing.text(LEFT + 66, y + 12, name, anchor="end")
            drawing.bar(
                LEFT + 72 + at * scale, y + 2, seconds * scale, 13, COLOURS[number], f"{seconds:.3f} s"
            )
            drawing.text(LEFT + 76 + (at + seconds) * scale, y + 12, f"{seconds:.3f}")
            at += seconds
            y += 18
    note = "Packs and parts are received while others are sent, several at once: their phases are sums."
    drawing.text(LEFT, height - 14, f"Seconds. {note}")
    return drawing


def _start_of_upload(phases: list[tuple[str, float]]) -> float:
    at = 0.0
    for name, seconds in phases:
        if name == "upload":
            return at
        at += seconds
    return 0.0


def write_charts(rows: list[Row], folder: Path) -> None:
    """Write what the rows suffice for."""
    folder.mkdir(parents=True, exist_ok=True)
    pushes = list(_iter_pushes(rows))
    if pushes:
        x_name, y_name = "objects pushed", "seconds"
        draw_log_log(CHARTS["push.svg"], x_name, y_name, pushes).save(folder / "push.svg")
    growth = [
        Series(home, [(row.round, row.details["us_per_object"]) for row in rows if _is_growth(row, home)])
        for home in dict.fromkeys(row.home for row in rows)
    ]
    growth = [series for series in growth if series.points]
    if growth:
        x_name, y_name = "objects in the repository", "µs for each object"
        draw_log_log(CHARTS["growth.svg"], x_name, y_name, growth).save(folder / "growth.svg")
    small = list(_iter_small(rows))
    if small:
        x_name, y_name = "objects in the repository", "seconds"
        draw_log_log(CHARTS["small.svg"], x_name, y_name, small).save(folder / "small.svg")
    firsts = [row for row in rows if (row.scenario, row.system, row.home) == ("first push", "muse", EMBEDDED)]
    for shown in ([row for row in firsts if row.history == name] for name in ("L", "SEED", "M", "S")):
        if shown:
            draw_waterfall(sorted(shown, key=lambda row: row.wall_s)[len(shown) // 2]).save(
                folder / "waterfall.svg"
            )
            break


def _iter_small(rows: list[Row]) -> Iterable[Series]:
    """Medians of nothing new and of one file at each size."""
    found: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        if row.history == "GROWTH" and row.scenario in ("nothing new", "one file"):
            found.setdefault(f"{row.scenario}, {row.home}", {}).setdefault(row.round, []).append(row.wall_s)
    for name, walls in found.items():
        yield Series(name, [(size, statistics.median(some)) for size, some in walls.items()])


def _is_growth(row: Row, home: str) -> bool:
    return (row.scenario, row.home) == ("growth push", home)


def _iter_pushes(rows: list[Row]) -> Iterable[Series]:
    """First pushes of XS to XL and SEED by system, and the growing repository's."""
    grid = ("XS", "S", "M", "L", "XL")
    firsts = [row for row in rows if row.scenario == "first push" and row.home == EMBEDDED]
    objects = {row.history: row.details["objects"] for row in firsts if row.system == "muse"}
    for system in ("muse", "git, packed", "git, loose"):
        walls: dict[str, list[float]] = {}
        for row in firsts:
            if row.system == system and row.history in grid:
                walls.setdefault(row.history, []).append(row.wall_s)
        if walls:
            yield Series(
                f"{system}, XS to XL",
                [(objects[name], statistics.median(found)) for name, found in walls.items()],
            )
    for home in dict.fromkeys(row.home for row in rows):
        some = [(row.details["objects"], row.wall_s) for row in rows if _is_growth(row, home)]
        if some:
            yield Series(f"muse, growing, {'SQLite' if home == EMBEDDED else 'PostgreSQL'}", some)
