"""The pages of files: a repository's first page, folders, files, and their bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Redirect

from muse.errors import NotFound
from muse.objects.tree import DIRECTORY, Entry
from musehub.repos.browse import Browser, Revision
from musehub.repos.directories import find_entry
from musehub.web.file_view import view_file
from musehub.web.folder_view import view_folder
from musehub.web.given import GivenBrowser, GivenRepository, GivenSettings, GivenVisit
from musehub.web.home import page_number
from musehub.web.labels import make_menu
from musehub.web.listing import load_readme
from musehub.web.page import AnyRequest, page_response
from musehub.web.views import RepositoryView


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
    revision = revision._replace(text=repository.default_rev)
    context = await _show_folder(
        browser, repository, revision, "", revision.commit.tree_id, 1, settings.web_text_max_bytes
    )
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
    revision, path = await browser.resolve(address_text(rest))
    tree_id = revision.commit.tree_id
    if path:
        entry = await get_entry(browser, revision, path)
        if entry.kind != DIRECTORY:
            return _redirect(repository.addresses.blob(revision.text, path))
        tree_id = entry.id
    context = await _show_folder(
        browser, repository, revision, path, tree_id, page_number(request), settings.web_text_max_bytes
    )
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
    revision, path = await browser.resolve(address_text(rest))
    entry = await get_entry(browser, revision, path)
    if entry.kind == DIRECTORY:
        return _redirect(repository.addresses.tree(revision.text, path))
    as_source = request.query_params.get("view") == "source"
    view = await view_file(browser, repository, revision, path, entry, as_source, settings.web_text_max_bytes)
    context = {
        "repository": repository,
        "tab": "files",
        "view": view,
        "menu": make_menu(repository, "blob", revision.text, revision.ref, path),
    }
    return await page_response(visit, "blob.html", context)


async def _show_folder(
    browser: Browser,
    repository: RepositoryView,
    revision: Revision,
    path: str,
    tree_id: bytes,
    number: int,
    max_bytes: int,
) -> dict[str, Any]:
    """What the page of a folder shows: its entries, and on the first page its readme."""
    view, entries = await view_folder(browser, repository, revision, path, tree_id, number)
    readme = None
    if number == 1:
        readme = await load_readme(browser, entries, repository.addresses, revision.text, path, max_bytes)
    return {
        "repository": repository,
        "tab": "files",
        "view": view,
        "menu": make_menu(repository, "tree", revision.text, revision.ref, path),
        "readme": readme,
    }


async def get_entry(browser: Browser, revision: Revision, path: str) -> Entry:
    entry = await find_entry(browser.reader, revision.commit.tree_id, path) if path else None
    if entry is None:
        raise unknown_path(path)
    return entry


def unknown_path(path: str) -> NotFound:
    return NotFound("unknown-path", f'there is no file "{path}" at this revision')


def address_text(rest: Path) -> str:
    """What the address says below the name of the page, without the slash before it."""
    return str(rest).strip("/")


def _redirect(address: str) -> Response[Any]:
    return Redirect(address, status_code=302)
