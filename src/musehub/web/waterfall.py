"""The timeline of a push as a picture: what took how long, and whether all of it is accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from musehub.web.wording import format_duration, format_share

WIDTH = 1000
"""The picture is drawn on a scale of this many units; the page stretches it."""

_MEANINGS = {
    "authenticate": "who is asking",
    "wait for client": "the client was computing, or its bytes were travelling",
    "decode": "inflating and hashing what arrived",
    "closure": "checking that everything named is there",
    "record": "writing rows in short transactions",
    "store": "the object store was writing or reading",
    "check heads": "asking where the branches are",
    "finalise": "moving the branches, in one transaction",
    "other": "everything between the phases",
}


class Bar(NamedTuple):
    """One phase. `x` and `width` are where it is drawn, `number` chooses its colour."""

    name: str
    meaning: str
    start_s: float
    duration_s: float
    times: int | None
    x: float
    width: float
    number: int


class Waterfall(NamedTuple):
    bars: list[Bar]
    whole_s: float
    sum_s: float
    ticks: list[float]
    """Seconds at the lines across the picture; the last is the end of its scale."""

    @property
    def is_complete(self) -> bool:
        """Whether the phases account for the whole, up to rounding."""
        return abs(self.whole_s - self.sum_s) <= max(0.001, 0.001 * self.whole_s)

    @property
    def gap_text(self) -> str:
        """What is wrong when they do not."""
        gap_s = self.whole_s - self.sum_s
        share = format_share(abs(gap_s), self.whole_s)
        if gap_s > 0:
            return f"{format_duration(gap_s)} ({share}) are in no phase."
        return f"The phases overlap by {format_duration(-gap_s)} ({share})."


def draw_waterfall(phases: Sequence[Mapping[str, Any]], whole_s: float) -> Waterfall:
    """Lay the phases out one after the other, in the order given; "other" comes last.

    Phases interleave many times in a push, so what is recorded of each is its total: a bar begins
    where the ones before it end, and the last ends where the whole does.
    """
    phases = sorted(phases, key=lambda phase: phase["name"] == "other")
    durations = [max(0.0, float(phase["s"])) for phase in phases]
    sum_s = sum(durations)
    scale_s = max(whole_s, sum_s) or 1.0
    bars = []
    start_s = 0.0
    for number, (phase, duration_s) in enumerate(zip(phases, durations, strict=True)):
        name = str(phase["name"])
        count = phase.get("count")
        bars.append(
            Bar(
                name,
                _MEANINGS.get(name, ""),
                start_s,
                duration_s,
                int(count) if count else None,
                round(WIDTH * start_s / scale_s, 2),
                # Two units are about a pixel on a phone: nothing that happened is invisible.
                round(max(WIDTH * duration_s / scale_s, 2.0 if duration_s else 0.0), 2),
                number % 8,
            )
        )
        start_s += duration_s
    return Waterfall(bars, whole_s, sum_s, [scale_s * part / 4 for part in range(5)])
