"""How much of everything is measured: `make bench`, `make bench-full`, or histories by name."""

from __future__ import annotations

from typing import NamedTuple


class Plan(NamedTuple):
    """Rounds by history; what is not named is not measured.

    `builds`: how many commits `git add` and `git commit` are given, because they slow down with each. `cut`:
    histories of which only so many commits are measured. `brief`: those that are only pushed, without Git.
    """

    command: str
    embedded: dict[str, int] = {}
    loose: dict[str, int] = {}
    builds: dict[str, int] = {}
    cut: dict[str, int] = {}
    brief: tuple[str, ...] = ()
    servers: dict[str, int] = {}
    source: int = 0
    status: int = 0
    growth: int = 0
    growth_on_servers: int = 0

    @property
    def notes(self) -> str:
        """What a reader must know about the figures of this plan."""
        notes = [f"{name} by its first {commits} commits" for name, commits in self.cut.items()]
        notes += [f"{name} built to {commits} commits" for name, commits in self.builds.items()]
        return "; ".join(notes)


QUICK = Plan(
    "make bench",
    embedded={"XS": 1, "S": 1, "M": 1, "L": 2, "SEED": 2, "FLAT": 1, "BIG": 1, "CHAIN": 1, "XL": 1},
    loose={"XS": 1, "S": 1, "M": 1, "L": 1, "SEED": 1},
    cut={"XL": 250},
    brief=("FLAT", "CHAIN"),
    builds={"L": 100, "XL": 30},
    servers={"CHAIN": 1, "SEED": 2},
    source=3,
    status=7,
    growth=30_000,
    growth_on_servers=30_000,
)
FULL = Plan(
    "make bench-full",
    embedded={"XS": 3, "S": 3, "M": 3, "L": 5, "SEED": 5, "FLAT": 2, "BIG": 3, "CHAIN": 3, "XL": 2},
    loose={"XS": 3, "S": 3, "M": 3, "L": 2, "SEED": 2},
    builds={"L": 500, "XL": 200},
    servers={"CHAIN": 3, "SEED": 5, "L": 3},
    source=5,
    status=15,
    growth=1_000_000,
    growth_on_servers=1_000_000,
)
