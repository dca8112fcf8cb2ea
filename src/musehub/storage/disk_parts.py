"""Values of the embedded store that arrive in parts: one file each, below `parts/` and the key.

A part is uploaded like any other value, so it is there whole or not at all.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from muse.errors import InvalidData, NotFound
from musehub.storage.disk_failures import translated
from musehub.storage.port import UnfinishedUpload

PARTS = "parts"
THE_UPLOAD = "1"
"""There is only ever one upload of a key: its bytes are known by their hash."""
_COPIED_AT_ONCE = 1 << 20


def part_key(key: str, number: int) -> str:
    """The key under which one part is kept until the value is made of them."""
    return f"{PARTS}/{key}/{number:05}"


class DiskParts:
    """The uploads under way in the store at `root`; every method blocks."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, key: str) -> None:
        with translated("write"):
            (self._root / PARTS / key).mkdir(parents=True, exist_ok=True, mode=0o700)

    def sizes(self, key: str) -> dict[int, int]:
        try:
            with os.scandir(self._root / PARTS / key) as found:
                return {int(part.name): part.stat().st_size for part in found if part.name.isdigit()}
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(
                "pack-not-found", f'no upload in parts is under way for "{key}"', retry=True
            ) from None

    def join(self, key: str, count: int, target: Path) -> None:
        """Write parts 1 to `count` to a new file and sync it; raises `truncated`."""
        there = self.sizes(key)
        if any(number not in there for number in range(1, count + 1)):
            raise InvalidData("truncated", f'not all parts of "{key}" are there', retry=True)
        with translated("write"), target.open("xb") as joined:
            for number in range(1, count + 1):
                with (self._root / part_key(key, number)).open("rb") as part:
                    shutil.copyfileobj(part, joined, _COPIED_AT_ONCE)
            joined.flush()
            os.fsync(joined.fileno())

    def remove(self, key: str) -> None:
        with translated("delete"):
            folder = self._root / PARTS / key
            shutil.rmtree(folder, ignore_errors=True)
            # Emptied folders above it go, too: a folder without folders counts as an upload.
            try:
                while (folder := folder.parent) != self._root / PARTS:
                    folder.rmdir()
            except OSError:
                pass

    def list_uploads(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """Folders without folders in them are uploads."""
        top = self._root / PARTS
        found = []
        with translated("read"):
            for folder, folders, _names in os.walk(top / prefix.rpartition("/")[0]):
                key = Path(folder).relative_to(top).as_posix()
                if not folders and key.startswith(prefix) and key != ".":
                    started = datetime.fromtimestamp(Path(folder).stat().st_mtime, UTC)
                    found.append(UnfinishedUpload(key, THE_UPLOAD, started))
        return iter(found)
