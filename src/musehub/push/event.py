"""What is reported of a push when it has ended: to logs and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muse.errors import MuseError
from musehub.accounts.actor import Actor

LANDED = "landed"
REPEATED = "repeated"
UP_TO_DATE = "up_to_date"
PART = "part"
REFUSED = "refused"
FAILED = "failed"
CANCELLED = "cancelled"

OUTCOMES = {
    LANDED: "the branches moved",
    REPEATED: "it had landed before; the receipt was sent again",
    UP_TO_DATE: "nothing was to be done",
    PART: "objects of a push arrived; more of it follows",
    REFUSED: "the client has to change something",
    FAILED: "doing the same again can succeed, or a defect of the hub",
    CANCELLED: "the client or the hub went away in the middle",
}


class PushEvent:
    """One push; filled in while it is received."""

    __slots__ = ("actor", "code", "counts", "outcome", "push_id", "repository", "repository_id", "timeline")

    def __init__(self, actor: Actor, repository: str) -> None:
        self.actor = actor
        self.repository = repository
        self.repository_id: int | None = None
        self.push_id: bytes | None = None
        self.outcome = CANCELLED
        self.code: str | None = None
        self.counts: Mapping[str, int] = {}
        self.timeline: Mapping[str, Any] = {}

    def end(self, result: Mapping[str, Any]) -> None:
        if self.outcome == CANCELLED:
            self.outcome = UP_TO_DATE if result.get("up_to_date") else PART if result.get("more") else LANDED
        self.counts = result.get("counts", {})
        self.timeline = result.get("timeline") or {}

    def fail(self, error: Exception) -> None:
        self.code = error.code if isinstance(error, MuseError) else "internal"
        refused = isinstance(error, MuseError) and not error.retry and error.status < 500
        self.outcome = REFUSED if refused else FAILED
