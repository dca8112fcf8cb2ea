"""The lists of branches and tags."""

from __future__ import annotations

from collections.abc import Container
from string import hexdigits
from typing import Any, NamedTuple

from litestar import Response, get

from muse.objects.ids import ID_BYTES, Kind
from musehub.db.history import CommitRow
from musehub.db.ref_pages import is_storable
from musehub.repos.refs import PeeledTag
from musehub.web.addresses import RepositoryAddresses
from musehub.web.given import GivenBrowser, GivenRepository, GivenVisit
from musehub.web.labels import ANNOTATED_MAX, tag_rev
from musehub.web.page import AnyRequest, page_response
from musehub.web.paging import page_links, page_number
from musehub.web.views import CommitView, view_commit_row

PAGE_SIZE = 100


class RefRow(NamedTuple):
    """A branch or tag; `note` says what a tag is beside a name, `commit` is None if it names none."""

    kind: str
    name: str
    address: str
    commits_address: str
    is_default: bool
    note: str
    message: str
    commit: CommitView | None


@get("/{owner:str}/{name:str}/branches")
async def show_branches(
    request: AnyRequest, visit: GivenVisit, browser: GivenBrowser, repository: GivenRepository
) -> Response[bytes]:
    """The default branch, then those of the newest commits; with `at` those that stand at one commit."""
    addresses = repository.addresses
    asked = _Asked.of(request)
    found = await browser.refs.list_branches(
        first=repository.default_branch,
        search=asked.query,
        target=asked.at,
        limit=PAGE_SIZE + 1,
        offset=asked.start,
    )
    commits = await browser.find_commits({ref.target for _name, ref in found})
    rows = []
    for branch, ref in found:
        row = commits.get(ref.target)
        rows.append(
            RefRow(
                "branch",
                branch,
                addresses.tree(branch),
                addresses.commits(branch),
                branch == repository.default_branch,
                "",
                "",
                view_commit_row(row, addresses) if row is not None else None,
            )
        )
    context = {
        "repository": repository,
        "tab": "branches",
        "title": "Branches",
        **asked.page(addresses.branches, rows, repository.refs.counts.branches),
        "empty_text": "There is no branch yet." if not asked.query else "No branch is called so.",
    }
    return await page_response(visit, "refs.html", context)


@get("/{owner:str}/{name:str}/tags")
async def show_tags(
    request: AnyRequest, visit: GivenVisit, browser: GivenBrowser, repository: GivenRepository
) -> Response[bytes]:
    """All tags, those of the newest commits first; with `at` those that stand at one commit."""
    addresses = repository.addresses
    asked = _Asked.of(request)
    count = repository.refs.counts.tags
    if count <= ANNOTATED_MAX:
        tags = await browser.refs.list_tags(search=asked.query, limit=count)
        tags = [tag for tag in tags if asked.at in (None, tag.target)]
    else:
        tags = await browser.refs.list_tags(
            search=asked.query, target=asked.at, limit=PAGE_SIZE + 1, offset=asked.start
        )
    commits = await browser.find_commits({tag.target for tag in tags if tag.kind is Kind.COMMIT})
    ambiguous = await browser.refs.find_ambiguous([tag.name for tag in tags])
    rows = [_view_tag(tag, commits.get(tag.target), addresses, ambiguous) for tag in tags]
    if count <= ANNOTATED_MAX:
        rows.sort(key=lambda row: (-_time(row), row.name))
        rows = rows[asked.start :]
    context = {
        "repository": repository,
        "tab": "tags",
        "title": "Tags",
        **asked.page(addresses.tags, rows, count),
        "empty_text": "There is no tag yet." if not asked.query else "No tag is called so.",
    }
    return await page_response(visit, "refs.html", context)


def _view_tag(
    tag: PeeledTag, row: CommitRow | None, addresses: RepositoryAddresses, ambiguous: Container[str]
) -> RefRow:
    rev = tag_rev(tag.name, ambiguous)
    note = "annotated" if tag.tag is not None else ""
    if tag.tag is not None and tag.tag.signature is not None:
        note = "signed"
    if row is None:
        note = f"names a {tag.kind.name.lower()}"
    return RefRow(
        "tag",
        tag.name,
        addresses.tree(rev) if row is not None else "",
        addresses.commits(rev) if row is not None else "",
        False,
        note,
        tag.tag.message.strip().partition("\n")[0] if tag.tag is not None else "",
        view_commit_row(row, addresses) if row is not None else None,
    )


class _Asked(NamedTuple):
    """What part of the list a request is about."""

    query: str
    at: bytes | None
    number: int

    @classmethod
    def of(cls, request: AnyRequest) -> _Asked:
        query = request.query_params.get("q", "").strip()[:200]
        at = request.query_params.get("at", "")
        is_id = len(at) == 2 * ID_BYTES and all(digit in hexdigits for digit in at)
        return cls(
            query if is_storable(query) else "\ufffd",
            bytes.fromhex(at) if is_id else None,
            page_number(request),
        )

    @property
    def start(self) -> int:
        return (self.number - 1) * PAGE_SIZE

    def page(self, address: str, rows: list[RefRow], count: int) -> dict[str, Any]:
        """The first of these rows, and the ways to the other pages."""
        kept = {"q": self.query} if self.query else {}
        if self.at is not None:
            kept["at"] = self.at.hex()
        return {
            "rows": rows[:PAGE_SIZE],
            "query": self.query,
            "search_address": address,
            "is_searchable": bool(self.query) or count > PAGE_SIZE,
            **page_links(address, self.number, len(rows) > PAGE_SIZE, kept),
        }


def _time(row: RefRow) -> float:
    return row.commit.committed_at.timestamp() if row.commit is not None else float("-inf")
