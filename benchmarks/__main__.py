"""`python -m benchmarks L SEED`: measure histories, ours beside Git, and print ratios.

Each scenario runs alternately for both systems, `--repeat` times; the table gives medians. Ratios of one run
mean something, seconds across runs do not.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import git_peer, ours
from benchmarks.histories import HISTORIES
from benchmarks.scenarios import Row, build_both, measure_git, measure_import, measure_muse

SCENARIOS = ("import", "first push", "nothing new", "one more commit", "clone")


def measure(names: list[str], repeat: int, *, loose: bool, folder: Path) -> Iterator[Row]:
    git_root = folder / "git-root"
    git_root.mkdir()
    with ours.serve(folder / "hub") as hub, git_peer.smart_http(git_root) as git_address:
        for name in names:
            history = HISTORIES[name]
            here = folder / name
            here.mkdir()
            print(f"{name}: {history.about}", file=sys.stderr, flush=True)
            yield from build_both(history, here)
            yield from measure_import(history, here, hub)
            for number in range(repeat):
                label = f"{name}-{number}".lower()
                yield from measure_muse(history, here, hub, label)
                yield from measure_git(history, here, git_root, git_address, label, loose=False)
                if loose:
                    yield from measure_git(history, here, git_root, git_address, f"{label}-loose", loose=True)


COLUMNS = "{:<8}{:<18}{:>9}{:>9}{:>7}{:>9}{:>7}{:>10}{:>13}{:>6}{:>12}{:>9}"


def print_table(rows: list[Row]) -> None:
    """Print medians and ratios; figures without a peer or a count are dashes."""
    heads = ("history", "scenario", "muse s", "git s", "ratio", "loose s", "ratio")
    print(COLUMNS.format(*heads, "requests", "bytes", "SQL", "client MiB", "hub MiB"))
    for history in dict.fromkeys(row.history for row in rows):
        for scenario in SCENARIOS:
            some = [row for row in rows if (row.history, row.scenario) == (history, scenario)]
            walls: dict[str, list[float]] = {}
            for row in some:
                walls.setdefault(row.system, []).append(row.wall_s)
            mine = statistics.median(walls["muse"])
            cells = [f"{mine:.3f}"]
            for system in ("git, packed", "git, loose"):
                if system in walls:
                    peer = statistics.median(walls[system])
                    cells += [f"{peer:.3f}", f"{mine / peer:.2f}"]
                else:
                    cells += ["-", "-"]
            details = next(row.details for row in some if row.system == "muse")
            cells += [
                str(details["requests"] or "-"),
                f"{details['bytes'] or 0:,}",
                str(details["statements"] or "-"),
                str(details["client_peak_mib"]),
                str(details["hub_peak_mib"]),
            ]
            print(COLUMNS.format(history, scenario, *cells))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("histories", nargs="*", default=["S", "M", "L", "SEED"], choices=[[], *HISTORIES])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--loose", action="store_true", help="also Git with loose objects")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="write every measurement here")
    options = parser.parse_args()
    names = options.histories or ["S", "M", "L", "SEED"]
    with tempfile.TemporaryDirectory(prefix="muse-bench-", dir=options.folder) as folder:
        rows = list(measure(names, options.repeat, loose=options.loose, folder=Path(folder)))
    print_table(rows)
    if options.json:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
        document = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": commit.stdout.strip(),
            "machine": f"{platform.machine()}, Python {platform.python_version()}",
            "rows": [row._asdict() for row in rows],
        }
        options.json.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
