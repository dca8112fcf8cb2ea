"""Run a program and say what it cost: wall time, CPU time, peak memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

MEMORY = Path("/dev/shm")


class Row(NamedTuple):
    """One measurement: seconds on the wall, and what else is known about it.

    `home` is where the hub keeps its data; a peer has that of the runs that it stands beside.
    """

    history: str
    scenario: str
    system: str
    home: str
    round: int
    wall_s: float
    details: dict[str, Any]


class Cost(NamedTuple):
    """Seconds on the wall and of CPU, and the peak resident set in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    output: str


def run(*command: str | os.PathLike[str], cwd: Path, env: dict[str, str] | None = None) -> Cost:
    """Run to the end; raises CalledProcessError with what it printed when it fails.

    The peak is sampled every 10 ms: what the system reports at the end begins with the memory of the parent.
    """
    started = time.perf_counter()
    peak_mib = 0.0
    with subprocess.Popen(
        [os.fspath(part) for part in command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        ended = threading.Event()

        def sample() -> None:
            nonlocal peak_mib
            while not ended.wait(0.01):
                peak_mib = max(peak_mib, find_peak_mib(process.pid))

        sampler = threading.Thread(target=sample)
        sampler.start()
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started
        ended.set()
        sampler.join()
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, peak_mib, output)


def is_in_memory(path: Path) -> bool:
    return MEMORY in path.resolve().parents


def discard(folder: Path) -> None:
    """Remove what is not needed any more, if that is for nothing.

    On a disk it would slow down whatever is measured next; there it waits for the end of the run.
    """
    if is_in_memory(folder):
        shutil.rmtree(folder, ignore_errors=True)


def find_peak_mib(pid: int) -> float:
    """Return the peak resident set of a running process, 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    peak = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0")
    return int(peak.split()[1]) / 1024


def process_cost(pid: int) -> tuple[float, float]:
    """Return CPU seconds of a running process and all below it, ended ones too, and their peaks' sum."""
    tick = os.sysconf("SC_CLK_TCK")
    cpu_s = peak_mib = 0.0
    for each in (pid, *_children(pid)):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # ended meanwhile; its parent has the seconds
        cpu_s += sum(map(int, fields[11:15])) / tick
        peak_mib += find_peak_mib(each)
    return cpu_s, peak_mib


def forget_peaks(pid: int) -> None:
    """Let the peaks of a process and those below it begin again at what they hold now."""
    for each in (pid, *_children(pid)):
        try:
            Path(f"/proc/{each}/clear_refs").write_text("5")
        except OSError:
            pass  # ended, or not allowed: then the peak is that since its start


class Watch:
    """CPU and peaks of servers from here on."""

    def __init__(self, pid: int, others: Iterable[int] = ()) -> None:
        self._pid = pid
        self._others = tuple(others)
        forget_peaks(pid)
        self._before_s = process_cost(pid)[0]
        self._others_before_s = self._sum_others()

    def read(self) -> dict[str, float]:
        """Return the server's figures, and the CPU of the others that stand behind it."""
        cpu_s, peak_mib = process_cost(self._pid)
        figures = {"server_cpu_s": round(cpu_s - self._before_s, 3), "server_peak_mib": round(peak_mib)}
        if self._others:
            figures["stores_cpu_s"] = round(self._sum_others() - self._others_before_s, 3)
        return figures

    def _sum_others(self) -> float:
        return sum(process_cost(pid)[0] for pid in self._others)


def _children(pid: int) -> list[int]:
    found = []
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []
    for task in tasks:
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            found += [int(child), *_children(int(child))]
    return found
