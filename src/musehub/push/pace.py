"""How many rows one transaction records: as many as a quick database takes in a twentieth of a second."""

from __future__ import annotations

MAX_ROWS = 2_000
"""2,000 commits are recorded in about 30 ms on SQLite, and in 60 ms on PostgreSQL."""
MIN_ROWS = 500
"""Fewer hardly shorten a transaction that waits for locks or for the disk."""
FIRST_ROWS = 1_000
SLOW_S = 0.1
QUICK_S = 0.04


class Pace:
    """Of one process: what one push learned of its database holds for the next."""

    def __init__(self) -> None:
        self.rows = FIRST_ROWS

    def note(self, rows: int, held_s: float) -> None:
        """Say how long a transaction with so many rows took: a longer one holds up everybody else."""
        if held_s > SLOW_S:
            self.rows = max(MIN_ROWS, self.rows // 2)
        elif held_s < QUICK_S and rows >= self.rows // 2:
            self.rows = min(MAX_ROWS, self.rows * 2)
