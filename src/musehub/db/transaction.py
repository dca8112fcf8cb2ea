"""What database work costs: statements, transactions, time held and time waited, per task.

A push opens `with metered() as meter:`; everything that this task and the tasks it starts do in the
database is then added to `meter`, without passing anything along.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class TransactionRecord(NamedTuple):
    """One finished transaction; `held_s` is from having the connection to giving it back."""

    name: str
    writes: bool
    statements: int
    waited_s: float
    held_s: float
    committed: bool


class Meter:
    """Sums over the transactions of one piece of work."""

    __slots__ = (
        "held_s",
        "longest_transaction_name",
        "longest_transaction_s",
        "statements",
        "transactions",
        "waited_s",
    )

    def __init__(self) -> None:
        self.statements = 0
        self.transactions = 0
        self.held_s = 0.0
        self.waited_s = 0.0
        self.longest_transaction_s = 0.0
        self.longest_transaction_name = ""

    def add(self, record: TransactionRecord) -> None:
        self.statements += record.statements
        self.transactions += 1
        self.held_s += record.held_s
        self.waited_s += record.waited_s
        if record.held_s > self.longest_transaction_s:
            self.longest_transaction_s = record.held_s
            self.longest_transaction_name = record.name


_meters: ContextVar[tuple[Meter, ...]] = ContextVar("meters", default=())


@contextmanager
def metered() -> Iterator[Meter]:
    """Collect what database work costs inside this block; blocks may be nested."""
    meter = Meter()
    reset = _meters.set((*_meters.get(), meter))
    try:
        yield meter
    finally:
        _meters.reset(reset)


def report(record: TransactionRecord) -> None:
    """Add a finished transaction to every meter of the current task."""
    for meter in _meters.get():
        meter.add(record)
