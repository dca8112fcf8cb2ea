"""Work that another process, a copy of this one, does beside it.

Making a file is half system calls, half Python: two threads would wait for each other, two processes do not.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import TracebackType


def can_fork() -> bool:
    """Say whether a copy of this process is safe, no thread being in the middle of something, and of use."""
    return sys.platform == "linux" and threading.active_count() == 1 and len(os.sched_getaffinity(0)) > 1


class Beside:
    """Runs `task` in another process from `__enter__` on; leaving the `with` block early kills it.

    The task may change files and must leave everything else alone that is shared, databases above all. What
    it raises is lost: `collect` then returns what it has when it ends, nothing at the worst.
    """

    def __init__(self, task: Callable[[], bytes]) -> None:
        self._task = task
        self._pid = 0
        self._pipe = -1

    def __enter__(self) -> Beside:
        self._pipe, write_end = os.pipe()
        parent = os.getpid()
        self._pid = os.fork()
        if not self._pid:
            _run(self._task, write_end, parent)
        os.close(write_end)
        return self

    def collect(self) -> bytes:
        """Wait for the end and return what the task returned."""
        parts = []
        while part := os.read(self._pipe, 1 << 20):
            parts.append(part)
        return b"".join(parts)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._pipe)
        if error is not None:
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _run(task: Callable[[], bytes], write_end: int, parent: int) -> None:
    """Never returns, and runs none of what a process does at its end: files and locks are the parent's."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        result = memoryview(task())
        while result and os.getppid() == parent:
            result = result[os.write(write_end, result) :]
    finally:
        os._exit(0)
