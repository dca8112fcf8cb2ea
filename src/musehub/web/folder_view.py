"""A folder at a revision, as its page shows it."""

from __future__ import annotations

import asyncio
import posixpath
from typing import NamedTuple

from muse.objects.tree import Entry
from musehub.repos.browse import Browser, Revision
from musehub.repos.directories import Totals, load_entries, load_totals
from musehub.web.listing import ROWS_PER_PAGE, Crumb, Row, list_rows, make_crumbs, sort_entries
from musehub.web.views import CommitView, RepositoryView, rev_name, view_commit_row
from musehub.web.wording import format_size


class FolderView(NamedTuple):
    """A page of a folder at a revision."""

    rev: str
    rev_name: str
    path: str
    root_name: str
    root_address: str
    crumbs: list[Crumb]
    commit: CommitView
    rows: list[Row]
    parent_address: str
    totals: Totals
    page_text: str
    previous_address: str
    next_address: str

    @property
    def files_text(self) -> str:
        return f"{self.totals.files:,}"

    @property
    def size_text(self) -> str:
        return format_size(self.totals.size_bytes)


async def view_folder(
    browser: Browser, repository: RepositoryView, revision: Revision, path: str, tree_id: bytes, number: int
) -> tuple[FolderView, list[Entry]]:
    """The view, and all entries of the folder."""
    entries = await asyncio.to_thread(sort_entries, await load_entries(browser.reader, tree_id))
    totals = await load_totals(browser.reader, tree_id)
    addresses = repository.addresses
    start = (number - 1) * ROWS_PER_PAGE
    shown = entries[start : start + ROWS_PER_PAGE]
    here = addresses.tree(revision.text, path)
    page_text = ""
    if len(entries) > ROWS_PER_PAGE:
        page_text = f"{start + 1:,} to {start + len(shown):,} of {len(entries):,}"
    parent = ""
    if path:
        parent = addresses.tree(revision.text, posixpath.dirname(path))
    view = FolderView(
        revision.text,
        rev_name(revision.text, revision.ref),
        path,
        repository.name,
        addresses.tree(revision.text),
        make_crumbs(addresses, revision.text, path),
        view_commit_row(revision.commit, addresses),
        list_rows(shown, addresses, revision.text, path),
        parent,
        totals,
        page_text,
        f"{here}?page={number - 1}" if number > 1 else "",
        f"{here}?page={number + 1}" if start + ROWS_PER_PAGE < len(entries) else "",
    )
    return view, entries
