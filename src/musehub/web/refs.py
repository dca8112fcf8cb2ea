"""The lists of branches and tags."""

from __future__ import annotations

from typing import Any, NamedTuple

from litestar import Response, get
from litestar.params import FromPath

from muse.objects.ids import Kind
from muse.wire.refnames import HEADS
from musehub.web.given import GivenLibrary, GivenVisit
from musehub.web.home import page_links, page_number
from musehub.web.page import AnyRequest, page_response
from musehub.web.views import CommitView, tag_rev, view_commit_row, view_repository

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
    request: AnyRequest, owner: FromPath[str], name: FromPath[str], visit: GivenVisit, library: GivenLibrary
) -> Response[bytes]:
    """The default branch, then those that moved last."""
    browser = await library.open(owner, name)
    repository = view_repository(browser.repository, browser.refs)
    addresses = repository.addresses
    query = _query(request)
    targets = {
        branch: browser.refs[HEADS + branch].target for branch in repository.branches if query in branch
    }
    commits = await browser.find_commits(set(targets.values()))
    rows = [
        RefRow(
            "branch",
            branch,
            addresses.tree(branch),
            addresses.commits(branch),
            branch == repository.default_branch,
            "",
            "",
            view_commit_row(commits[target], addresses),
        )
        for branch, target in targets.items()
    ]
    rows.sort(key=lambda row: (not row.is_default, -_time(row), row.name))
    context = {
        "repository": repository,
        "tab": "branches",
        "title": "Branches",
        **_page(request, addresses.branches, rows, query),
        "empty_text": "There is no branch yet." if not query else "No branch is called so.",
    }
    return await page_response(visit, "refs.html", context)


@get("/{owner:str}/{name:str}/tags")
async def show_tags(
    request: AnyRequest, owner: FromPath[str], name: FromPath[str], visit: GivenVisit, library: GivenLibrary
) -> Response[bytes]:
    """All tags, those of the newest commits first."""
    browser = await library.open(owner, name)
    repository = view_repository(browser.repository, browser.refs)
    addresses = repository.addresses
    query = _query(request)
    tags = [tag for tag in await browser.load_tags() if query in tag.name]
    commits = await browser.find_commits({tag.target for tag in tags if tag.kind is Kind.COMMIT})
    rows = []
    for tag in tags:
        row = commits.get(tag.target) if tag.kind is Kind.COMMIT else None
        rev = tag_rev(repository, tag.name)
        note = "annotated" if tag.tag is not None else ""
        if tag.tag is not None and tag.tag.signature is not None:
            note = "signed"
        if row is None:
            note = f"names a {tag.kind.name.lower()}"
        rows.append(
            RefRow(
                "tag",
                tag.name,
                addresses.tree(rev) if row is not None else "",
                addresses.commits(rev) if row is not None else "",
                False,
                note,
                tag.tag.message.strip().partition("\n")[0] if tag.tag is not None else "",
                view_commit_row(row, addresses) if row is not None else None,
            )
        )
    rows.sort(key=lambda row: (-_time(row), row.name))
    context = {
        "repository": repository,
        "tab": "tags",
        "title": "Tags",
        **_page(request, addresses.tags, rows, query),
        "empty_text": "There is no tag yet." if not query else "No tag is called so.",
    }
    return await page_response(visit, "refs.html", context)


def _query(request: AnyRequest) -> str:
    return request.query_params.get("q", "").strip()[:200]


def _page(request: AnyRequest, address: str, rows: list[RefRow], query: str) -> dict[str, Any]:
    """The rows of the page that is asked for, and the ways to the others."""
    number = page_number(request)
    start = (number - 1) * PAGE_SIZE
    more = len(rows) > start + PAGE_SIZE
    return {
        "rows": rows[start : start + PAGE_SIZE],
        "query": query,
        "search_address": address,
        "is_searchable": bool(query) or len(rows) > PAGE_SIZE,
        **page_links(address, number, more, {"q": query} if query else {}),
    }


def _time(row: RefRow) -> float:
    return row.commit.committed_at.timestamp() if row.commit is not None else float("-inf")
