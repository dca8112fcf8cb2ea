"""Refs of Git and their names in muse (docs/git.md, "Refs")."""

from __future__ import annotations

from typing import NamedTuple

from muse.errors import UsageError
from muse.git.program import Git
from muse.store.refs import check_ref_name

_DIRECT = {"refs/heads/": "heads/", "refs/tags/": "tags/"}
_OTHER = "remotes/git/heads/"
"""Every other ref of Git, with what follows `refs/`: like all of `remotes/` read-only, never pushed."""


class GitRef(NamedTuple):
    """`name` in full (`refs/heads/main`, or `HEAD`), `id` raw, `type` one of commit, tag, tree, blob."""

    name: str
    id: bytes
    type: str


class GitHead(NamedTuple):
    """`ref` is None when HEAD is detached; `id` None when there is no commit yet."""

    ref: str | None
    id: bytes | None


def load_refs(git: Git, *patterns: str) -> list[GitRef]:
    """Return all refs, sorted by name; bytes of a name that are not UTF-8 become lone surrogates."""
    output = git.run("for-each-ref", "--format=%(objectname) %(objecttype) %(refname)", *patterns)
    refs = []
    for line in output.splitlines():
        digits, kind, name = line.split(b" ", 2)
        refs.append(
            GitRef(name.decode(errors="surrogateescape"), bytes.fromhex(digits.decode()), kind.decode())
        )
    return refs


def load_head(git: Git) -> GitHead:
    ref = git.find_output("symbolic-ref", "--quiet", "HEAD")
    target = git.find_output("rev-parse", "--quiet", "--verify", "HEAD^{commit}")
    return GitHead(
        ref.decode(errors="surrogateescape").strip() if ref else None,
        bytes.fromhex(target.decode().strip()) if target else None,
    )


def to_muse(git_name: str) -> str | None:
    """Return the name in muse, None where it cannot have one."""
    name = _OTHER + git_name.removeprefix("refs/")
    for theirs, ours in _DIRECT.items():
        if git_name.startswith(theirs):
            name = ours + git_name.removeprefix(theirs)
    try:
        check_ref_name(name)
    except UsageError:
        return None
    return name


def to_git(name: str) -> str | None:
    """Return the name in Git; None for refs that say what a hub has."""
    if name.startswith(_OTHER):
        return "refs/" + name.removeprefix(_OTHER)
    return f"refs/{name}" if name.startswith(("heads/", "tags/")) else None
