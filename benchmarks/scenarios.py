"""What is measured: build, first push, nothing new, one more commit, clone, changes, import, status.

Ours and the peers take turns within every round, and another one begins in each.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from benchmarks import copies, git_peer, ours
from benchmarks.histories import History
from benchmarks.measure import Cost, Row, discard, run
from benchmarks.servers import Home

STEPS = ("first push", "nothing new", "one more commit", "clone")
LAST_STREAM = "hub, last stream"
HUB_LANES = (LAST_STREAM, "hub, packs", "hub, parts")
"""Where the phases of a push are kept: those of its last request, and of the requests before it."""
STATUS_FILES = 10_000


class Side(Protocol):
    """One system that holds a history and does each scenario with it."""

    system: str

    def begin(self, name: str) -> None:
        """The next push goes to a new, empty place of this name."""

    def measure(self, scenario: str) -> tuple[Cost, dict[str, Any]]: ...


class MuseSide:
    """A history in `work`, pushed to a hub."""

    system = "muse"

    def __init__(self, work: Path, home: Home) -> None:
        self._work = work
        self._home = home
        self._name = ""

    def begin(self, name: str) -> None:
        self._name = name
        self._home.hub.muse("remote", "add", name, self._url, cwd=self._work)

    @property
    def _url(self) -> str:
        return f"{self._home.hub.address}/bench/{self._name}"

    def measure(self, scenario: str) -> tuple[Cost, dict[str, Any]]:
        if scenario == "one more commit":
            ours.commit_files(self._work, {f"more-{self._name}.txt": self._name.encode()})
        arguments = ["push", self._name, "main", "--timings"]
        target = self._work.with_name(f"clone-{self._name}")
        if scenario == "clone":
            arguments = ["clone", self._url, str(target), "--timings"]
        measured = measure_muse(self._home, *arguments, cwd=self._work)
        discard(target)
        return measured


def measure_muse(home: Home, *arguments: str | Path, cwd: Path) -> tuple[Cost, dict[str, Any]]:
    """Run a `muse` command and say what it cost it and the hub."""
    watch = home.watch()
    cost, document = home.hub.muse(*arguments, cwd=cwd)
    timeline = document.get("timeline") or {}
    told = document.get("fetch", document)
    details = {
        "client_cpu_s": round(cost.cpu_s, 3),
        "client_peak_mib": round(cost.peak_mib),
        **watch.read(),
        "requests": told.get("requests"),
        "bytes": told.get("bytes_sent", told.get("bytes_received")),
        "objects": told.get("objects"),
        "phases": told.get("phases"),
    }
    if timeline:
        # What the hub did in other requests of the push is kept apart.
        whole = [timeline, *(timeline.get(name) or {} for name in ("uploads", "parts"))]
        longest_s = max(work.get("longest_transaction_s") or 0.0 for work in whole)
        details |= {
            "statements": sum(work.get("statements", 0) for work in whole),
            "store_calls": sum(work.get("store_calls", 0) for work in whole),
            "finalise_ms": _milliseconds(timeline.get("finalise_transaction_s")),
            "longest_transaction_ms": _milliseconds(longest_s),
            "longest_transaction": timeline.get("longest_transaction"),
            "hub_phases": dict(zip(HUB_LANES, (work.get("phases", []) for work in whole), strict=True)),
        }
    return cost, details


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def measure_history(
    history: History,
    folder: Path,
    home: Home,
    git_server: git_peer.Server | None,
    rounds: int,
    loose_rounds: int,
    brief: bool = False,
) -> Iterator[Row]:
    """All scenarios of a history, beside Git packed and loose and bytes that are only copied.

    `brief`: only what is pushed, without Git.
    """
    steps = history.steps()
    # In memory, so that making it costs neither side anything.
    first = list(itertools.islice(steps, history.first))
    seconds = ours.build(first, folder / "work")
    size = {"commits": len(first), "blobs": sum(len(step.files) for step in first)}
    yield Row(history.name, "build all", "muse", home.name, 0, seconds, size)
    mine = MuseSide(folder / "work", home)
    sides: list[Side] = [mine]
    large: copies.LfsSide | copies.CopySide | None = None
    if history.name == "BIG":
        large = copies.make_large_file_side(first, folder / "large")
        sides.append(large)
    elif git_server is not None and not brief:
        git_peer.fast_import(first, folder / "git")
        sides.append(git_peer.GitSide(folder / "git", folder, git_server, loose=False))
        if loose_rounds:
            sides.append(git_peer.GitSide(folder / "git", folder, git_server, loose=True))
    first.clear()
    for number in range(rounds):
        taking_part = [side for side in sides if number < loose_rounds or side.system != "git, loose"]
        for side in taking_part:
            side.begin(f"{history.name.lower()}-{number}")
        for scenario in STEPS[:1] if brief else STEPS:
            if large is not None and scenario == "one more commit":
                continue  # its change is one
            for side in _rotate(taking_part, number):
                cost, details = side.measure(scenario)
                yield Row(history.name, scenario, side.system, home.name, number, cost.wall_s, details)
                if (side, scenario) == (mine, "first push"):
                    yield _move_bytes(history, folder / f"bytes-{number}", home, number, details["bytes"])
    for number, step in enumerate(steps):
        ours.commit_files(folder / "work", step.files)
        if large is not None:
            large.commit(step)
        for side in (mine, *([large] if large is not None else [])):
            cost, details = side.measure("change")
            yield Row(history.name, "change", side.system, home.name, number, cost.wall_s, details)


def _rotate(sides: list[Side], number: int) -> list[Side]:
    at = number % len(sides)
    return sides[at:] + sides[:at]


def _move_bytes(history: History, folder: Path, home: Home, number: int, size_bytes: int) -> Row:
    """What it takes to move as many bytes as ours has just sent, and do nothing else."""
    if home.put_raw is not None:
        seconds = home.put_raw(size_bytes)
        return Row(history.name, "first push", "raw PUT", home.name, number, seconds, {"bytes": size_bytes})
    cost = copies.copy_raw(folder, size_bytes)
    return Row(history.name, "first push", "cp", home.name, number, cost.wall_s, {"bytes": size_bytes})


def measure_build(history: History, folder: Path, commits: int) -> Iterator[Row]:
    """The first commits of a history, one by one: with the library, and with `git add` and `git commit`."""
    steps = list(itertools.islice(history.steps(), commits))
    size = {"commits": len(steps)}
    for system, build in (("muse", ours.build), ("git", git_peer.build)):
        seconds = build(steps, folder / f"build-{system}")
        yield Row(history.name, "build", system, "embedded", 0, seconds, size)


def measure_source(source: Path, folder: Path, home: Home, rounds: int) -> Iterator[Row]:
    """A real Git history: its import beside fast-import, and what a push of it sends beside Git's pack."""
    bare = folder / "git"
    git_peer.git("clone", "-q", "--bare", "--no-hardlinks", source.absolute(), bare, cwd=folder)
    git_peer.git("repack", "-q", "-a", "-d", "-f", cwd=bare)
    pack_bytes = sum(path.stat().st_size for path in (bare / "objects" / "pack").glob("*.pack"))
    objects = int(git_peer.git("rev-list", "--all", "--objects", "--count", cwd=bare))
    about = {"objects": objects}
    for number in range(rounds):
        work, copy = folder / f"imported-{number}", folder / f"fast-imported-{number}"
        home.hub.muse("init", work, cwd=folder)
        cost, details = measure_muse(home, "git", "import", bare, cwd=work)
        yield Row("SOURCE", "import", "muse", home.name, number, cost.wall_s, details | about)
        copy.mkdir()
        git_peer.git("init", "-q", "--bare", ".", cwd=copy)
        pipe = 'git -C "$1" fast-export --all | git fast-import --quiet'
        cost = run("sh", "-c", pipe, "sh", bare, cwd=copy, env=git_peer.ENVIRONMENT)
        yield Row("SOURCE", "import", "git, packed", home.name, number, cost.wall_s, about)
        home.hub.muse("remote", "add", "hub", f"{home.hub.address}/bench/source-{number}", cwd=work)
        cost, details = measure_muse(home, "push", "hub", "--all", "--tags", "--timings", cwd=work)
        yield Row("SOURCE", "bytes of a push", "muse", home.name, number, cost.wall_s, details)
        bytes_only = {"bytes": pack_bytes}
        yield Row("SOURCE", "bytes of a push", "git, packed", home.name, number, 0.0, bytes_only)


