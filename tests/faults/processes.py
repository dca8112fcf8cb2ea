"""Kills programs with all of their processes, whoever started them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def kill_family(pid: int) -> None:
    """SIGKILL a process and its children, and wait until none of them runs."""
    family = [pid, *_children(pid)]
    for one in family:
        try:
            os.kill(one, signal.SIGKILL)
        except ProcessLookupError:
            pass
    while any(_runs(one) for one in family):
        time.sleep(0.005)


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry.name))
            except (OSError, ValueError, IndexError):
                continue
    return found


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in ("Z", "X")
