"""What pages show of a push: its receipt in words, its timeline as a picture and as figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from muse.wire.refnames import HEADS, TAGS
from musehub.db.pushes import DONE, FAILED, PushRow
from musehub.web.addresses import RepositoryAddresses
from musehub.web.waterfall import Waterfall, draw_waterfall
from musehub.web.wording import format_count, format_duration, format_share, format_size

MOVES_IN_LIST = 3


class Target(NamedTuple):
    """One end of a move; `address` is empty for what has no page."""

    short_id: str
    address: str


class Move(NamedTuple):
    """One ref that a push moved."""

    kind: str
    name: str
    old: Target | None
    new: Target | None
    forced: bool

    @property
    def text(self) -> str:
        if self.old is None:
            return "created"
        return "deleted" if self.new is None else "forced" if self.forced else ""


class Fact(NamedTuple):
    name: str
    value: str
    note: str = ""


class FactGroup(NamedTuple):
    name: str
    facts: list[Fact]


class Beside(NamedTuple):
    """Work for a push that overlapped with its uploads, with a waterfall of its own."""

    anchor: str
    title: str
    text: str
    waterfall: Waterfall | None
    whole: str


class PushLine(NamedTuple):
    """A push in the list."""

    id: str
    address: str
    user_name: str
    by_agent: bool
    started_at: datetime
    state: str
    outcome: str
    moves: list[Move]
    more_moves: int
    object_count: int
    received_bytes: int
    total_s: float | None


class PushPage(NamedTuple):
    """A push on its own page."""

    id: str
    user_name: str
    by_agent: bool
    started_at: datetime
    started_text: str
    state: str
    outcome: str
    error: dict[str, Any] | None
    moves: list[Move]
    tiles: list[Fact]
    waterfall: Waterfall | None
    figures: list[FactGroup]
    beside: list[Beside]
    receipt_text: str


def view_push_line(push: PushRow, addresses: RepositoryAddresses) -> PushLine:
    moves = _moves(push, addresses)
    return PushLine(
        push.id.hex(),
        addresses.push(push.id.hex()),
        push.user,
        push.user_kind == "agent",
        push.started_at,
        push.state,
        _outcome(push),
        moves[:MOVES_IN_LIST],
        max(0, len(moves) - MOVES_IN_LIST),
        push.commit_count + push.tree_count + push.blob_count,
        push.received_bytes,
        _total_s(push),
    )


def view_push(push: PushRow, addresses: RepositoryAddresses, receipt: Mapping[str, Any]) -> PushPage:
    """`receipt` is what the hub answers to a client that asks whether the push landed."""
    timeline = push.timeline or {}
    waterfall = _waterfall(timeline.get("phases"), timeline.get("total_s"))
    return PushPage(
        push.id.hex(),
        push.user,
        push.user_kind == "agent",
        push.started_at,
        f"{push.started_at:%Y-%m-%d %H:%M}",
        push.state,
        _outcome(push),
        _error(push),
        _moves(push, addresses),
        _tiles(push, timeline),
        waterfall,
        _figures(timeline),
        [*_uploads(timeline.get("uploads")), *_parts(timeline.get("parts"))],
        json.dumps(receipt, indent=2, ensure_ascii=False),
    )


def _total_s(push: PushRow) -> float | None:
    """From its first upload to its end, with pauses if it was cut; of one without uploads or parts, how
    long the hub worked on its only request.
    """
    timeline = push.timeline or {}
    whole_s = (push.finished_at - push.started_at).total_seconds() if push.finished_at else None
    if timeline.get("total_s") is None:
        return whole_s
    last_s = float(timeline["total_s"])
    return max(last_s, whole_s or 0.0) if _had_more(timeline) else last_s


def _had_more(timeline: Mapping[str, Any]) -> bool:
    """Whether the timeline is that of the last request of several."""
    return bool(timeline.get("uploads") or timeline.get("parts"))


def _outcome(push: PushRow) -> str:
    if push.state == DONE:
        return "landed"
    if push.state == FAILED:
        return (_error(push) or {}).get("code") or "failed"
    return "not finished"


def _error(push: PushRow) -> dict[str, Any] | None:
    if push.state != FAILED or not push.result:
        return None
    error = push.result
    return {"code": error.get("code", ""), "message": error.get("message", ""), "hint": error.get("hint")}


def _moves(push: PushRow, addresses: RepositoryAddresses) -> list[Move]:
    updates = (push.result or {}).get("updates", []) if push.state == DONE else []
    return [_move(update, addresses) for update in updates if update.get("old") != update.get("new")]


def _move(update: Mapping[str, Any], addresses: RepositoryAddresses) -> Move:
    name = str(update["name"])
    is_branch = name.startswith(HEADS)

    def target(value: str | None) -> Target | None:
        if value is None:
            return None
        has_page = is_branch or update.get("kind") == "commit"
        return Target(value[:12], addresses.commit(value) if has_page else "")

    return Move(
        "branch" if is_branch else "tag",
        name.removeprefix(HEADS).removeprefix(TAGS),
        target(update.get("old")),
        target(update.get("new")),
        bool(update.get("force")),
    )


def _tiles(push: PushRow, timeline: Mapping[str, Any]) -> list[Fact]:
    total_s = _total_s(push)
    end = f"{_seconds(timeline, 'total_s')} of it the last request" if _had_more(timeline) else ""
    return [
        Fact("Took", format_duration(total_s) if total_s is not None else "–", end),
        Fact("Commits", f"{push.commit_count:,}"),
        Fact("Trees", f"{push.tree_count:,}"),
        Fact("Blobs", f"{push.blob_count:,}"),
        Fact("Received", format_size(push.received_bytes)),
        Fact("Statements", f"{timeline['statements']:,}" if "statements" in timeline else "–"),
        Fact("Store calls", f"{timeline['store_calls']:,}" if "store_calls" in timeline else "–"),
        Fact("Longest transaction", _seconds(timeline, "longest_transaction_s")),
    ]


def _figures(timeline: Mapping[str, Any]) -> list[FactGroup]:
    if not timeline:
        return []
    total_s = float(timeline.get("total_s") or 0.0)
    held_s = float(timeline.get("connection_held_s") or 0.0)
    longest = timeline.get("longest_transaction") or ""
    database = [
        Fact("Statements", f"{timeline.get('statements', 0):,}"),
        Fact("Transactions", f"{timeline.get('transactions', 0):,}"),
        Fact("Longest", _seconds(timeline, "longest_transaction_s"), longest),
        Fact("Moving the refs", _seconds(timeline, "finalise_transaction_s"), "the last transaction"),
        Fact("Connection held", format_duration(held_s), f"{format_share(held_s, total_s)} of the push"),
        Fact("Waited for one", _seconds(timeline, "connection_waited_s")),
    ]
    store = [
        Fact("Calls", f"{timeline.get('store_calls', 0):,}"),
        Fact("Bytes", format_size(int(timeline.get("store_bytes") or 0))),
    ]
    return [FactGroup("Database", database), FactGroup("Object store", store)]


def _uploads(uploads: Mapping[str, Any] | None) -> list[Beside]:
    if not uploads:
        return []
    packs = format_count(int(uploads.get("packs") or 0), "pack")
    objects = format_count(int(uploads.get("objects") or 0), "object")
    size = format_size(int(uploads.get("bytes") or 0))
    text = (
        f"{packs} with {objects}, {size}, went straight to the store. The hub read back and verified them in "
        f"{_work(uploads)}"
    )
    waterfall = _waterfall(uploads.get("phases"), uploads.get("s"))
    return [Beside("uploads", "Direct uploads", text, waterfall, "all confirmations")]


def _parts(parts: Mapping[str, Any] | None) -> list[Beside]:
    if not parts:
        return []
    streams = format_count(int(parts.get("streams") or 0), "stream")
    commits = format_count(int(parts.get("commits") or 0), "commit")
    trees = format_count(int(parts.get("trees") or 0), "tree")
    text = (
        f"{streams} brought {commits} and {trees} before the last one. The hub checked them in {_work(parts)}"
    )
    return [Beside("parts", "In parts", text, _waterfall(parts.get("phases"), parts.get("s")), "all parts")]


def _work(sums: Mapping[str, Any]) -> str:
    return (
        f"{format_duration(float(sums.get('s') or 0.0))} of work, which overlapped with the uploads; the "
        f"longest transaction took {_seconds(sums, 'longest_transaction_s')}."
    )


def _waterfall(phases: Sequence[Mapping[str, Any]] | None, whole_s: Any) -> Waterfall | None:
    if not phases:
        return None
    return draw_waterfall(phases, float(whole_s or 0.0))


def _seconds(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return format_duration(float(value)) if value is not None else "–"
