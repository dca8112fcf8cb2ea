"""Rows of the commit tables, made from decoded commits."""

from __future__ import annotations

from typing import Any

from muse.objects.commit import Commit

MIN_SECONDS = -62_135_596_800
MAX_SECONDS = 253_402_300_799
"""The years 1 to 9999: what columns and `datetime` can hold. The commit itself keeps what it says."""

MAX_SUMMARY = 500
MAX_TEXT = 1000


def commit_row(repository_id: int, object_id: bytes, commit: Commit, generation: int) -> tuple[Any, ...]:
    """In the order of `musehub.db.history.COMMIT_COLUMNS`."""
    agent = commit.agent
    return (
        repository_id,
        object_id,
        commit.tree,
        generation,
        _text(commit.author.name),
        _text(commit.author.email),
        _micros(commit.author.time_s),
        _text(commit.committer.name),
        _text(commit.committer.email),
        _micros(commit.committer.time_s),
        "agent" if agent else "human",
        _text(agent.name) if agent else None,
        _text(agent.model) if agent else None,
        _text(agent.tool) if agent else None,
        _text(commit.summary[:MAX_SUMMARY]),
        commit.signature.key if commit.signature else None,
    )


def parent_rows(
    repository_id: int, object_id: bytes, commit: Commit, generations: dict[bytes, int]
) -> list[tuple[Any, ...]]:
    """In the order of `musehub.db.history.PARENT_COLUMNS`."""
    return [
        (repository_id, object_id, position, parent, generations[parent])
        for position, parent in enumerate(commit.parents)
    ]


def _text(text: str) -> str:
    """PostgreSQL has no NUL in texts."""
    return text[:MAX_TEXT].replace("\0", "\ufffd")


def _micros(time_s: int) -> int:
    return min(max(time_s, MIN_SECONDS), MAX_SECONDS) * 1_000_000
