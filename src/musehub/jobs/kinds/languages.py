"""Bytes and files per language of the default branch."""

from __future__ import annotations

from muse.errors import LimitReached
from muse.objects.ids import Kind
from muse.objects.tree import EXECUTABLE, FILE_KINDS, Entry
from musehub.jobs.head import look_since_last
from musehub.jobs.language_table import OTHER, find_language, language_of_shebang
from musehub.jobs.work import Payload, Work
from musehub.repos.directories import iter_files

NAME = "languages"
_SHEBANG_BYTES = 64 << 10
"""Scripts without an extension are read if they are not larger than this."""
_READ_AT_ONCE = 50

Sums = dict[str, list[int]]


async def run(work: Work, _payload: Payload) -> None:
    """Add what changed since the last tree to its sums; without one, look at every file."""
    since = await look_since_last(work, NAME)
    if since is None:
        return
    tree, known, changes = since
    sums: Sums = {}
    if changes is None:
        try:
            async for files in iter_files(work.reader, tree, work.parts.settings.job_max_directories):
                await _add(work, files, 1, sums)
        except LimitReached:
            await work.save(NAME, {"tree": tree.hex(), "too_large": True, "languages": []})
            return
    else:
        sums = {item["name"]: [item["bytes"], item["files"]] for item in known["languages"]}
        await _add(work, [(c.path, c.old) for c in changes if c.old is not None], -1, sums)
        await _add(work, [(c.path, c.new) for c in changes if c.new is not None], 1, sums)
    languages = [
        {"name": name, "bytes": size_bytes, "files": files}
        for name, (size_bytes, files) in sorted(sums.items(), key=lambda item: (-item[1][0], item[0]))
        if files > 0
    ]
    await work.save(NAME, {"tree": tree.hex(), "languages": languages})


async def _add(work: Work, files: list[tuple[str, Entry]], sign: int, sums: Sums) -> None:
    unnamed = []
    for path, entry in files:
        if entry.kind not in FILE_KINDS:
            continue
        language = find_language(path)
        if language is None and entry.kind == EXECUTABLE and entry.size_bytes <= _SHEBANG_BYTES:
            unnamed.append(entry)
        else:
            _count(sums, language or OTHER, entry, sign)
    for start in range(0, len(unnamed), _READ_AT_ONCE):
        part = unnamed[start : start + _READ_AT_ONCE]
        contents = await work.reader.load_many(Kind.BLOB, list({entry.id for entry in part}))
        for entry in part:
            _count(sums, language_of_shebang(contents[entry.id]), entry, sign)


def _count(sums: Sums, language: str, entry: Entry, sign: int) -> None:
    found = sums.setdefault(language, [0, 0])
    found[0] += sign * entry.size_bytes
    found[1] += sign
