"""Folders as tables, paths as links, and the readme below them."""

from __future__ import annotations

import asyncio
import posixpath
from typing import NamedTuple

from muse.objects.tree import (
    CHUNKED_EXECUTABLE,
    DIRECTORY,
    EXECUTABLE,
    FILE_KINDS,
    SUBMODULE,
    SYMLINK,
    Entry,
)
from musehub.repos.browse import Browser
from musehub.repos.files import load_file
from musehub.web.addresses import RepositoryAddresses
from musehub.web.content import choose_readme
from musehub.web.differences import decode_text
from musehub.web.markdown import Place, is_markdown, render_markdown
from musehub.web.wording import format_size

ROWS_PER_PAGE = 1_000

_ICONS = {
    DIRECTORY: "directory",
    EXECUTABLE: "executable",
    CHUNKED_EXECUTABLE: "executable",
    SYMLINK: "symlink",
    SUBMODULE: "submodule",
}


class Row(NamedTuple):
    """One name in a folder; a submodule has no address, its content is in another repository."""

    name: str
    icon: str
    address: str
    size: str
    note: str = ""


class Crumb(NamedTuple):
    """One part of a path; the last has no address."""

    name: str
    address: str


class Readme(NamedTuple):
    """Either `html`, or `text` that is shown as it is."""

    name: str
    address: str
    html: str | None
    text: str


def sort_entries(entries: list[Entry]) -> list[Entry]:
    """Folders first, then by name without regard to case."""
    return sorted(entries, key=lambda entry: (entry.kind != DIRECTORY, entry.name.casefold(), entry.name))


def list_rows(entries: list[Entry], addresses: RepositoryAddresses, rev: str, folder: str) -> list[Row]:
    return [_row(entry, addresses, rev, posixpath.join(folder, entry.name)) for entry in entries]


def _row(entry: Entry, addresses: RepositoryAddresses, rev: str, path: str) -> Row:
    icon = _ICONS.get(entry.kind, "file")
    if entry.kind == SUBMODULE:
        return Row(entry.name, icon, "", "", f"at {entry.id.hex()[:12]}")
    if entry.kind == DIRECTORY:
        return Row(entry.name, icon, addresses.tree(rev, path), format_size(entry.size_bytes))
    return Row(entry.name, icon, addresses.blob(rev, path), format_size(entry.size_bytes))


def make_crumbs(addresses: RepositoryAddresses, rev: str, path: str) -> list[Crumb]:
    parts = path.split("/") if path else []
    crumbs = [
        Crumb(name, addresses.tree(rev, "/".join(parts[: depth + 1]))) for depth, name in enumerate(parts)
    ]
    return [*crumbs[:-1], Crumb(parts[-1], "")] if crumbs else []


async def load_readme(
    browser: Browser,
    entries: list[Entry],
    addresses: RepositoryAddresses,
    rev: str,
    folder: str,
    max_bytes: int,
) -> Readme | None:
    """The file that introduces a folder, rendered; None if there is none, or no text of bearable size."""
    files = {entry.name: entry for entry in entries if entry.kind in FILE_KINDS}
    name = choose_readme(list(files))
    if name is None or files[name].size_bytes > max_bytes:
        return None
    text = decode_text(await load_file(browser.reader, files[name]))
    if text is None:
        return None
    html = None
    if is_markdown(name):
        html = await asyncio.to_thread(render_markdown, text, Place(addresses, rev, folder))
    return Readme(name, addresses.blob(rev, posixpath.join(folder, name)), html, text)
