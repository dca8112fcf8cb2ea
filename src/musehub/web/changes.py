"""What a commit changed: the list of files, and the lines of those that are texts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from muse.history.textdiff import Hunk
from muse.history.treediff import Change, find_renames
from muse.objects.tree import (
    CHUNKED_EXECUTABLE,
    CHUNKED_FILE,
    EXECUTABLE,
    FILE,
    SUBMODULE,
    SYMLINK,
    Entry,
)
from musehub.db.history import CommitRow
from musehub.repos.browse import Browser
from musehub.repos.differences import diff_trees
from musehub.repos.files import load_ahead, load_file
from musehub.settings import Settings
from musehub.web.addresses import RepositoryAddresses
from musehub.web.content import picture_type
from musehub.web.differences import TextDifference, compare_texts, decode_text
from musehub.web.wording import format_count, format_size

FILES_MAX = 1_000
"""A page lists no more changed files than this."""
COMPARED_MAX = 300
"""And shows the lines of no more than this."""
_READ_AHEAD = 50
_AHEAD_MAX_BYTES = 64 << 10

_LETTERS = {"added": "A", "deleted": "D", "modified": "M", "renamed": "R"}
_KINDS = {
    FILE: "file",
    CHUNKED_FILE: "file",
    EXECUTABLE: "executable",
    CHUNKED_EXECUTABLE: "executable",
    SYMLINK: "symbolic link",
    SUBMODULE: "submodule",
}


class FileDifference(NamedTuple):
    """One changed path; it has a section of its own below the list if there is something to see."""

    number: int
    status: str
    title: str
    address: str
    mode_note: str
    note: str
    """What the list says of it where no lines are counted."""
    added: int = 0
    deleted: int = 0
    hunks: list[Hunk] = []
    image_pair: list[tuple[str, str]] = []
    message: str = ""

    @property
    def is_shown(self) -> bool:
        return bool(self.hunks or self.image_pair or self.message)

    @property
    def letter(self) -> str:
        return _LETTERS[self.status]


class ChangesView(NamedTuple):
    title: str
    added: int
    deleted: int
    note: str
    files: list[FileDifference]


class _Place(NamedTuple):
    """Where the two versions of a file are found."""

    addresses: RepositoryAddresses
    old_rev: str
    new_rev: str


async def load_changes(
    browser: Browser,
    addresses: RepositoryAddresses,
    commit: CommitRow,
    parent: CommitRow | None,
    parent_count: int,
    settings: Settings,
) -> ChangesView:
    """Compare a commit with its first parent, as far as one page goes."""
    old_tree = parent.tree_id if parent is not None else None
    found, more = await diff_trees(
        browser.reader, old_tree, commit.tree_id, FILES_MAX, settings.web_max_directories
    )
    renames = find_renames(found)
    moved = set(renames.values())
    changes = [change for change in found if change.path not in moved or change.new is not None]
    olds = {change.path: change.old for change in found}
    place = _Place(addresses, parent.id.hex() if parent is not None else "", commit.id.hex())

    files, left_out = await _compare_files(browser, place, changes, renames, olds, settings)
    notes = []
    if parent_count > 1:
        notes.append("A merge: compared with its first parent.")
    if more:
        notes.append(f"Too many changes to show: only {format_count(len(files), 'changed file')} listed.")
    if left_out:
        notes.append("The lines of the last files are left out: this commit is too large for one page.")
    title = format_count(len(files), "changed file")
    return ChangesView(
        f"More than {title}" if more else title,
        sum(file.added for file in files),
        sum(file.deleted for file in files),
        " ".join(notes),
        files,
    )


async def _compare_files(
    browser: Browser,
    place: _Place,
    changes: Sequence[Change],
    renames: Mapping[str, str],
    olds: Mapping[str, Entry | None],
    settings: Settings,
) -> tuple[list[FileDifference], bool]:
    """The changes in their order, with their lines while a page has room for them; whether some had none.

    `renames` maps new paths to old ones, `olds` old paths to what was there.
    """
    lines_left = settings.web_diff_max_lines
    left_out = False
    files: list[FileDifference] = []
    for number, change in enumerate(changes, start=1):
        old_path = renames.get(change.path, change.path)
        if old_path != change.path:
            change = Change(change.path, olds[old_path], change.new)
        file = _describe(place, number, change, old_path)
        if number > COMPARED_MAX or lines_left <= 0:
            left_out = True
        else:
            if number % _READ_AHEAD == 1:
                await _load_ahead(browser, changes[number - 1 : number - 1 + _READ_AHEAD])
            file = await _compare(browser, place, file, change, old_path, settings.web_text_max_bytes)
            length = sum(len(hunk.lines) for hunk in file.hunks)
            if length > lines_left:
                file, length = file._replace(hunks=[], message="Too many lines for this page."), 0
            lines_left -= length
        files.append(file)
    return files, left_out


def _describe(place: _Place, number: int, change: Change, old_path: str) -> FileDifference:
    """What is known of a change without reading the file."""
    old, new = change.old, change.new
    status = "added" if old is None else "deleted" if new is None else "modified"
    title = change.path
    if old_path != change.path:
        status, title = "renamed", f"{old_path} → {change.path}"
    if new is None:
        address = place.addresses.blob(place.old_rev, old_path)
    else:
        address = place.addresses.blob(place.new_rev, change.path)
    note = " → ".join(format_size(side.size_bytes) for side in (old, new) if side is not None)
    mode_note = _mode_note(old, new)
    if old is not None and new is not None and old.id == new.id:
        note = mode_note
    return FileDifference(number, status, title, address, mode_note, note)


async def _compare(
    browser: Browser, place: _Place, file: FileDifference, change: Change, old_path: str, max_bytes: int
) -> FileDifference:
    """Add what can be shown of the content."""
    old, new = change.old, change.new
    if old is not None and new is not None and old.id == new.id:
        return file
    if picture_type(change.path) and not change.path.lower().endswith(".svg"):
        return file._replace(image_pair=_pictures(place, change, old_path))
    if max(side.size_bytes for side in (old, new) if side is not None) > max_bytes:
        return file._replace(message="Too large to compare here.")
    before, after = await _load_text(browser, old), await _load_text(browser, new)
    if before is None or after is None:
        return file
    difference = await asyncio.to_thread(compare_texts, before, after)
    return file._replace(
        added=difference.added,
        deleted=difference.deleted,
        hunks=difference.hunks,
        message=_message(difference),
    )


async def _load_ahead(browser: Browser, changes: Sequence[Change]) -> None:
    """Read the next files in one go, one query and few reads of the store instead of one for each."""
    sides = [side for change in changes for side in (change.old, change.new) if side is not None]
    await load_ahead(browser.reader, [side for side in sides if side.size_bytes <= _AHEAD_MAX_BYTES])


def _message(difference: TextDifference) -> str:
    if difference.hunks:
        return ""
    return "Only the ends of lines differ." if difference.ends_differ else ""


async def _load_text(browser: Browser, entry: Entry | None) -> str | None:
    """The text of one side, empty where it does not exist, None for what is no text."""
    if entry is None:
        return ""
    if entry.kind == SUBMODULE:
        return f"submodule commit {entry.id.hex()[:40]}\n"
    return decode_text(await load_file(browser.reader, entry))


def _pictures(place: _Place, change: Change, old_path: str) -> list[tuple[str, str]]:
    pair = []
    if change.old is not None:
        pair.append(("Before", place.addresses.raw(place.old_rev, old_path)))
    if change.new is not None:
        pair.append(("After", place.addresses.raw(place.new_rev, change.path)))
    return pair


def _mode_note(old: Entry | None, new: Entry | None) -> str:
    """What kind of file it became, where that is not plain."""
    if old is None or new is None:
        kind = _KINDS[(old or new).kind]  # type: ignore[union-attr]
        return "" if kind == "file" else kind
    before, after = _KINDS[old.kind], _KINDS[new.kind]
    return "" if before == after else f"{before} → {after}"
