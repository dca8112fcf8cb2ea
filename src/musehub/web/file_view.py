"""A file at a revision, as its page shows it."""

from __future__ import annotations

import asyncio
import posixpath
from typing import NamedTuple

from muse.objects.ids import format_id
from muse.objects.tree import CHUNKED_EXECUTABLE, EXECUTABLE, SUBMODULE, SYMLINK, Entry
from musehub.repos.browse import Browser, Revision
from musehub.repos.files import file_digest, load_file
from musehub.web.addresses import RepositoryAddresses
from musehub.web.content import picture_type
from musehub.web.differences import decode_text
from musehub.web.highlight import highlight_lines
from musehub.web.listing import Crumb, make_crumbs
from musehub.web.markdown import Place, is_markdown, render_markdown
from musehub.web.views import RepositoryView, rev_name
from musehub.web.wording import format_count, format_size


class FileView(NamedTuple):
    """A file at a revision: rendered `html`, or `lines`, or a picture, or a `message` about what it is."""

    rev: str
    rev_name: str
    path: str
    name: str
    root_name: str
    root_address: str
    crumbs: list[Crumb]
    facts: list[str]
    size_text: str
    content_id: str
    raw_address: str
    permanent_address: str
    source_address: str = ""
    rendered_address: str = ""
    image_address: str = ""
    html: str | None = None
    lines: list[str] | None = None
    message: str = ""


async def view_file(
    browser: Browser,
    repository: RepositoryView,
    revision: Revision,
    path: str,
    entry: Entry,
    as_source: bool,
    max_bytes: int,
) -> FileView:
    addresses = repository.addresses
    name = posixpath.basename(path)
    digest = await file_digest(browser.reader, entry) if entry.kind != SUBMODULE else entry.id
    view = FileView(
        rev=revision.text,
        rev_name=rev_name(revision.text, revision.ref),
        path=path,
        name=name,
        root_name=repository.name,
        root_address=addresses.tree(revision.text),
        crumbs=make_crumbs(addresses, revision.text, path),
        facts=[format_size(entry.size_bytes)],
        size_text=f"{format_size(entry.size_bytes)} ({entry.size_bytes:,} bytes)",
        content_id=format_id(digest).partition(":")[2],
        raw_address=addresses.raw(revision.text, path),
        permanent_address=addresses.blob(revision.commit.id.hex(), path) if revision.ref else "",
    )
    if entry.kind == SUBMODULE:
        return view._replace(
            raw_address="",
            facts=["submodule"],
            size_text="–",
            content_id=entry.id.hex()[:40],
            message="A submodule: another repository at one of its commits. It is not kept here.",
        )
    if picture_type(path) and not as_source and entry.kind != SYMLINK:
        return view._replace(
            image_address=view.raw_address, source_address=_source_of_svg(addresses, revision, path)
        )
    if entry.size_bytes > max_bytes:
        return view._replace(message=f"Larger than the {format_size(max_bytes)} that pages show.")
    text = decode_text(await load_file(browser.reader, entry))
    if text is None:
        return view._replace(message="Not a text.")
    if entry.kind == SYMLINK:
        return view._replace(facts=["symbolic link"], message=f"A symbolic link to “{text}”.")
    if entry.kind in (EXECUTABLE, CHUNKED_EXECUTABLE):
        view.facts.append("executable")
    if is_markdown(name) and not as_source:
        html = await asyncio.to_thread(
            render_markdown, text, Place(addresses, revision.text, posixpath.dirname(path))
        )
        return view._replace(html=html, source_address=addresses.blob(revision.text, path, view="source"))
    lines = await asyncio.to_thread(highlight_lines, text, name)
    view.facts.insert(0, format_count(len(lines), "line"))
    rendered = addresses.blob(revision.text, path) if as_source and _has_rendering(name) else ""
    return view._replace(lines=lines, rendered_address=rendered)


def _has_rendering(name: str) -> bool:
    return is_markdown(name) or picture_type(name) is not None


def _source_of_svg(addresses: RepositoryAddresses, revision: Revision, path: str) -> str:
    return addresses.blob(revision.text, path, view="source") if path.lower().endswith(".svg") else ""
