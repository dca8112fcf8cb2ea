"""Run a program and say what it cost: wall time, CPU time, peak memory."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path
from typing import NamedTuple


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
        ended.set()
        sampler.join()
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, peak_mib, output)


def find_peak_mib(pid: int) -> float:
    """Return the peak resident set of a running process, 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    peak = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0")
    return int(peak.split()[1]) / 1024


def process_cost(pid: int) -> tuple[float, float]:
    """Return CPU seconds and peak MiB of a running process and the processes below it."""
    tick = os.sysconf("SC_CLK_TCK")
    cpu_s = peak_mib = 0.0
    for each in (pid, *_children(pid)):
        fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        cpu_s += (int(fields[11]) + int(fields[12])) / tick
        peak_mib = max(peak_mib, find_peak_mib(each))
    return cpu_s, peak_mib


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_children(int(child))]
    return found
