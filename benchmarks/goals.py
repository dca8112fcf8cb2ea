"""The project's goals as data, and what rows of measurements say about them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.measure import Row
from benchmarks.servers import EMBEDDED, SERVERS


class Goal(NamedTuple):
    """One line of the table: a figure of ours, alone or divided by a peer's, is at most `limit`.

    `histories`: a verdict for each; none: the worst of all. `peers`: the first that was measured counts.
    `home` empty: the worst of both. A figure without a peer is the worst of all rounds.
    """

    what: str
    scenario: str
    limit: float
    histories: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    figure: str = "wall_s"
    unit: str = "s"
    home: str = EMBEDDED


LFS = ("git lfs", "copy + SHA-256")
GOALS = (
    Goal("first push, beside Git packed", "first push", 0.8, ("SEED", "L"), ("git, packed",)),
    Goal("first push, beside Git loose", "first push", 0.15, ("SEED", "L"), ("git, loose",)),
    Goal(
        "first push, beside presigned PUTs of 16 MB", "first push", 1.3, ("SEED",), ("raw PUT",), home=SERVERS
    ),
    Goal("first push, beside Git packed", "first push", 1.0, ("XL",), ("git, packed",)),
    Goal("clone, beside Git", "clone", 0.8, ("SEED", "L", "XL"), ("git, packed",)),
    Goal("nothing new, beside Git", "nothing new", 4, ("SEED", "L", "XL"), ("git, packed",)),
    Goal("one more commit, beside Git", "one more commit", 4, ("SEED", "L", "XL"), ("git, packed",)),
    Goal("requests for nothing new", "nothing new", 1, figure="requests", unit="", home=""),
    Goal("requests for one more commit", "one more commit", 2, figure="requests", unit="", home=""),
    Goal(
        "different costs of nothing new, all sizes",
        "nothing new, all sizes",
        1,
        ("GROWTH",),
        figure="different_counts",
        unit="",
        home="",
    ),
    Goal(
        "different costs of one file, all sizes",
        "one file, all sizes",
        1,
        ("GROWTH",),
        figure="different_counts",
        unit="",
        home="",
    ),
    Goal("building, beside git add and commit", "build", 0.5, ("L", "XL"), ("git",)),
    Goal("10 of 100,000 files changed: sent", "change", 100_000, ("FLAT",), figure="bytes", unit="B"),
    Goal("first push, beside Git LFS on disk", "first push", 1.2, ("BIG",), LFS),
    Goal("clone, beside Git LFS on disk", "clone", 0.5, ("BIG",), LFS),
    Goal("1 KB inserted in 300 MB: sent", "change", 4_000_000, ("BIG",), figure="bytes", unit="B"),
    Goal(
        "sent, beside Git's pack",
        "bytes of a push",
        1.5,
        ("SOURCE",),
        ("git, packed",),
        figure="bytes",
        unit="B",
    ),
    Goal("import, beside fast-export and fast-import", "import", 3, ("SOURCE",), ("git, packed",)),
    Goal("finalising transaction", "first push", 100, ("CHAIN",), figure="finalise_ms", unit="ms", home=""),
    Goal("longest transaction of any push", "", 500, figure="longest_transaction_ms", unit="ms", home=""),
    Goal("peak memory of any client", "", 256, figure="client_peak_mib", unit="MiB", home=""),
    Goal("peak memory of the hub", "", 256, figure="server_peak_mib", unit="MiB", home=""),
    Goal(
        "growth, slope over all sizes",
        "slope, all sizes",
        1.05,
        ("GROWTH",),
        figure="slope",
        unit="",
        home="",
    ),
    Goal(
        "growth, slope from 10,000 objects on",
        "slope, large",
        1.05,
        ("GROWTH",),
        figure="slope",
        unit="",
        home="",
    ),
    Goal("status of 10,000 clean files, beside Git", "status", 4, ("FILES",), ("git",)),
)


class Verdict(NamedTuple):
    """What was measured of a goal: `value` is the ratio or the figure itself, with its spread.

    `cpu` is the ratio of processor seconds, client and server together, where both are known: a busy machine
    changes it less.
    """

    goal: Goal
    history: str
    ours: float
    peer: str
    theirs: float | None
    value: float
    low: float
    high: float
    rounds: int
    cpu: float | None = None

    @property
    def met(self) -> bool:
        return self.value <= self.goal.limit


def judge(goal: Goal, rows: Iterable[Row]) -> list[Verdict]:
    """Return a verdict for each history that was measured."""
    wanted = [
        row
        for row in rows
        if (not goal.home or row.home == goal.home)
        and (not goal.scenario or row.scenario == goal.scenario)
        and (not goal.histories or row.history in goal.histories)
        and _figure(row, goal) is not None
    ]
    verdicts = []
    for history in goal.histories or ("",):
        some = [row for row in wanted if not history or row.history == history]
        mine = [row for row in some if row.system == "muse"]
        if not mine:
            continue
        if not goal.peers:
            values = [_get_figure(row, goal) for row in mine]
            worst = max(mine, key=lambda row: _get_figure(row, goal))
            where = history or f"{worst.history} {worst.scenario}"
            top = max(values)
            verdicts.append(Verdict(goal, where, top, "", None, top, min(values), top, len(values)))
            continue
        peer = next((name for name in goal.peers if any(row.system == name for row in some)), None)
        if peer is not None:
            theirs = [row for row in some if row.system == peer]
            verdicts.append(_compare(goal, history, mine, peer, theirs))
    return verdicts


def find_ratios(mine: Iterable[Row], theirs: Iterable[Row], figure: str = "wall_s") -> list[float]:
    """Divide ours by the peer's, round by round."""
    goal = Goal("", "", 0, figure=figure)
    others = {row.round: _get_figure(row, goal) for row in theirs}
    return [_get_figure(row, goal) / others[row.round] for row in mine if others.get(row.round)]


def _compare(goal: Goal, history: str, mine: list[Row], peer: str, theirs: list[Row]) -> Verdict:
    ratios = find_ratios(mine, theirs, goal.figure)
    return Verdict(
        goal,
        history,
        statistics.median(_get_figure(row, goal) for row in mine),
        peer,
        statistics.median(_get_figure(row, goal) for row in theirs),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        len(ratios),
        _compare_cpu(mine, theirs) if goal.figure == "wall_s" else None,
    )


def _compare_cpu(mine: list[Row], theirs: list[Row]) -> float | None:
    medians = []
    for rows in (mine, theirs):
        known = [row.details for row in rows if "client_cpu_s" in row.details]
        if not known:
            return None
        medians.append(statistics.median(one["client_cpu_s"] + one.get("server_cpu_s", 0.0) for one in known))
    return medians[0] / medians[1] if medians[1] else None


def _figure(row: Row, goal: Goal) -> float | None:
    return row.wall_s if goal.figure == "wall_s" else row.details.get(goal.figure)


def _get_figure(row: Row, goal: Goal) -> float:
    found = _figure(row, goal)
    assert found is not None
    return found
