"""Rows of the commit tables, made from decoded commits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muse.history.walk import next_generation
from muse.objects.commit import Commit

MIN_SECONDS = -62_135_596_800
MAX_SECONDS = 253_402_300_799
"""The years 1 to 9999: what columns and `datetime` can hold. The commit itself keeps what it says."""

MAX_SUMMARY = 500
MAX_TEXT = 1000


def derive_commit_rows(
    repository_id: int, object_id: bytes, commit: Commit, generations: Mapping[bytes, int]
) -> tuple[int, tuple[Any, ...], list[tuple[Any, ...]]]:
    """A commit's generation, its row and those of its parents; `generations` has those of all parents.

    Columns are in the order of `COMMIT_COLUMNS` and `PARENT_COLUMNS` of `musehub.db.history`.
    """
    generation = next_generation(generations[parent] for parent in commit.parents)
    agent = commit.agent
    row = (
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
    parents = [
        (repository_id, object_id, position, parent, generations[parent])
        for position, parent in enumerate(commit.parents)
    ]
    return generation, row, parents


def _text(text: str) -> str:
    """PostgreSQL has no NUL in texts."""
    return text[:MAX_TEXT].replace("\0", "\ufffd")


def _micros(time_s: int) -> int:
    return min(max(time_s, MIN_SECONDS), MAX_SECONDS) * 1_000_000
