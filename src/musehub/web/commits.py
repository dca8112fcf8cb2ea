"""The pages of a history: its commits, and one commit with what it changed."""

from __future__ import annotations

import asyncio
import base64
import binascii
from datetime import UTC, date
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from litestar import Response, get
from litestar.params import FromPath

from muse.errors import InvalidData, UsageError
from muse.objects.commit import Commit
from muse.objects.ids import ID_BYTES
from muse.objects.signature import check_signature
from musehub.web.changes import load_changes
from musehub.web.given import GivenAccounts, GivenBrowser, GivenRepository, GivenSettings, GivenVisit
from musehub.web.labels import load_labels, make_menu
from musehub.web.page import AnyRequest, page_response
from musehub.web.views import (
    CommitView,
    Label,
    body_of,
    rev_name,
    view_commit,
    view_commit_row,
)

PAGE_SIZE = 50
_MAX_STARTS = 200


class Day(NamedTuple):
    """Commits of one day, in UTC."""

    name: str
    machine: str
    commits: list[CommitView]


class HistoryView(NamedTuple):
    rev: str
    rev_name: str
    days: list[Day]
    newer: str
    older: str


@get("/{owner:str}/{name:str}/commits/{rest:path}")
async def show_commits(
    request: AnyRequest,
    rest: FromPath[Path],
    visit: GivenVisit,
    browser: GivenBrowser,
    repository: GivenRepository,
) -> Response[bytes]:
    """The history of a revision, newest first.

    Where a page begins is in its address: the heads of all that is not shown yet.
    """
    addresses = repository.addresses
    revision, _path = await browser.resolve(str(rest).strip("/"))
    after = request.query_params.get("after", "")
    starts = decode_starts(after) if after else [revision.commit.id]
    page = await browser.load_history(starts, PAGE_SIZE)
    labels = await load_labels(browser, repository, [row.id for row in page.commits])
    commits = [view_commit_row(row, addresses, labels) for row in page.commits]
    rest_of_it = page.rest[:_MAX_STARTS]
    context = {
        "repository": repository,
        "tab": "commits",
        "menu": make_menu(repository, "commits", revision.text, revision.ref),
        "view": HistoryView(
            revision.text,
            rev_name(revision.text, revision.ref),
            _by_day(commits),
            addresses.commits(revision.text) if after else "",
            addresses.commits(revision.text, encode_starts(rest_of_it)) if rest_of_it else "",
        ),
    }
    return await page_response(visit, "commits.html", context)


@get("/{owner:str}/{name:str}/commit/{commit:str}")
async def show_commit(
    commit: FromPath[str],
    visit: GivenVisit,
    browser: GivenBrowser,
    repository: GivenRepository,
    settings: GivenSettings,
    accounts: GivenAccounts,
) -> Response[bytes]:
    """One commit: who, when, why, and the lines it changed against its first parent."""
    addresses = repository.addresses
    row, content = await browser.get_commit(commit)
    signer = await accounts.keys.find_owner(row.signer_key) if row.signer_key is not None else None
    parent_rows = await browser.find_commits(content.parents[:1])
    parent = parent_rows[content.parents[0]] if content.parents else None
    changes = await load_changes(browser, addresses, row, parent, len(content.parents), settings)
    labels = await load_labels(browser, repository, [row.id])
    context = {
        "repository": repository,
        "tab": "commits",
        "commit": view_commit(row.id, content, addresses, labels, signer),
        "is_verified": await asyncio.to_thread(_is_verified, content),
        "body": body_of(content.message),
        "parents": [Label("commit", key.hex()[:12], addresses.commit(key.hex())) for key in content.parents],
        "extra": sorted(content.extra.items()),
        "changes": changes,
    }
    return await page_response(visit, "commit.html", context)


def _is_verified(commit: Commit) -> bool:
    try:
        return check_signature(commit) is not None
    except InvalidData:
        return False


def _by_day(commits: list[CommitView]) -> list[Day]:
    def day(commit: CommitView) -> date:
        return commit.committed_at.astimezone(UTC).date()

    return [Day(f"{key.day} {key:%B %Y}", key.isoformat(), list(some)) for key, some in groupby(commits, day)]


def encode_starts(ids: list[bytes]) -> str:
    """Ids of commits as they stand in an address."""
    return base64.urlsafe_b64encode(b"".join(ids)).rstrip(b"=").decode()


def decode_starts(text: str) -> list[bytes]:
    """Raises UsageError("bad-arguments")."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not raw or len(raw) % ID_BYTES or len(raw) > _MAX_STARTS * ID_BYTES:
        raise UsageError("bad-arguments", "this page of the history does not exist")
    return [raw[start : start + ID_BYTES] for start in range(0, len(raw), ID_BYTES)]
