"""Progress on stderr: one line, on a terminal only, and only for what takes longer than half a second."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from typing import IO

from muse.cli.output import human_size, is_terminal

SHOWN_AFTER_S = 0.5
DRAWN_EVERY_S = 0.1
BAR_WIDTH = 24
GUESSED_AFTER_S = 3.0
"""The rate of a phase says how long it will still take only when it is a few seconds old."""


class ProgressLine:
    """Draws the last report it got, ten times a second at most; `close` removes the line again."""

    def __init__(
        self, stream: IO[str], clock: Callable[[], float] = time.monotonic, width: int | None = None
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._width = width
        self._started = clock()
        self._drawn_at = -DRAWN_EVERY_S
        self._phase = ""
        self._phase_started = self._started
        self._phase_done = 0
        self._shown = False

    def __call__(self, phase: str, done: int, total: int | None, unit: str) -> None:
        now = self._clock()
        if phase != self._phase:
            self._phase, self._phase_started, self._phase_done = phase, now, done
        if now - self._started < SHOWN_AFTER_S or now - self._drawn_at < DRAWN_EVERY_S:
            return
        self._drawn_at = now
        line = render(phase, done, total, unit, done - self._phase_done, now - self._phase_started)
        self._stream.write("\r" + line[: self._columns() - 1] + "\x1b[K")
        self._stream.flush()
        self._shown = True

    def _columns(self) -> int:
        if self._width is not None:
            return self._width
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80

    def close(self) -> None:
        if self._shown:
            self._shown = False
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def render(phase: str, done: int, total: int | None, unit: str, newly_done: int, elapsed_s: float) -> str:
    """Write one line: phase, bar, percentage, amounts, for bytes the rate, and what time is left."""
    is_bytes = unit == "bytes"
    if total:
        done = min(done, total)  # what is sent twice after a failure is no part of the whole
    amount = human_size(done) if is_bytes else f"{done:,}"
    if total:
        filled = BAR_WIDTH * done // total
        bar = "█" * filled + "░" * (BAR_WIDTH - filled)
        whole = human_size(total) if is_bytes else f"{total:,} {unit}"
        text = f"{phase} {bar} {100 * done // total} %  {amount} of {whole}"
    else:
        text = f"{phase}  {amount}" + ("" if is_bytes else f" {unit}")
    if is_bytes and elapsed_s >= SHOWN_AFTER_S:
        text += f"  {human_size(int(newly_done / elapsed_s))}/s"
    if total and newly_done and elapsed_s >= GUESSED_AFTER_S:
        text += f"  {human_duration((total - done) * elapsed_s / newly_done)} left"
    return text


def human_duration(seconds: float) -> str:
    """Write a time to wait, in its two largest units: `9 s`, `3 min 20 s`, `2 h 5 min`."""
    minutes, rest_s = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest_s} s" if minutes else f"{rest_s} s"


def make_progress(terminal_name: str) -> ProgressLine | None:
    """Return a line on stderr when that is a terminal that can redraw one; its name is what TERM says."""
    if terminal_name == "dumb" or not is_terminal(sys.stderr):
        return None
    return ProgressLine(sys.stderr)
