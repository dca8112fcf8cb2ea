"""Tables of a run in Markdown, padded for terminals; and the section of a document that holds them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.charts import CHARTS
from benchmarks.goals import GOALS, Goal, Verdict, find_ratios, judge
from benchmarks.measure import Row
from benchmarks.scenarios import STEPS

BEGIN = "<!-- written by `python -m benchmarks --write`: begin -->"
END = "<!-- written by `python -m benchmarks --write`: end -->"
SCENARIOS = ("build all", "build", "import", "bytes of a push", *STEPS, "change", "status")
PEERS = ("git", "git, packed", "git, loose", "git lfs", "copy + SHA-256", "cp", "raw PUT")


def format_goals(rows: list[Row]) -> str:
    """The table of goals; what was not measured says so."""
    lines = []
    met = known = 0
    for goal in GOALS:
        verdicts = judge(goal, rows)
        for verdict in verdicts:
            lines.append(_goal_line(goal, verdict))
            met += verdict.met
            known += 1
        measured = {verdict.history for verdict in verdicts}
        if goal.histories:
            missing = [history for history in goal.histories if history not in measured]
        else:
            missing = [] if verdicts else [""]
        lines += [
            [goal.what, history, "", "", "", "", "", _show_limit(goal, ""), "not measured"]
            for history in missing
        ]
    heads = ("goal", "history", "ours", "peer", "ratio or figure", "spread", "CPU ratio", "goal is", "met")
    return f"{_table(heads, lines)}\n\n{met} of {known} met."


def _goal_line(goal: Goal, verdict: Verdict) -> list[str]:
    peer = "" if verdict.theirs is None else f"{verdict.peer}: {_show(verdict.theirs, goal.unit)}"
    unit = "" if verdict.theirs is not None else goal.unit
    spread = f"{_show(verdict.low, unit)} to {_show(verdict.high, unit)}" if verdict.rounds > 1 else "once"
    return [
        goal.what,
        verdict.history,
        _show(verdict.ours, goal.unit),
        peer,
        _show(verdict.value, unit),
        spread,
        "" if verdict.cpu is None else f"{verdict.cpu:.2f}",
        _show_limit(goal, unit),
        "yes" if verdict.met else "**no**",
    ]


def _show_limit(goal: Goal, unit: str) -> str:
    number = f"{goal.limit:,.0f}" if goal.limit >= 10 else f"{goal.limit:g}"
    return f"≤ {number} {unit}".rstrip()


def _show(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value:.3f} s" if value < 1 else f"{value:.2f} s"
    if unit == "":
        return f"{value:.2f}" if value % 1 else f"{value:g}"
    return f"{value:,.0f} {unit}"


def format_home(rows: list[Row], home: str) -> str:
    """Every scenario of every history: medians, and ratios round by round."""
    some = [row for row in rows if row.home == home and row.history != "GROWTH"]
    peers = [peer for peer in PEERS if any(row.system == peer for row in some)]
    lines = []
    for history in dict.fromkeys(row.history for row in some):
        for scenario in SCENARIOS:
            here = [row for row in some if (row.history, row.scenario) == (history, scenario)]
            mine = [row for row in here if row.system == "muse"]
            if not mine:
                continue
            line = [history, scenario, f"{statistics.median(row.wall_s for row in mine):.3f}"]
            line += [_show_median(mine, name) for name in ("client_cpu_s", "server_cpu_s")]
            for peer in peers:
                theirs = [row for row in here if row.system == peer and row.wall_s]
                line.append(_show_peer(mine, theirs))
            line += [_show_median(mine, name) for name in ("requests", "bytes", "statements", "store_calls")]
            line += [_show_worst(mine, name) for name in ("client_peak_mib", "server_peak_mib")]
            lines.append(line)
    heads = ["history", "scenario", "wall", "client CPU", "hub CPU", *peers]
    heads += ["requests", "bytes", "SQL", "store calls", "client MiB", "hub MiB"]
    return _table(heads, lines)


def format_growth(rows: list[Row], home: str) -> str:
    """One line for each size."""
    some = [row for row in rows if (row.history, row.home) == ("GROWTH", home)]
    lines = []
    for size in dict.fromkeys(row.round for row in some if row.round):
        here = {name: [] for name in ("growth push", "nothing new", "one file")}  # type: dict[str, list[Row]]
        for row in some:
            if row.round == size:
                here[row.scenario].append(row)
        line = [
            f"{size:,}",
            *(_show_median(here["growth push"], name) for name in ("objects", "us_per_object")),
        ]
        for scenario in ("nothing new", "one file"):
            line.append(f"{statistics.median(row.wall_s for row in here[scenario]):.3f}")
            line += [_show_median(here[scenario], name) for name in ("requests", "statements", "bytes")]
        line += [
            f"{max(row.details[name] for found in here.values() for row in found):.0f}"
            for name in ("client_peak_mib", "server_peak_mib")
        ]
        lines.append(line)
    heads = ["objects there", "pushed", "µs each", "nothing new", "requests", "SQL", "bytes"]
    heads += ["one file", "requests", "SQL", "bytes", "client MiB", "hub MiB"]
    return _table(heads, lines)


def _show_median(rows: list[Row], name: str) -> str:
    values = [row.details[name] for row in rows if row.details.get(name) is not None]
    if not values:
        return ""
    value = statistics.median(values)
    return f"{value:.2f}" if name.endswith("_s") else f"{value:,.0f}"


def _show_worst(rows: list[Row], name: str) -> str:
    values = [row.details[name] for row in rows if row.details.get(name) is not None]
    return f"{max(values):.0f}{' !' if max(values) > 256 else ''}" if values else ""


def _show_peer(mine: list[Row], theirs: list[Row]) -> str:
    if not theirs:
        return ""
    ratios = find_ratios(mine, theirs)
    spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
    return f"{statistics.median(row.wall_s for row in theirs):.3f}, {statistics.median(ratios):.2f}{spread}"


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Columns without anything are left out."""
    lines = list(lines)
    kept = [n for n in range(len(heads)) if any(line[n] for line in lines)]
    cells = [[heads[n] for n in kept], *([line[n] for n in kept] for line in lines)]
    widths = [max(len(line[n]) for line in cells) for n in range(len(kept))]
    shown = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in cells
    ]
    shown.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(shown)


