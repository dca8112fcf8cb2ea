"""Plays a scene and checks what a fault must never change."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from tests.faults.scenes import CLOCKS, CUTS, EVENTS, Scene, Strike, make_fault
from tests.faults.stage import EMBEDDED, IDLE_S, PACK_BYTES, ServerStage, Stage
from tests.histories import content

from muse.errors import MuseError
from muse.remote.address import RepositoryUrl
from muse.remote.client import HubClient
from muse.remote.clone import clone
from muse.remote.http import Timeouts
from muse.remote.push import Pushed, push
from muse.remote.retry import Retry
from muse.remote.selection import select_refs
from muse.store.fsck import fsck
from muse.store.repository import Repository

AT_ONCE, RETRIED, SECOND = "at once", "after a retry", "on the second push"
MUSE = Path(sys.executable).with_name("muse")
STREAMS = 5
"""Packs that a client sends at the same time, at most, in pushes as small as these."""
SLACK_BYTES = 4096
"""Heads of requests."""


class Played(NamedTuple):
    """`outcome` is how the push landed; `code` what the first one raised, if it did; `struck` the faults
    that happened.
    """

    scene: Scene
    outcome: str
    code: str
    struck: int
    seconds: float


class Lost(AssertionError):
    """A scene ended otherwise than it must."""


def play(stage: Stage, scene: Scene, folder: Path) -> Played:
    """Push under faults, heal everything, push again, compare; raises `Lost`."""
    started = time.monotonic()
    stage.heal()
    stage.reset()
    name = f"s{scene.seed}-{time.monotonic_ns()}"
    url = RepositoryUrl(stage.address, stage.hub.user, name)
    work = folder / "work"
    try:
        stage.copy_template(scene.shape, work)
        with Repository.open(work) as repository:
            repository.settings.set("remote.origin.url", str(url))
        first = _First(stage, scene, work)
        try:
            first.run()
        except MuseError as error:
            first.code = error.code
            if error.code == "internal" or not error.hint:
                seen = f"the user saw {error!r}, code {error.code}, hint {error.hint}"
                raise Lost(f"{seen}\n{_tail(stage)}") from error
        stage.heal()
        sent = _sent_bytes(stage)
        for proxy in stage.ways.values():
            proxy.faults.clear()
        pushed, head = _push_again(stage, work)
        _check(pushed.receipt.refs["heads/main"].target == head, "the receipt names another commit")
        _check_hub(stage, url, pushed, head)
        _check_bytes(stage, scene, work, sent)
        _check_copy(url, stage, work, folder / "copy")
        if first.code:
            outcome = SECOND
        else:
            outcome = RETRIED if first.retries else AT_ONCE
        return Played(scene, outcome, first.code, first.struck, time.monotonic() - started)
    except MuseError as error:
        raise Lost(f"after everything was healed: {error.code}: {error} {error.details}") from error
    finally:
        stage.heal()
        stage.reset()
        shutil.rmtree(folder, ignore_errors=True)


class _First:
    """The push that the faults strike."""

    def __init__(self, stage: Stage, scene: Scene, work: Path) -> None:
        self.code = ""
        self.retries = 0
        self._stage = stage
        self._scene = scene
        self._work = work
        self._rng = Random(scene.seed)
        self._patient = self._rng.random() < 0.6
        self._process: subprocess.Popen[bytes] | None = None
        self._planned: list[tuple[str, Any]] = []
        self._clock_s = 0.0

    @property
    def struck(self) -> int:
        return sum(fault in self._stage.ways[way].happened for way, fault in self._planned) + bool(
            self._clock_s
        )

    def run(self) -> None:
        by_program = False
        for strike in self._scene.strikes:
            if strike.fault in CLOCKS:
                self._clock_s = 3600.0 if strike.fault == CLOCKS[0] else -3600.0
                continue
            fault = make_fault(strike, self._rng, self._stage.kind == EMBEDDED)
            if strike.fault in EVENTS:
                fault = fault._replace(run=self._make_event(strike))
            by_program = by_program or strike.fault == "client-kill"
            self._planned.append((strike.place.way, fault))
            self._stage.ways[strike.place.way].faults.append(fault)
        if by_program:
            self._run_program()
        else:
            with _clock(self._clock_s), Repository.open(self._work) as repository:
                retry = Retry(6 if self._patient else 1, 0.1, 0.4, sleep=self._sleep)
                timeouts = Timeouts(5.0, IDLE_S)
                with HubClient(
                    self._stage.address, self._stage.hub.token, timeouts=timeouts, retry=retry
                ) as hub:
                    push(repository, "origin", select_refs(repository), hub)
        # An error may come before the fault on a busy machine; what must hold holds all the same.
        _check(
            self.struck > 0 or len(self._scene.strikes) > 1,
            "the fault did not happen: the push did not come by there",
        )

    def _sleep(self, seconds: float) -> None:
        self.retries += 1
        time.sleep(min(seconds, 0.4))

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
            shown, _ = self._process.communicate(timeout=60)
        text = shown.decode()
        self.code = "killed" if self._process.returncode == -9 else ""
        if self._process.returncode not in (0, -9):
            self.code = "failed"
        _check("Traceback" not in text and "internal" not in text, text)

    def _kill_client(self) -> None:
        while self._process is None:
            time.sleep(0.001)
        self._process.kill()
        self._process.wait()


@contextmanager
def _clock(offset_s: float) -> Iterator[None]:
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


def _push_again(stage: Stage, work: Path) -> tuple[Pushed, bytes]:
    with Repository.open(work) as repository:
        with HubClient(stage.address, stage.hub.token, retry=Retry(6, 0.05, 0.4)) as hub:
            pushed = push(repository, "origin", select_refs(repository), hub)
        _check(repository.remotes.get_open_push("origin") is None, "the push is still open")
        head = repository.refs.get("heads/main")
        assert head is not None
        tracked = repository.refs.get("remotes/origin/heads/main")
        _check(tracked is not None and tracked.target == head.target, "the remote-tracking ref is elsewhere")
        return pushed, head.target


def _check_hub(stage: Stage, url: RepositoryUrl, pushed: Pushed, head: bytes) -> None:
    with HubClient(stage.address, stage.hub.token) as hub:
        refs = hub.load_json("GET", f"{url.path}/refs")["refs"]
        _check(refs["heads/main"]["target"] == head.hex(), "the branch is not at the commit")
        if pushed.receipt.up_to_date:
            return
        path = f"{url.path}/push/{pushed.receipt.push_id.hex()}"
        answers = [hub.load_json("GET", path) for _ in range(2)]
        _check(answers[0] == answers[1], "the receipt changes")
        _check(answers[0]["state"] == "done", "the receipt does not say that it is done")
        result = answers[0]["result"]
        _check(result["refs"]["heads/main"]["target"] == head.hex(), "the receipt names another commit")


def _sent_bytes(stage: Stage) -> int:
    return sum(request.bytes_up for request in list(stage.ways["store"].requests) if request.method == "PUT")


def _check_bytes(stage: Stage, scene: Scene, work: Path, before: int) -> None:
    """Everything once, and for each fault again what was under way: a pack, or one for each stream."""
    with Repository.open(work) as repository:
        whole = sum(len(data) for (kind, _), data in content(repository)[1].items())
    again = sum(
        PACK_BYTES * (1 if strike.fault in CUTS else STREAMS) + SLACK_BYTES * STREAMS
        for strike in scene.strikes
    )
    total = _sent_bytes(stage)
    _check(
        total <= whole * 1.1 + again + 8 * SLACK_BYTES,
        f"{total} bytes were sent to the store, {before} of them at first, of {whole}",
    )


def _check_copy(url: RepositoryUrl, stage: Stage, work: Path, folder: Path) -> None:
    with (
        HubClient(stage.address, stage.hub.token) as hub,
        clone(url, folder, hub, checkout=False).repository as copy,
        Repository.open(work) as repository,
    ):
        _check(content(copy) == content(repository), "the clone is not what was pushed")
        for one in (copy, repository):
            problems = list(fsck(one))
            _check(not problems, f"fsck found {problems[:3]}")


def _tail(stage: Stage) -> str:
    """The end of the hub's log, for whoever looks for a defect."""
    return stage.hub.log.read_text(errors="replace")[-4000:]


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Lost(otherwise)
