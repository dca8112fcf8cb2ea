"""Plays a scene and checks what a fault must never change."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import NamedTuple

from tests.faults.scenes import Scene
from tests.faults.stage import INDEX_BYTES, PACK_BYTES, STREAMS, Stage
from tests.faults.struck import CountedRetry, StruckPush
from tests.histories import content

from muse.errors import MuseError
from muse.remote.address import RepositoryUrl
from muse.remote.client import HubClient
from muse.remote.clone import clone
from muse.remote.push import Pushed, push
from muse.remote.selection import select_refs
from muse.store.fsck import fsck
from muse.store.repository import Repository

AT_ONCE, RETRIED, SECOND, LOST = "at once", "after a retry", "on the second push", "lost"


class Played(NamedTuple):
    """`outcome` is how the push landed, or `LOST`; `code` what the first one raised, if it did; `struck` the
    faults that happened; `problem` what was lost.
    """

    scene: Scene
    outcome: str
    code: str
    struck: int
    seconds: float
    problem: str = ""


class Lost(AssertionError):
    """A scene ended otherwise than it must."""


def play(stage: Stage, scene: Scene, folder: Path) -> Played:
    """Push under faults, heal everything, push again, compare; a scene that is lost says so in its outcome.

    Raises `ServerDidNotStart` when a server of the tests does not come back.
    """
    started = time.monotonic()
    stage.heal()
    stage.reset()
    first = StruckPush(stage, scene, folder / "work")
    outcome, problem = LOST, ""
    try:
        outcome = _play(stage, scene, first, folder)
    except AssertionError as error:
        problem = f"{error}\n{_tail(stage)}"
    except MuseError as error:
        problem = f"after everything was healed: {error.code}: {error} {error.details}\n{_tail(stage)}"
    finally:
        struck = first.struck
        stage.heal()
        stage.reset()
        shutil.rmtree(folder, ignore_errors=True)
    return Played(scene, outcome, first.code, struck, time.monotonic() - started, problem)


def _play(stage: Stage, scene: Scene, first: StruckPush, folder: Path) -> str:
    whole = stage.count_upload_bytes(scene.shape)
    name = f"s{scene.seed}-{time.monotonic_ns()}"
    url = RepositoryUrl(stage.address, stage.hub.user, name)
    full_name = f"{stage.hub.user}/{name}"
    work = folder / "work"
    stage.copy_template(scene.shape, work, url)
    first.run()
    if first.error is not None:
        _check(
            first.code != "internal" and bool(first.error.hint),
            f"the user saw {first.error!r}, code {first.code}, hint {first.error.hint}",
        )
    # What comes before the other fault of a scene may keep a push from coming by there.
    _check(
        first.struck > 0 or len(scene.strikes) > 1,
        "the fault did not happen: the push did not come by there",
    )
    stage.heal()
    sent = stage.sent_bytes
    recorded = stage.behind.sum_recorded_bytes(full_name) if sent else 0
    _check_first_bytes(scene, first, sent, recorded)
    for proxy in stage.ways.values():
        proxy.faults.clear()
    retry = CountedRetry()
    pushed, head = _push_again(stage, work, retry)
    _check(pushed.receipt.refs["heads/main"].target == head, "the receipt names another commit")
    _check_hub(stage, url, pushed, head)
    again = stage.sent_bytes - sent
    # What is left is cut into packs anew, so there may be one more index.
    room = max(0, whole - recorded + INDEX_BYTES) + PACK_BYTES * retry.count
    _check(
        again <= room,
        f"the second push sent {again} bytes, {recorded} of {whole} were recorded before",
    )
    check_copy(url, stage, work, folder / "copy")
    problems = stage.behind.check(full_name)
    _check(not problems, f"{stage.kind}: {problems}")
    if first.code:
        return SECOND
    return RETRIED if first.retries else AT_ONCE


def _check_first_bytes(scene: Scene, first: StruckPush, sent: int, recorded: int) -> None:
    """Each attempt that failed cost a pack at most, the end of the push one for each stream of it.

    A program counts its attempts for itself; only faults make it repeat one.
    """
    attempts = first.retries + len(scene.strikes) * (first.code == "killed")
    wasted = attempts + (STREAMS if first.code else 0)
    _check(
        sent - recorded <= PACK_BYTES * wasted,
        f"the first push ended with {first.code or 'success'} after {attempts} retries: "
        f"it sent {sent} bytes, {recorded} were recorded",
    )


def _push_again(stage: Stage, work: Path, retry: CountedRetry) -> tuple[Pushed, bytes]:
    with Repository.open(work) as repository:
        with HubClient(stage.address, stage.hub.token, retry=retry) as hub:
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


def check_copy(url: RepositoryUrl, stage: Stage, work: Path, folder: Path) -> None:
    """Clone, and compare object by object."""
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
