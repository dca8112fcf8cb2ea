"""Scenes: which fault strikes at which step of a push, in words that can be written down and played again.

    servers/packs/reset@put.request+hub-kill@stream.done/417

is a stage, the shape of what is pushed, faults each with its step, and the seed of all that is left open.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from tests.faults.stage import EMBEDDED, PACKS, SERVERS, SMALL
from tests.faulty_proxy import (
    AGAIN,
    ANSWER,
    BEFORE,
    CLOSE,
    DONE,
    REPLACE,
    REQUEST,
    RESET,
    SENT,
    STALL,
    Fault,
)


class Place(NamedTuple):
    """Requests that a push makes: on which way, how they are recognised, how many of them there are at
    least.
    """

    way: str
    method: str
    path: str
    shape: str
    count: int
    moments: dict[str, int]
    """When a fault may strike, with bytes for those moments that need a number."""


PLACES = {
    "refs": Place("hub", "GET", "/refs", PACKS, 1, {BEFORE: 0, ANSWER: 20, DONE: 0}),
    "presign": Place("hub", "POST", "/push/presign", PACKS, 4, {BEFORE: 0, REQUEST: 60, ANSWER: 60, DONE: 0}),
    "head": Place("behind", "HEAD", "/", PACKS, 4, {BEFORE: 0, DONE: 0}),
    "put": Place("store", "PUT", "/", PACKS, 4, {BEFORE: 0, REQUEST: 12_000, SENT: 0, ANSWER: 20, DONE: 0}),
    "confirm": Place("hub", "POST", "/push/confirm", PACKS, 4, {BEFORE: 0, SENT: 0, ANSWER: 100, DONE: 0}),
    "get": Place("behind", "GET", "/packs/", PACKS, 4, {BEFORE: 0, ANSWER: 20_000, DONE: 0}),
    "stream": Place(
        "hub", "POST", "/push/stream", PACKS, 1, {BEFORE: 0, REQUEST: 900, SENT: 0, ANSWER: 40, DONE: 0}
    ),
    "small-stream": Place(
        "hub", "POST", "/push/stream", SMALL, 1, {BEFORE: 0, REQUEST: 900, SENT: 0, ANSWER: 40, DONE: 0}
    ),
    "hub-put": Place("behind", "PUT", "/", SMALL, 1, {BEFORE: 0, REQUEST: 3_000, SENT: 0, DONE: 0}),
}

EVENTS = ("client-kill", "hub-kill", "database-kill", "connections-ended", "store-stop")
"""What happens to a whole program; once between any two steps, and inside each transfer."""
EVENT_STEPS = (
    *("refs.done", "presign.done", "head.done", "put.request", "put.done", "confirm.before", "get.answer"),
    *("confirm.done", "stream.before", "stream.request", "stream.sent", "stream.done"),
    *("hub-put.before", "hub-put.request", "hub-put.done", "small-stream.sent"),
)
CUTS = {"reset": RESET, "truncate": CLOSE, "stall": STALL}
ANSWERS = {
    "store-500": ("500 Internal Server Error", "InternalError", ""),
    "store-503": ("503 Service Unavailable", "SlowDown", "Retry-After: 1\r\n"),
    "store-200-error": ("200 OK", "InternalError", ""),
    "store-full": ("507 Insufficient Storage", "InsufficientStorage", ""),
}
CLOCKS = ("clock-fast", "clock-slow")
EXPIRED = "expired"
_DATE = (rb"X-Amz-Date=20\d\d", rb"X-Amz-Date=2001")
_EXPIRES = (rb"expires=1", rb"expires=0")


class Strike(NamedTuple):
    fault: str
    step: str

    def __str__(self) -> str:
        return f"{self.fault}@{self.step}"

    @property
    def place(self) -> Place:
        return PLACES[self.step.partition(".")[0]]

    @property
    def moment(self) -> str:
        return self.step.partition(".")[2]


class Scene(NamedTuple):
    stage: str
    shape: str
    strikes: tuple[Strike, ...]
    seed: int

    def __str__(self) -> str:
        return f"{self.stage}/{self.shape}/{'+'.join(map(str, self.strikes))}/{self.seed}"


def parse_scene(text: str) -> Scene:
    stage, shape, strikes, seed = text.split("/")
    pairs = (Strike(*strike.split("@")) for strike in strikes.split("+"))
    return Scene(stage, shape, tuple(pairs), int(seed))


def iter_strikes() -> Iterator[Strike]:
    """Every fault at every step where it can strike."""
    for event in EVENTS:
        for step in EVENT_STEPS:
            yield Strike(event, step)
    for name, place in PLACES.items():
        for moment in place.moments:
            for cut in CUTS:
                yield Strike("dropped" if (cut, moment) == ("truncate", DONE) else cut, f"{name}.{moment}")
        if place.method in ("POST", "PUT"):
            yield Strike("duplicate", f"{name}.{DONE}")
        if place.way in ("behind", "store"):
            for answer in ANSWERS:
                if place.method != "HEAD" or answer != "store-200-error":
                    yield Strike(answer, f"{name}.{BEFORE}")
    yield Strike(EXPIRED, f"put.{BEFORE}")
    for clock in CLOCKS:
        for name in ("refs", "small-stream"):
            yield Strike(clock, f"{name}.{BEFORE}")


def iter_scenes(seed: int, random_scenes: int) -> Iterator[Scene]:
    """Every fault at every step on real servers, then random ones on both stages, two at a time as often as
    one.
    """
    rng = Random(seed)
    strikes = list(iter_strikes())
    for strike in strikes:
        yield Scene(SERVERS, strike.place.shape, (strike,), rng.randrange(1_000_000))
    cheap = [strike for strike in strikes if strike.fault not in ("store-stop", "database-kill")]
    for number in range(random_scenes):
        stage = SERVERS if number % 3 == 0 else EMBEDDED
        first = rng.choice([strike for strike in cheap if _fits(strike, stage)])
        chosen = [first]
        if rng.random() < 0.5:
            second = rng.choice([strike for strike in cheap if _fits(strike, stage)])
            if second.place.shape == first.place.shape and second != first:
                chosen.append(second)
        yield Scene(stage, first.place.shape, tuple(chosen), rng.randrange(1_000_000))


def _fits(strike: Strike, stage: str) -> bool:
    if stage == SERVERS:
        return True
    return strike.place.way != "behind" and not strike.fault.startswith(("store-", "database", "connections"))


def make_fault(strike: Strike, rng: Random, embedded: bool) -> Fault:
    """What the proxy does; events get their `run` from whoever plays the scene."""
    place, moment = strike.place, strike.moment
    path = "/store/" if embedded and strike.step.startswith("put.") else place.path
    fault = Fault(
        path,
        rng.randint(1, place.count),
        method=place.method,
        moment=moment,
        after_bytes=place.moments[moment],
    )
    if strike.fault in CUTS:
        return fault._replace(effect=CUTS[strike.fault])
    if strike.fault == "dropped":
        return fault._replace(effect=CLOSE)
    if strike.fault == "duplicate":
        return fault._replace(effect=AGAIN)
    if strike.fault == EXPIRED:
        return fault._replace(rewrite=_EXPIRES if embedded else _DATE)
    if strike.fault in ANSWERS:
        return fault._replace(effect=REPLACE, answer=_answer(strike.fault, place.method))
    return fault


def _answer(name: str, method: str) -> bytes:
    status, code, headers = ANSWERS[name]
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>a fault</Message></Error>"
    text = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\n{headers}Connection: close\r\n"
    shown = "" if method == "HEAD" else body
    return f"{text}Content-Length: {len(shown)}\r\n\r\n{shown}".encode()
