"""The push of a scene that the faults strike."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tests.faults.scenes import CLOCKS, EVENTS, Scene, Strike, make_fault
from tests.faults.stage import EMBEDDED, IDLE_S, ServerStage, Stage

from muse.errors import MuseError
from muse.remote.channel import Timeouts
from muse.remote.client import HubClient
from muse.remote.push import push
from muse.remote.retry import Retry
from muse.remote.selection import select_refs
from muse.store.repository import Repository

MUSE = Path(sys.executable).with_name("muse")
CLOCK_OFF_S = 3600.0
PATIENT_ATTEMPTS = 6
PAUSE_S = 0.3
"""No pause between two attempts is longer, whatever is asked for."""
PROGRAM_S = 60.0


class CountedRetry(Retry):
    """Counts the attempts that failed and were made again."""

    def __init__(self, attempts: int = PATIENT_ATTEMPTS) -> None:
        self.count = 0
        super().__init__(attempts, 0.05, PAUSE_S, sleep=self._pause)

    def _pause(self, seconds: float) -> None:
        self.count += 1
        time.sleep(min(seconds, PAUSE_S))


class StruckPush:
    """Run it once. `code` is what it raised, or what became of its process; `retries` what it did again by
    itself.
    """

    def __init__(self, stage: Stage, scene: Scene, work: Path) -> None:
        self.code = ""
        self.error: MuseError | None = None
        self._stage = stage
        self._scene = scene
        self._work = work
        self._rng = Random(scene.seed)
        self._patient = self._rng.random() < 0.6
        self._retry = CountedRetry(PATIENT_ATTEMPTS if self._patient else 1)
        self._process: subprocess.Popen[bytes] | None = None
        self._planned: list[tuple[str, Any]] = []
        self._clock_s = 0.0

    @property
    def retries(self) -> int:
        return self._retry.count

    @property
    def struck(self) -> int:
        """How many of the faults happened."""
        happened = sum(fault in self._stage.ways[way].happened for way, fault in self._planned)
        return happened + bool(self._clock_s)

    def run(self) -> None:
        names = {strike.fault for strike in self._scene.strikes}
        for strike in self._scene.strikes:
            if strike.fault in CLOCKS:
                self._clock_s = CLOCK_OFF_S if strike.fault == CLOCKS[0] else -CLOCK_OFF_S
                continue
            fault = make_fault(strike, self._rng, self._stage.kind == EMBEDDED)
            if strike.fault in EVENTS:
                fault = fault._replace(run=self._make_event(strike))
            self._planned.append((strike.place.way, fault))
            self._stage.ways[strike.place.way].faults.append(fault)
        if "client-kill" in names:
            self._run_program()
            return
        # Silence ends soon where it is the point; elsewhere a busy machine is not to add it.
        timeouts = Timeouts(5.0, IDLE_S if "stall" in names else 10 * IDLE_S)
        try:
            with (
                clock_off(self._clock_s),
                Repository.open(self._work) as repository,
                HubClient(
                    self._stage.address, self._stage.hub.token, timeouts=timeouts, retry=self._retry
                ) as hub,
            ):
                push(repository, "origin", select_refs(repository), hub)
        except MuseError as error:
            self.code, self.error = error.code, error
        finally:
            _wait_for_uploads()

    def _make_event(self, strike: Strike) -> Callable[[], None]:
        back = self._patient
        stage = self._stage
        if strike.fault == "client-kill":
            return self._kill_client
        if strike.fault == "hub-kill":
            return partial(stage.kill_hub, back=back)
        assert isinstance(stage, ServerStage)
        if strike.fault == "database-kill":
            return partial(stage.kill_postgresql, back=back)
        if strike.fault == "store-stop":
            return partial(stage.stop_store, back=back)
        return stage.terminate_backends

    # ---- a client that is a process of its own

    def _run_program(self) -> None:
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._work.parent),
            "MUSE_TOKEN": self._stage.hub.token,
        }
        if "PYTHONPATH" in os.environ:
            environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
        with subprocess.Popen(
            [MUSE, "push", "origin", "main"],
            cwd=self._work,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as self._process:
            try:
                shown, _ = self._process.communicate(timeout=PROGRAM_S)
            except subprocess.TimeoutExpired as error:
                self._process.kill()
                raise AssertionError(f"`muse push` did not end within {PROGRAM_S} s") from error
        text = shown.decode()
        if self._process.returncode:
            self.code = "killed" if self._process.returncode == -9 else "failed"
        assert "Traceback" not in text, text
        assert "internal" not in text, text

    def _kill_client(self) -> None:
        while self._process is None:
            time.sleep(0.001)
        self._process.kill()
        self._process.wait()


def _wait_for_uploads() -> None:
    """A process that ends takes its uploads with it; in this one they end as they do, and count for its
    push.
    """
    for thread in threading.enumerate():
        if thread.name == "upload":
            thread.join(60)


@contextmanager
def clock_off(offset_s: float) -> Iterator[None]:
    """The client's clock, so many seconds off."""
    if not offset_s:
        yield
        return
    right = time.time
    time.time = lambda: right() + offset_s
    try:
        yield
    finally:
        time.time = right
