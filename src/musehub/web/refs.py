"""The lists of branches and tags."""

from __future__ import annotations

from typing import NamedTuple

from litestar import Response, get
from litestar.params import FromPath

from muse.objects.ids import Kind
from muse.wire.refnames import HEADS
from musehub.web.given import GivenLibrary, GivenVisit
from musehub.web.page import page_response
from musehub.web.views import CommitView, tag_rev, view_commit_row, view_repository


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
    owner: FromPath[str], name: FromPath[str], visit: GivenVisit, library: GivenLibrary
) -> Response[bytes]:
    """The default branch, then those that moved last."""
    browser = await library.open(owner, name)
    repository = view_repository(browser.repository, browser.refs)
    addresses = repository.addresses
    targets = {branch: browser.refs[HEADS + branch].target for branch in repository.branches}
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
        "rows": rows,
        "empty_text": "There is no branch yet.",
    }
    return await page_response(visit, "refs.html", context)


@get("/{owner:str}/{name:str}/tags")
async def show_tags(
    owner: FromPath[str], name: FromPath[str], visit: GivenVisit, library: GivenLibrary
) -> Response[bytes]:
    """All tags, those of the newest commits first."""
    browser = await library.open(owner, name)
    repository = view_repository(browser.repository, browser.refs)
    addresses = repository.addresses
    tags = await browser.load_tags()
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
        "rows": rows,
        "empty_text": "There is no tag yet.",
    }
    return await page_response(visit, "refs.html", context)


def _time(row: RefRow) -> float:
    return row.commit.committed_at.timestamp() if row.commit is not None else float("-inf")
