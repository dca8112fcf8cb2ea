"""Revisions: the ways to write which commit or object is meant.

HEAD  @                  what is checked out
main  tags/v1  v1        a branch or tag; annotated tags lead to their commit
origin/main              a branch as it was last seen on a remote
1f3a  sha256:1f3a…       an id, or at least four digits that only one object begins with
REV~3  REV^2             third ancestor along first parents; second parent
REV^{tree}  REV^{commit} the object of that kind behind it
NAME@{2}  @{2}           what the ref (the current branch) was two changes ago
NAME@{upstream}          the branch that it follows on its remote
REV:path                 the file or directory at a path
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from muse.errors import MuseError, NotFound, UsageError
from muse.objects.ids import ID_BYTES, KINDS_BY_WORD, PREFIX, Kind, short_id

if TYPE_CHECKING:
    from muse.store.repository import Repository

MIN_ID_DIGITS = 4
MAX_STEPS = 1 << 31
_HEX = frozenset("0123456789abcdefABCDEF")


class Found(NamedTuple):
    """An object that a revision means."""

    kind: Kind
    id: bytes


def resolve_revision(repository: Repository, text: str) -> bytes:
    """Return the id of the commit that `text` means.

    Raises `bad-revision`, `unknown-revision` (its hint has near names), `ambiguous-revision` (its details
    have candidates).
    """
    found = _resolve(repository, text, commits_first=True)
    return _peel(repository, found, Kind.COMMIT, text).id


def resolve_object(repository: Repository, text: str) -> Found:
    """Return the object that `text` means: of any kind, tags unpeeled, and `REV:path`, too.

    Raises what `resolve_revision` raises, and `unknown-path`.
    """
    prefix = PREFIX if text.startswith(PREFIX) else ""
    revision, colon, path = text[len(prefix) :].partition(":")
    if not colon:
        return _resolve(repository, text, commits_first=False)
    found = _resolve(repository, prefix + revision or "HEAD", commits_first=True)
    return _find_in_tree(repository, _peel(repository, found, Kind.TREE, text).id, path, text)


def _find_in_tree(repository: Repository, root: bytes, path: str, text: str) -> Found:
    from muse.history.lookup import find_path
    from muse.objects.references import target_kind

    if not path.strip("/"):
        return Found(Kind.TREE, root)
    entry = find_path(repository.objects.load, root, path)
    kind = None if entry is None else target_kind(entry)
    if entry is None or kind is None:
        raise NotFound("unknown-path", f'there is no file or directory "{path}" in "{text}"')
    return Found(kind, entry.id)


def _resolve(repository: Repository, text: str, *, commits_first: bool) -> Found:
    name, steps = _split(text)
    found: Found | None = None
    if steps and steps[0][0] == "@":
        found = _resolve_at(repository, name, steps.pop(0)[1], text)
    elif name in ("HEAD", "@"):
        found = _resolve_head(repository)
    else:
        found = _find_ref(repository, name) or _find_id(repository, name, commits_first)
    if found is None:
        raise _unknown(repository, name, text)
    for mark, argument in steps:
        found = _step(repository, found, mark, argument, text)
    return found


def _split(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Split `main~2^{tree}` into `main` and [("~", "2"), ("^", "{tree}")]."""
    start = len(PREFIX) if text.startswith(PREFIX) else 0
    end = min(
        (at for at in (text.find(mark, start) for mark in ("~", "^", "@{")) if at >= 0), default=len(text)
    )
    name, rest = text[:end], text[end:]
    steps: list[tuple[str, str]] = []
    while rest:
        mark, rest = rest[0], rest[1:]
        if rest.startswith("{"):
            argument, brace, rest = rest.partition("}")
            argument += brace
        else:
            digits = len(rest) - len(rest.lstrip("0123456789"))
            argument, rest = rest[:digits], rest[digits:]
        if (
            mark not in "~^@"
            or (mark == "@" and steps)
            or (argument.startswith("{") and not argument.endswith("}"))
        ):
            raise _bad(text)
        steps.append((mark, argument))
    if not name and not (steps and steps[0][0] == "@"):
        raise _bad(text)
    return name, steps


def _step(repository: Repository, found: Found, mark: str, argument: str, text: str) -> Found:
    if mark == "^" and argument.startswith("{"):
        wanted = argument[1:-1]
        if wanted == "":
            return _peel_tags(repository, found, text)
        if wanted not in ("commit", "tree"):
            raise _bad(text)
        return _peel(repository, found, KINDS_BY_WORD[wanted], text)
    if (argument and not argument.isascii()) or not (argument or "1").isdigit():
        raise _bad(text)
    count = min(int(argument or "1"), MAX_STEPS)
    commit = _peel(repository, found, Kind.COMMIT, text).id
    if mark == "^":
        if count:
            parents = repository.graph(commit).parents
            if count > len(parents):
                raise _no_parent(text, commit, len(parents))
            commit = parents[count - 1]
    else:
        for _ in range(count):
            parents = repository.graph(commit).parents
            if not parents:
                raise _no_parent(text, commit, 0)
            commit = parents[0]
    return Found(Kind.COMMIT, commit)


# ---- names


def _resolve_head(repository: Repository) -> Found:
    head = repository.refs.head()
    if head.target is None:
        raise NotFound("unknown-revision", f'branch "{head.branch}" has no commits yet')
    return Found(Kind.COMMIT, head.target)