def format_report(document: dict[str, Any], charts: Path | None = None) -> str:
    """The whole report; `charts` is the folder of the charts, beside the document."""
    rows: list[Row] = document["rows"]
    machine = document["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    seconds = sum(part["wall_s"] for part in document["parts"].values())
    notes = f"{document['notes']}. " if document["notes"] else ""
    parts = [
        f"`{document['command']}` at {document['at'].replace('T', ' ')}, commit `{document['commit']}`. "
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}; data in a {machine['data_in']}; load before the run "
        f"{machine['load_before']:.1f}. Measured in {seconds / 60:.0f} minutes. {notes}Versions: {versions}.",
        "### Goals",
        format_goals(rows),
    ]
    if document["failures"]:
        parts += ["### What failed", "\n".join(f"- {failure}" for failure in document["failures"])]
    for home in dict.fromkeys(row.home for row in rows):
        if any(row.home == home and row.history != "GROWTH" for row in rows):
            parts += [
                f"### Everything measured, {home}",
                "Seconds; medians, peaks the highest. A peer's cell: its seconds, our ratio, its spread.",
                format_home(rows, home),
            ]
    for home in dict.fromkeys(row.home for row in rows if row.history == "GROWTH"):
        parts += [f"### Growth, {home}", format_growth(rows, home)]
    drawn = sorted(path.name for path in charts.glob("*.svg")) if charts else []
    if charts and drawn:
        parts += ["### Charts", *(f"![{CHARTS[name]}]({charts.name}/{name})" for name in drawn)]
    return "\n\n".join(parts)


def write_section(path: Path, text: str) -> None:
    """Put the report between the markers of a document."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"{path} lacks the markers:\n{BEGIN}\n{END}")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
