from __future__ import annotations

import pytest

from muse.errors import LimitReached, RemoteFailure
from muse.remote.retry import RETRY_AFTER, Retry


class Failing:
    """Fails `times` times with an error, then returns the number of the attempt."""

    def __init__(self, times: int, error: Exception) -> None:
        self.attempts: list[int] = []
        self._times = times
        self._error = error

    def __call__(self, attempt: int) -> int:
        self.attempts.append(attempt)
        if len(self.attempts) <= self._times:
            raise self._error
        return attempt


def make_retry(pauses: list[float], **options: float) -> Retry:
    return Retry(attempts=4, base_s=1.0, cap_s=3.0, random=lambda: 0.5, sleep=pauses.append, **options)


def cured() -> RemoteFailure:
    return RemoteFailure("remote-closed", "closed", retry=True)


def test_pauses_grow_up_to_a_cap() -> None:
    pauses: list[float] = []
    work = Failing(3, cured())
    assert make_retry(pauses).run(work) == 3
    assert work.attempts == [0, 1, 2, 3]
    assert pauses == [0.75, 1.5, 2.25]


def test_attempts_are_bounded() -> None:
    pauses: list[float] = []
    work = Failing(99, cured())
    with pytest.raises(RemoteFailure):
        make_retry(pauses).run(work)
    assert (len(work.attempts), len(pauses)) == (4, 3)


def test_an_error_that_stays_is_not_tried_again() -> None:
    pauses: list[float] = []
    work = Failing(99, LimitReached("quota-exceeded", "full"))
    with pytest.raises(LimitReached):
        make_retry(pauses).run(work)
    assert work.attempts == [0]
    assert pauses == []


def test_a_pause_that_is_asked_for_is_kept() -> None:
    pauses: list[float] = []
    error = LimitReached("busy", "later", retry=True, details={RETRY_AFTER: 7})
    assert make_retry(pauses).run(Failing(2, error)) == 2
    assert pauses == [7.0, 7.0]


def test_nobody_waits_for_an_hour() -> None:
    pauses: list[float] = []
    work = Failing(1, LimitReached("busy", "later", retry=True, details={RETRY_AFTER: 3600}))
    with pytest.raises(LimitReached):
        make_retry(pauses).run(work)
    assert pauses == []


def test_jitter_spreads_the_pauses() -> None:
    pauses: list[float] = []
    numbers = iter([0.0, 0.999])
    retry = Retry(attempts=3, base_s=1.0, random=lambda: next(numbers), sleep=pauses.append)
    retry.run(Failing(2, cured()))
    assert pauses == pytest.approx([0.5, 1.999], abs=0.001)