def _candidates(name: str) -> list[str]:
    """Return the refs that a short name may mean, the first that exists wins."""
    refs = [name, f"heads/{name}", f"tags/{name}"]
    remote, slash, branch = name.removeprefix("remotes/").partition("/")
    if slash and branch:
        refs += [f"remotes/{remote}/heads/{branch}", f"remotes/{remote}/{branch}"]
    return refs


def _find_ref(repository: Repository, name: str) -> Found | None:
    for candidate in _candidates(name):
        ref = repository.refs.get(candidate)
        if ref is not None:
            return Found(ref.kind, ref.target)
    return None


def _find_id(repository: Repository, name: str, commits_first: bool) -> Found | None:
    digits = name.removeprefix(PREFIX)
    if not MIN_ID_DIGITS <= len(digits) <= 2 * ID_BYTES or not _HEX.issuperset(digits):
        return None
    found = [Found(*item) for item in repository.objects.find_by_prefix(digits)]
    commits = [item for item in found if item.kind in (Kind.COMMIT, Kind.TAG)]
    if commits and (commits_first or len(commits) == 1):
        found = commits
    if len(found) > 1:
        names = [f"{item.kind.word} {short_id(item.id)}" for item in found]
        raise NotFound(
            "ambiguous-revision",
            f'"{name}" fits more than one object',
            hint="write more digits: " + ", ".join(names),
            details={"candidates": [{"kind": item.kind.word, "id": item.id.hex()} for item in found]},
        )
    return found[0] if found else None


def _unknown(repository: Repository, name: str, text: str) -> MuseError:
    from difflib import get_close_matches

    known: dict[str, str] = {}
    for ref in repository.refs.iter():
        short = ref.name.removeprefix("heads/").removeprefix("tags/")
        if short.startswith("remotes/"):
            short = short.removeprefix("remotes/").replace("/heads/", "/", 1)
        known.setdefault(short, ref.name)
    near = get_close_matches(name, known, n=3)
    hint = "did you mean " + " or ".join(f'"{match}"' for match in near) + "?" if near else None
    where = "" if name == text else f' in "{text}"'
    return NotFound(
        "unknown-revision",
        f'no branch, tag or object answers to "{name}"{where}',
        hint=hint or "`muse branch --all` and `muse tag` list the names there are",
        details={"near": near},
    )


# ---- earlier values and upstreams


def _resolve_at(repository: Repository, name: str, argument: str, text: str) -> Found:
    """Resolve `name@{inner}`: an earlier value of a ref, or what a branch follows."""
    from muse.store.earlier import find_earlier, find_earlier_head

    inner = argument[1:-1]
    if name in ("", "@") and inner.isdigit():
        branch = repository.refs.head().ref
        name = "HEAD" if branch is None else branch
    if inner in ("upstream", "u"):
        return _resolve_upstream(repository, name, text)
    if not inner.isdigit() or not inner.isascii():
        raise _bad(text)
    if name in ("HEAD", "@"):
        commit = find_earlier_head(repository, int(inner))
        if commit is None:
            raise _too_far(text, "HEAD")
        return Found(Kind.COMMIT, commit)
    ref_name = next((ref for ref in _candidates(name) if repository.refs.get(ref) is not None), None)
    if ref_name is None:
        raise _unknown(repository, name, text)
    count = int(inner)
    found = _find_ref(repository, ref_name) if count == 0 else find_earlier(repository, ref_name, count)
    if found is None:
        raise _too_far(text, name)
    return Found(*found)


def _resolve_upstream(repository: Repository, name: str, text: str) -> Found:
    from muse.store.tracking import find_upstream

    branch = repository.refs.head().branch if name in ("", "@", "HEAD") else name.removeprefix("heads/")
    target = None if branch is None else find_upstream(repository, branch).target
    if target is None:
        raise NotFound("unknown-revision", f'"{text}": the branch follows none that is known of a remote')
    return Found(Kind.COMMIT, target)


# ---- kinds


def _peel_tags(repository: Repository, found: Found, text: str) -> Found:
    from muse.objects.commit import decode_tag

    for _ in range(100):
        if found.kind is not Kind.TAG:
            return found
        tag = decode_tag(repository.objects.load(Kind.TAG, found.id))
        found = Found(tag.target_kind, tag.target)
    raise NotFound("unknown-revision", f'"{text}" is a tag of tags without end')


def _peel(repository: Repository, found: Found, wanted: Kind, text: str) -> Found:
    if found.kind is Kind.TAG:
        found = _peel_tags(repository, found, text)
    if found.kind is Kind.COMMIT and wanted is Kind.TREE:
        found = Found(Kind.TREE, repository.graph(found.id).tree)
    if found.kind is not wanted:
        raise NotFound("unknown-revision", f'"{text}" is a {found.kind.word}, not a {wanted.word}')
    return found


# ---- errors


def _bad(text: str) -> MuseError:
    return UsageError(
        "bad-revision", f'"{text}" is not a revision', hint="for example main, main~2, v1.0, @{1} or an id"
    )


def _no_parent(text: str, commit: bytes, count: int) -> MuseError:
    has = {0: "no parent", 1: "one parent"}.get(count, f"{count} parents")
    return NotFound("unknown-revision", f'"{text}" leads too far: commit {short_id(commit)} has {has}')


def _too_far(text: str, name: str) -> MuseError:
    return NotFound(
        "unknown-revision", f'"{text}": "{name}" did not exist then', hint="`muse oplog` shows its changes"
    )