def measure_status(folder: Path, home: Home, rounds: int) -> Iterator[Row]:
    """Status of clean work trees, each asked once before: the first one notes what it saw."""
    for name in ("muse", "git"):
        for number in range(STATUS_FILES):
            group = folder / name / f"part-{number // 1000}" / f"group-{number // 100 % 10}"
            path = group / f"file-{number}.txt"
            group.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"file %d\n" % number * 20)
            os.utime(path, (1_600_000_000, 1_600_000_000))
    work, peer = folder / "muse", folder / "git"
    home.hub.muse("init", work, cwd=folder)
    home.hub.muse("commit", "-m", "all", cwd=work)
    git_peer.git("init", "-q", "-b", "main", ".", cwd=peer)
    git_peer.git("add", "-A", cwd=peer)
    git_peer.git("commit", "-q", "-m", "all", cwd=peer)
    for number in range(-1, rounds):
        cost, details = measure_muse(home, "status", cwd=work)
        rows = [Row("FILES", "status", "muse", home.name, number, cost.wall_s, details)]
        cost = run("git", "status", "--porcelain", cwd=peer, env=git_peer.ENVIRONMENT)
        details = {"client_cpu_s": round(cost.cpu_s, 3)}
        rows.append(Row("FILES", "status", "git", home.name, number, cost.wall_s, details))
        if number >= 0:
            yield from rows
