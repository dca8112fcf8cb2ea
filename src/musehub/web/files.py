"""The pages of files: a repository's first page, folders, and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Redirect

from muse.errors import NotFound
from muse.objects.tree import DIRECTORY, Entry
from musehub.repos.browse import Browser, Revision
from musehub.repos.directories import find_entry
from musehub.settings import Settings
from musehub.web.file_view import view_file
from musehub.web.folder_view import view_folder
from musehub.web.given import GivenBrowser, GivenRepository, GivenSettings, GivenVisit
from musehub.web.labels import make_menu
from musehub.web.listing import load_readme
from musehub.web.page import AnyRequest, page_response
from musehub.web.paging import page_number
from musehub.web.views import RepositoryView


class Located(NamedTuple):
    """What an address names: a path at a revision; `entry` is None for the root, which is in no folder."""

    revision: Revision
    path: str
    entry: Entry | None

    @property
    def is_folder(self) -> bool:
        return self.entry is None or self.entry.kind == DIRECTORY


@get("/{owner:str}/{name:str}")
async def show_overview(
    visit: GivenVisit,
    browser: GivenBrowser,
    repository: GivenRepository,
    settings: GivenSettings,
) -> Response[bytes]:
    """The first page of a repository: its default branch."""
    if repository.default_rev is None:
        empty = {"repository": repository, "tab": "files", "view": None, "menu": None, "readme": None}
        return await page_response(visit, "overview.html", empty)
    revision, _path = await browser.resolve(f"heads/{repository.default_rev}")
    root = Located(revision._replace(text=repository.default_rev), "", None)
    context = await _load_folder(browser, repository, settings, root, 1)
    return await page_response(visit, "overview.html", context)


@get("/{owner:str}/{name:str}/tree/{rest:path}")
async def show_tree(
    request: AnyRequest,
    rest: FromPath[Path],
    visit: GivenVisit,
    browser: GivenBrowser,
    repository: GivenRepository,
    settings: GivenSettings,
) -> Response[Any]:
    """A folder at a revision; a file is sent on to its own page."""
    found = await locate(browser, rest)
    if not found.is_folder:
        return Redirect(repository.addresses.blob(found.revision.text, found.path), status_code=302)
    context = await _load_folder(browser, repository, settings, found, page_number(request))
    return await page_response(visit, "tree.html", context)


@get("/{owner:str}/{name:str}/blob/{rest:path}")
async def show_blob(
    request: AnyRequest,
    rest: FromPath[Path],
    visit: GivenVisit,
    browser: GivenBrowser,
    repository: GivenRepository,
    settings: GivenSettings,
) -> Response[Any]:
    """A file at a revision; a folder is sent on to its own page."""
    revision, path, entry = await locate(browser, rest)
    if entry is None:
        raise unknown_path(path)
    if entry.kind == DIRECTORY:
        return Redirect(repository.addresses.tree(revision.text, path), status_code=302)
    as_source = request.query_params.get("view") == "source"
    view = await view_file(browser, repository, revision, path, entry, as_source, settings.web_text_max_bytes)
    context = {
        "repository": repository,
        "tab": "files",
        "view": view,
        "menu": make_menu(repository, "blob", revision.text, revision.ref, path),
    }
    return await page_response(visit, "blob.html", context)


async def _load_folder(
    browser: Browser, repository: RepositoryView, settings: Settings, found: Located, number: int
) -> dict[str, Any]:
    """What a page of a folder shows: some of its entries, and on the first page its readme."""
    revision, path, entry = found
    tree_id = revision.commit.tree_id if entry is None else entry.id
    view, entries = await view_folder(browser, repository, revision, path, tree_id, number)
    readme = None
    if number == 1:
        readme = await load_readme(
            browser, entries, repository.addresses, revision.text, path, settings.web_text_max_bytes
        )
    return {
        "repository": repository,
        "tab": "files",
        "view": view,
        "menu": make_menu(repository, "tree", revision.text, revision.ref, path),
        "readme": readme,
    }


async def locate(browser: Browser, rest: Path) -> Located:
    """Find what the part of an address names that follows the name of the page: a revision and a path.

    Raises NotFound("unknown-revision", "ambiguous-revision", "unknown-path").
    """
    revision, path = await browser.resolve(str(rest).strip("/"))
    if not path:
        return Located(revision, "", None)
    entry = await find_entry(browser.reader, revision.commit.tree_id, path)
    if entry is None:
        raise unknown_path(path)
    return Located(revision, path, entry)


def unknown_path(path: str) -> NotFound:
    return NotFound("unknown-path", f'there is no file "{path}" at this revision')
