"""Counters, gauges and histograms of one process, and their text for Prometheus.

A page of code instead of a library: a hub has three dozen metrics, exposes them per process, and wants no
global registry that several hubs in one process would share.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
MAX_SERIES = 1_000
"""Of one metric; further combinations of labels are counted under `other`."""

Labels = tuple[str, ...]


class Metric(ABC):
    """A name, what it means, and a value for each combination of its labels."""

    type = ""

    def __init__(self, name: str, meaning: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.meaning = meaning
        self.labels = tuple(labels)

    def render(self) -> list[str]:
        head = [f"# HELP {self.name} {self.meaning}", f"# TYPE {self.name} {self.type}"]
        return head + self.samples()

    @abstractmethod
    def samples(self) -> list[str]:
        """One line for each combination of labels."""

    def _place(self, known: object, values: Labels) -> Labels:
        assert len(values) == len(self.labels), f"{self.name} has the labels {self.labels}"
        if values in known or len(known) < MAX_SERIES:  # type: ignore[operator, arg-type]
            return values
        return ("other",) * len(values)


class Counter(Metric):
    """Only grows."""

    type = "counter"

    def __init__(self, name: str, meaning: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, meaning, labels)
        self._values: dict[Labels, float] = {} if labels else {(): 0.0}

    def add(self, amount: float, *labels: str) -> None:
        place = self._place(self._values, labels)
        self._values[place] = self._values.get(place, 0.0) + amount

    def samples(self) -> list[str]:
        return [_line(self.name, self.labels, labels, value) for labels, value in self._values.items()]


class Gauge(Metric):
    """Asked when the metrics are read; None leaves it out."""

    type = "gauge"

    def __init__(self, name: str, meaning: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, meaning, labels)
        self.read: Callable[[], float | None] = lambda: None
        self._values: dict[Labels, float] = {}

    def set(self, value: float, *labels: str) -> None:
        self._values[self._place(self._values, labels)] = value

    def forget(self) -> None:
        self._values.clear()

    def samples(self) -> list[str]:
        value = self.read()
        values = self._values if value is None else {**self._values, (): value}
        return [_line(self.name, self.labels, labels, number) for labels, number in values.items()]


class Histogram(Metric):
    """Counts observations by size, with their sum."""

    type = "histogram"

    def __init__(
        self, name: str, meaning: str, labels: Sequence[str] = (), bounds: Sequence[float] = SECONDS
    ) -> None:
        super().__init__(name, meaning, labels)
        self._bounds = tuple(bounds)
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, value: float, *labels: str) -> None:
        place = self._place(self._counts, labels)
        counts = self._counts.setdefault(place, [0] * (len(self._bounds) + 1))
        counts[bisect_left(self._bounds, value)] += 1
        self._sums[place] = self._sums.get(place, 0.0) + value

    def samples(self) -> list[str]:
        lines = []
        names = (*self.labels, "le")
        for labels, counts in self._counts.items():
            below = 0
            for bound, count in zip((*map(_number, self._bounds), "+Inf"), counts, strict=True):
                below += count
                lines.append(_line(f"{self.name}_bucket", names, (*labels, bound), below))
            lines.append(_line(f"{self.name}_sum", self.labels, labels, self._sums[labels]))
            lines.append(_line(f"{self.name}_count", self.labels, labels, below))
        return lines


def render(metrics: Sequence[Metric]) -> str:
    """The text exposition format, version 0.0.4."""
    return "\n".join(line for metric in metrics for line in metric.render()) + "\n"


def _line(name: str, names: Labels, values: Labels, number: float) -> str:
    pairs = ",".join(f'{key}="{_escape(value)}"' for key, value in zip(names, values, strict=True))
    return f"{name}{{{pairs}}} {_number(number)}" if pairs else f"{name} {_number(number)}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
