"""Measure the product beside Git, Git LFS, `cp` and presigned PUTs; print which goals are met.

Ratios of one run mean something; seconds compare within a run only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import document as documents
from benchmarks import git_peer, plans, report
from benchmarks.charts import write_charts
from benchmarks.growth import measure_growth
from benchmarks.histories import HISTORIES
from benchmarks.measure import MEMORY, Row, discard, is_in_memory
from benchmarks.scenarios import measure_build, measure_history, measure_source, measure_status
from benchmarks.servers import embedded, on_servers

MEMORY_NEEDED_BYTES = 12 << 30
"""BIG needs most: work trees, stores and servers of both sides, three rounds of each."""


class Run:
    """One run: parts, each in a fresh folder; a part that fails is noted and the others go on."""

    def __init__(self, place: Path, document: dict[str, Any], json: Path | None) -> None:
        self.rows: list[Row] = document["rows"]
        self._document = document
        self._json = json
        self._place = place
        self._number = 0

    @contextmanager
    def part(self, name: str) -> Iterator[tuple[Path, ExitStack]]:
        """A folder, and a stack for servers that end with this part."""
        started, started_cpu = time.monotonic(), _count_cpu_s()
        self._number += 1
        folder = self._place / str(self._number)
        folder.mkdir(mode=0o755)
        try:
            with ExitStack() as stack:
                yield folder, stack
        except (subprocess.CalledProcessError, OSError, RuntimeError, KeyError, AssertionError) as error:
            said = str(getattr(error, "output", "") or "")
            self._document["failures"].append(f"{name}: {type(error).__name__}")
            print(f"{name} failed: {error!r}\n{said[:2000]}", file=sys.stderr)
        wall_s, cpu_s = time.monotonic() - started, _count_cpu_s() - started_cpu
        self._document["parts"][name] = {"wall_s": round(wall_s, 1), "cpu_s": round(cpu_s, 1)}
        print(f"{name}: {wall_s:.0f} s, CPU {cpu_s:.0f} s", file=sys.stderr, flush=True)
        if self._json:
            documents.write(self._document, self._json)
        discard(folder)


def _count_cpu_s() -> float:
    """Seconds of this process and all that ended below it."""
    return sum(os.times()[:4])


def measure(plan: plans.Plan, run: Run, source: Path | None) -> None:
    for name, commits in plan.builds.items():
        with run.part(f"build {name}") as (folder, _):
            run.rows.extend(measure_build(HISTORIES[name], folder, commits))
    if plan.status:
        with run.part("status") as (folder, stack):
            home = stack.enter_context(embedded(folder / "hub"))
            run.rows.extend(measure_status(folder, home, plan.status))
    if plan.source and source is not None:
        with run.part("real history") as (folder, stack):
            home = stack.enter_context(embedded(folder / "hub"))
            run.rows.extend(measure_source(source, folder, home, plan.source))
    for name, rounds in plan.embedded.items():
        with run.part(name) as (folder, stack):
            home = stack.enter_context(embedded(folder / "hub"))
            server = stack.enter_context(git_peer.serve(folder / "git-root"))
            loose = plan.loose.get(name, 0)
            history = HISTORIES[name]
            if name in plan.cut:
                history = history.cut(plan.cut[name])
            brief = name in plan.brief
            run.rows.extend(measure_history(history, folder, home, server, rounds, loose, brief))
    for name, rounds in plan.servers.items():
        with run.part(f"{name} on servers") as (folder, stack):
            home = stack.enter_context(on_servers(folder / "servers"))
            run.rows.extend(measure_history(HISTORIES[name], folder, home, None, rounds, 0))
    for largest, make in ((plan.growth, embedded), (plan.growth_on_servers, on_servers)):
        if largest:
            with run.part(f"growth {make.__name__}") as (folder, stack):
                home = stack.enter_context(make(folder / "servers"))
                run.rows.extend(measure_growth(folder, home, largest))


def choose_place(wanted: Path | None) -> Path:
    """A new folder in the one given, or in memory if there is enough of it, or on the disk."""
    usable = MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    if wanted is None and usable and shutil.disk_usage(MEMORY).free >= MEMORY_NEEDED_BYTES:
        wanted = MEMORY
    place = Path(tempfile.mkdtemp(prefix="muse-bench-", dir=wanted))
    place.chmod(0o755)  # PostgreSQL runs as somebody else and has its socket in it
    return place


def choose_plan(options: argparse.Namespace) -> plans.Plan:
    if not options.histories:
        return plans.FULL if options.full else plans.QUICK
    rounds = dict.fromkeys(options.histories, options.repeat)
    command = f"python -m benchmarks {' '.join(options.histories)} --repeat {options.repeat}"
    if options.on_servers:
        return plans.Plan(f"{command} --on-servers", servers=rounds)
    return plans.Plan(command, embedded=rounds, loose=rounds if options.loose else {})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "histories", nargs="*", metavar="HISTORY", help=f"only these of {', '.join(HISTORIES)}"
    )
    parser.add_argument("--full", action="store_true", help="more rounds, and growth to a million objects")
    parser.add_argument("--repeat", type=int, default=3, help="rounds of the histories named (3)")
    parser.add_argument("--loose", action="store_true", help="the histories named also beside loose objects")
    parser.add_argument("--on-servers", action="store_true", help="the histories named on PostgreSQL and S3")
    parser.add_argument("--git", type=Path, default=documents.ROOT, help="a real history (this repository)")
    parser.add_argument(
        "--folder", type=Path, help="where to work (default: memory, else a temporary folder)"
    )
    parser.add_argument("--json", type=Path, help="write every measurement here")
    parser.add_argument(
        "--charts", type=Path, help="write charts as SVG into this folder, beside the document"
    )
    parser.add_argument("--write", type=Path, help="write the report between the markers of this document")
    parser.add_argument(
        "--from", type=Path, nargs="+", dest="sources", help="measure nothing, report these JSON files"
    )
    options = parser.parse_args()
    unknown = [name for name in options.histories if name not in HISTORIES]
    if unknown:
        parser.error(f"no such history: {', '.join(unknown)}")
    if options.sources:
        document = documents.merge(documents.read(path) for path in options.sources)
    else:
        place = choose_place(options.folder)
        plan = choose_plan(options)
        document = documents.describe(plan.command, plan.notes, memory_backed=is_in_memory(place))
        source = options.git if (options.git / ".git").exists() or (options.git / "HEAD").exists() else None
        run = Run(place, document, options.json)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # then servers end and folders go
        try:
            measure(plan, run, source)
        finally:
            shutil.rmtree(place, ignore_errors=True)
    if options.charts:
        write_charts(document["rows"], options.charts)
    text = report.format_report(document)
    print(text)
    if options.write:
        report.write_section(options.write, report.format_report(document, options.charts))


if __name__ == "__main__":
    main()
