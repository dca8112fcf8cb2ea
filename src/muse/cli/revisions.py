"""Revisions and paths on a command line: which word is which, ranges, paths seen from the current folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from muse.errors import NotFound, UsageError
from muse.objects.ids import Kind

if TYPE_CHECKING:
    from muse.cli.context import Context
    from muse.objects.tree import Entry


def resolve(context: Context, text: str) -> bytes:
    """Return the commit that a revision means; raises what `muse.store.revisions` does."""
    from muse.store.revisions import resolve_revision

    return resolve_revision(context.repository, text)


def tree_path(context: Context, text: str) -> str:
    """Turn a path as typed in the current folder into the slash path of a tree; `` is the root."""
    from muse.worktree.paths import to_tree_path

    return to_tree_path(context.repository.work_dir, text, context.directory)


def split_arguments(
    context: Context, words: list[str], *, ranges: bool = False, limit: int | None = None
) -> tuple[list[bytes], list[bytes], list[str]]:
    """Sort words into commits, commits to leave out (of `A..B`, `^A`), and tree paths.

    Words that are revisions come first, at most `limit`. Without a `--` among the arguments, a word that is
    both a revision and a file is refused, and one that is neither raises `unknown-revision`; `./name` is
    always a path.
    """
    after: list[str] | None = context.options.after_separator
    commits: list[bytes] = []
    excluded: list[bytes] = []
    paths: list[str] = []
    for word in words:
        is_file = after is None and os.path.lexists(context.directory / word)
        if paths or word.startswith(("./", "../")) or (is_file and word in (".", "..")):
            paths.append(_existing_path(context, word))
            continue
        try:
            _add_revision(context, word, ranges, commits, excluded)
        except (NotFound, UsageError) as error:
            if not is_file:
                raise
            if error.code in ("ambiguous-revision", "unknown-revision", "bad-revision", "bad-name"):
                paths.append(tree_path(context, word))
                continue
            raise
        if is_file:
            raise UsageError(
                "bad-arguments",
                f'"{word}" is a revision and a file',
                hint=f'write "{word} --" for the revision, "-- {word}" for the file',
            )
        if limit is not None and len(commits) > limit:
            raise UsageError("bad-arguments", f"at most {limit} revisions are compared")
    paths += [tree_path(context, word) for word in after or ()]
    return commits, excluded, paths


def _existing_path(context: Context, word: str) -> str:
    if not os.path.lexists(context.directory / word):
        raise NotFound("unknown-path", f'there is no file "{word}"', hint=f'"-- {word}" names a deleted file')
    return tree_path(context, word)


def _add_revision(
    context: Context, word: str, ranges: bool, commits: list[bytes], excluded: list[bytes]
) -> None:
    if ranges and word.startswith("^"):
        excluded.append(resolve(context, word[1:]))
        return
    if ".." in word and not word.startswith(("./", "../")):
        first, _, last = word.partition("..")
        if last.startswith("."):
            raise UsageError(
                "bad-revision", f'"{word}" is not understood', hint="a range is written with two dots: A..B"
            )
        pair = resolve(context, first or "HEAD"), resolve(context, last or "HEAD")
        if ranges:
            excluded.append(pair[0])
            commits.append(pair[1])
        else:
            commits.extend(pair)
        return
    commits.append(resolve(context, word))


class Object(NamedTuple):
    """What an expression names; `entry` is set for a file in `REVISION:PATH`."""

    kind: Kind
    id: bytes
    entry: Entry | None = None


def find_object(context: Context, text: str) -> Object:
    """Return the object that `REVISION`, `REVISION:PATH` or an id means; `:./PATH` starts in this folder.

    Raises `unknown-revision`, `unknown-path`, `ambiguous-revision`, `bad-revision`.
    """
    from muse.history.lookup import find_path
    from muse.store.revisions import resolve_object

    repository = context.repository
    start = len("sha256:") if text.startswith("sha256:") else 0
    revision, colon, path = text[start:].partition(":")
    revision = text[:start] + revision
    if path.startswith(("./", "../")):
        path = tree_path(context, path)
        text = f"{revision}:{path}"
    kind, object_id = resolve_object(repository, text)
    entry = None
    if colon and path.strip("/") and kind is not Kind.TREE:
        tree = resolve_object(repository, f"{revision or 'HEAD'}^{{tree}}").id
        entry = find_path(repository.objects.load, tree, path)
    return Object(kind, object_id, entry)
