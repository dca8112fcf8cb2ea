"""A repository that grows by pushes: the cost of each object, of nothing and of one file at each size."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from pathlib import Path

from benchmarks import ours
from benchmarks.measure import Row
from benchmarks.scenarios import MuseSide
from benchmarks.servers import Home
from muse.history.edit import edit_tree
from muse.objects.commit import Commit, Person, encode_commit
from muse.objects.ids import Kind
from muse.objects.tree import FILE, Entry
from muse.store.repository import Repository

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
FILES_PER_COMMIT = 100
OBJECTS_PER_COMMIT = FILES_PER_COMMIT + 4
"""A commit's blobs, the folder that they are in, the one above it, the root and the commit."""
COMMITS_PER_TRANSACTION = 200
SMALL = ("nothing new", "one file")
COUNTS = ("requests", "statements", "store_calls")
"""What a small push must need as often at every size; the median, because a clock adds some now and then."""
REPEAT = 3
"""Small pushes at each size; the median counts."""
LARGE_FROM = 10_000
"""Below this size a push is mostly the start of a process."""


def measure_growth(folder: Path, home: Home, largest: int) -> Iterator[Row]:
    """Rows of history GROWTH, whose rounds are sizes; and the slopes of the growth pushes."""
    work = folder / "growth"
    Repository.init(work).close()
    side = MuseSide(work, home)
    side.begin("growth")
    commits = 0
    costs: list[tuple[int, float]] = []
    counts: dict[str, set[tuple[int, ...]]] = {scenario: set() for scenario in SMALL}
    for size in SIZES:
        if size > largest:
            break
        before, commits = commits, size // OBJECTS_PER_COMMIT
        _grow(work, range(before, commits))
        cost, details = side.measure("growth push")
        costs.append((details["objects"], cost.wall_s))
        details["us_per_object"] = round(cost.wall_s / details["objects"] * 1e6, 1)
        yield Row("GROWTH", "growth push", "muse", home.name, size, cost.wall_s, details)
        for scenario in SMALL:
            found = []
            for number in range(REPEAT):
                if scenario == "one file":
                    ours.commit_files(work, {"d0/e0/one.txt": b"%d %d\n" % (size, number)})
                cost, details = side.measure(scenario)
                found.append(details)
                yield Row("GROWTH", scenario, "muse", home.name, size, cost.wall_s, details)
            counts[scenario].add(
                tuple(statistics.median_low(details[name] for details in found) for name in COUNTS)
            )
    for scenario, different_counts in counts.items():
        different = {"different_counts": len(different_counts)}
        yield Row("GROWTH", f"{scenario}, all sizes", "muse", home.name, 0, 0.0, different)
    for scenario, some in (
        ("slope, all sizes", costs),
        ("slope, large", [one for one in costs if one[0] >= LARGE_FROM]),
    ):
        if len(some) > 1:
            yield Row("GROWTH", scenario, "muse", home.name, 0, 0.0, {"slope": round(fit_slope(some), 3)})


def fit_slope(points: list[tuple[int, float]]) -> float:
    """Slope of the line of least squares through the logarithms: 1 if twice as much takes twice as long."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x = sum(x for x, _ in logs) / len(logs)
    mean_y = sum(y for _, y in logs) / len(logs)
    over = sum((x - mean_x) * (y - mean_y) for x, y in logs)
    return over / sum((x - mean_x) ** 2 for x, _ in logs)


def _grow(work: Path, numbers: range) -> None:
    """Append commits, each with a folder of its own; no folder ever holds more than a hundred entries."""
    with Repository.open(work) as repository:
        head_ref = repository.refs.get("heads/main")
        head = head_ref.target if head_ref is not None else None
        root = repository.graph(head).tree if head is not None else None
        for start in range(numbers.start, numbers.stop, COMMITS_PER_TRANSACTION):
            with repository.transaction("grow") as transaction:
                old = head
                for number in range(start, min(start + COMMITS_PER_TRANSACTION, numbers.stop)):
                    place = f"d{number // 100}/e{number % 100}"
                    changes = {}
                    for index in range(FILES_PER_COMMIT):
                        content = b"%d %d\n" % (number, index)
                        blob = transaction.put(Kind.BLOB, content)
                        changes[f"{place}/f{index}"] = Entry("", FILE, blob, len(content))
                    root = edit_tree(transaction.load, root, changes, transaction.put).id
                    who = Person("bench", "bench@example.org", 1_700_000_000 + number, 0)
                    commit = Commit(root, (head,) if head else (), who, who, f"commit {number}")
                    head = transaction.put(Kind.COMMIT, encode_commit(commit), head)
                transaction.set_ref("heads/main", head, old)
