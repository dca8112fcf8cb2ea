"""How far something is: `progress(phase, done, total, unit)`; the command line draws it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int | None, str], None]


def silent(phase: str, done: int, total: int | None, unit: str) -> None:
    """Draw nothing."""
