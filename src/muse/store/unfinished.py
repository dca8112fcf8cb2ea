"""The mark that the work tree is being rewritten: `.muse/unfinished` (docs/formats/local-store.md).

It is durable before the first file changes and goes when the refs have moved, too. While it stands, the work
tree is a mixture of trees, and nobody may take it for somebody's work.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from muse.errors import Conflict, CorruptStore
from muse.store.failure import os_failure
from muse.store.segments import sync_folder

FILE = "unfinished"


class Unfinished(NamedTuple):
    """Every file of the work tree below `paths` is as in one of `trees` (None is the empty tree) or `target`.

    `clone` is the address of a clone that is not complete: refs and objects may be missing as well.
    """

    trees: tuple[bytes | None, ...] = ()
    target: bytes | None = None
    paths: tuple[str, ...] = ("",)
    clone: str | None = None

    @property
    def message(self) -> str:
        if self.clone is not None:
            return "this clone was not finished: files, and perhaps history, are missing"
        if self.paths != ("",):
            return "a restore was not finished: some files are restored, others are not"
        return "a checkout was not finished: some files are of one commit, others of another"

    def hint(self, work_dir: Path, branch: str | None) -> str:
        """Say which command finishes it in that work tree, when that branch is the current one."""
        if self.clone is not None:
            return f"finish it: muse clone {self.clone} {work_dir}"
        if self.paths != ("",):
            return f"finish it: muse restore {' '.join(self.paths)}"
        return (
            "finish it: run the same command again"
            + (f", or go back with muse switch {branch}" if branch else ", or muse switch to a branch")
            + " (with -f if you edited files since)"
        )

    def refusal(self, work_dir: Path, branch: str | None) -> Conflict:
        return Conflict("checkout-unfinished", self.message, hint=self.hint(work_dir, branch))


def encode_unfinished(mark: Unfinished) -> bytes:
    import json

    value = {
        "trees": [_hex(tree) for tree in mark.trees],
        "target": _hex(mark.target),
        "paths": list(mark.paths),
        "clone": mark.clone,
    }
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def parse_unfinished(data: bytes) -> Unfinished:
    """Raises `ValueError`, `TypeError` or `KeyError` where the file is damaged."""
    import json

    value = json.loads(data)
    return Unfinished(
        tuple(_unhex(tree) for tree in value["trees"]),
        _unhex(value["target"]),
        tuple(map(str, value["paths"])),
        value["clone"],
    )


def _hex(tree: bytes | None) -> str | None:
    return tree.hex() if tree is not None else None


def _unhex(text: str | None) -> bytes | None:
    return bytes.fromhex(text) if text is not None else None


def find_unfinished(muse_dir: Path) -> Unfinished | None:
    """Return the mark, None where the work tree is whole; raises `corrupt-database`."""
    path = muse_dir / FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise os_failure(error, path) from error
    try:
        return parse_unfinished(data)
    except (ValueError, TypeError, KeyError):
        raise CorruptStore(
            "corrupt-database", f'"{path}" is damaged', hint="remove it, then run muse status"
        ) from None


def save_unfinished(muse_dir: Path, mark: Unfinished) -> None:
    """Set the mark; it is on disk when this returns."""
    path = muse_dir / FILE
    building = muse_dir / f"{FILE}.{os.getpid()}.tmp"
    try:
        with open(building, "wb") as file:
            file.write(encode_unfinished(mark))
            file.flush()
            os.fsync(file.fileno())
        os.rename(building, path)
        sync_folder(muse_dir)
    except OSError as error:
        raise os_failure(error, path) from error


def clear_unfinished(muse_dir: Path) -> None:
    """Remove the mark. Not synced: after a power failure it asks for a checkout that finds nothing to do."""
    (muse_dir / FILE).unlink(missing_ok=True)
