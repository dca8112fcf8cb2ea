"""docs/reliability.md: what happened to pushes that were struck by faults."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from tests.faults.play import AT_ONCE, LOST, RETRIED, SECOND, Played
from tests.faults.scenes import PLACES, iter_strikes

_FAULTS = {
    "client-kill": "the client is killed (SIGKILL)",
    "hub-kill": "the hub is killed (SIGKILL) and started",
    "database-kill": "PostgreSQL is killed (SIGKILL, all processes) and started",
    "connections-ended": "`pg_terminate_backend` of all connections of the hub",
    "store-stop": "SeaweedFS is killed and started",
    "reset": "the connection is reset",
    "truncate": "the connection ends",
    "stall": "the connection goes silent until somebody gives up",
    "dropped": "the work is done, the answer is lost",
    "duplicate": "the request arrives twice",
    "store-500": "the store answers 500",
    "store-503": "the store answers 503 with `Retry-After`",
    "store-200-error": "the store answers 200 with an error for a body",
    "store-full": "the store's disk is full (507)",
    "expired": "the upload address has expired",
    "clock-fast": "the client's clock is an hour fast",
    "clock-slow": "the client's clock is an hour slow",
}
_STEPS = {
    "refs": "client asks the hub for refs",
    "presign": "client asks for an upload address",
    "head": "hub asks the store for a pack",
    "put": "client uploads a pack",
    "confirm": "client has a pack confirmed",
    "get": "hub reads a pack back",
    "stream": "client sends trees and commits, hub finalises",
    "small-stream": "client sends a whole small push",
    "hub-put": "hub stores the blobs of a small push",
}
_MOMENTS = {
    "before": "before it",
    "request": "inside the request",
    "sent": "the request is there, the answer is not",
    "answer": "inside the answer",
    "done": "done, the answer not seen",
}

_TEXT = """# Reliability

Written by `make soak-table` (`scripts/soak.py --table`), seed {seed}: {scenes} pushes, each struck by one or
two faults; {pairs} of the {all_pairs} pairs of a fault and a moment of a step. **Lost: {lost}.** {landed}

Each scene pushes a history that no hub has seen by way of proxies (client to hub, client to store, hub to
store) which strike at one step. Whatever was killed is then brought back and `muse push` runs again. After
that all of this holds, or the scene is lost:

- whoever pushed saw success, or an error with a code and a hint, never `internal`;
- the branch is at the commit that was pushed, and the receipt says so each time it is asked for;
- a clone is identical, object by object; `muse fsck` finds nothing in it nor in the origin;
- what was confirmed was not sent again: beyond what the hub had recorded of it, the first push sent at most
  one pack for each attempt that failed, and one for each of its upload streams if it died; the second push
  sent no more than was not recorded;
- `musehub fsck --deep` finds nothing, and `musehub gc` after the grace period leaves no orphan in the store.

A scene ends "at once" when the client did not notice, "after a retry" when it repeated something by itself,
"on the second push" when the first one ended with an error (two fifths of the scenes allow the client no
retry, so that this is seen, too).

Steps: {steps}.

Tests of their own play what is no moment of a step: the disk of the store and that of the database really
full (`tests/faults/test_full_disks.py`), a statement in the middle of 10,000 commits that the database ends,
an upload address that is too old (`test_timeouts.py`), a whole client whose clock is an hour off
(`test_clocks.py`), and two to sixteen who push at the same time (`test_races.py`).

`MUSE_TEST_FAULT_SCENE='servers/packs/reset@put.request/417' pytest tests/faults/test_scenes.py` plays one
scene again.

| fault | step | moment | scenes | at once | after a retry | on the second push | lost |
|---|---|---|---|---|---|---|---|
"""


def reliability_page(scenes: Sequence[Played], seed: int) -> str:
    """The page; a scene of two faults counts for each, one that no fault came to counts for nothing."""
    played = [one for one in scenes if one.struck or one.outcome == LOST]
    outcomes = Counter(one.outcome for one in played)
    landed = (
        f"{outcomes[AT_ONCE]} landed at once, {outcomes[RETRIED]} after a retry inside the client, "
        f"{outcomes[SECOND]} on the second push."
    )
    counts: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for one in played:
        for strike in one.scene.strikes:
            counts[strike.fault, strike.step.partition(".")[0], strike.moment][one.outcome] += 1
    faults, steps, moments = list(_FAULTS), list(PLACES), list(_MOMENTS)
    rows = []
    for key in sorted(counts, key=lambda k: (faults.index(k[0]), steps.index(k[1]), moments.index(k[2]))):
        fault, step, moment = key
        count = counts[key]
        rows.append(
            f"| {_FAULTS[fault]} | {step} | {_MOMENTS[moment]} | {count.total()} | {count[AT_ONCE]} "
            f"| {count[RETRIED]} | {count[SECOND]} | {count[LOST]} |"
        )
    every = {(one.fault, one.step.partition(".")[0], one.moment) for one in iter_strikes()}
    described = "; ".join(f"`{name}` {what}" for name, what in _STEPS.items())
    text = _TEXT.format(
        seed=seed,
        scenes=len(played),
        pairs=len(every & counts.keys()),
        all_pairs=len(every),
        lost=outcomes[LOST],
        landed=landed,
        steps=described,
    )
    return text + "\n".join(rows) + "\n"
