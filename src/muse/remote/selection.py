"""Which refs a push is to move: what the user wrote, made into names and targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from muse.errors import NotFound, UsageError
from muse.objects.ids import Kind
from muse.wire.refnames import HEADS, TAGS, check_ref_name, full_ref_name
from muse.wire.refs import Ref

if TYPE_CHECKING:
    from muse.store.repository import Repository


class Wish(NamedTuple):
    """Let the remote's ref `name` point at `target`, or delete it with None."""

    name: str
    target: Ref | None
    force: bool = False


def select_refs(
    repository: Repository,
    specs: Sequence[str] = (),
    *,
    all_branches: bool = False,
    tags: bool = False,
    delete: bool = False,
    force: bool = False,
) -> list[Wish]:
    """Work out what to push; without anything, the current branch under its own name.

    A spec is `[+]SOURCE[:DESTINATION]`. SOURCE is a branch, a tag, a full name (`heads/x`, `tags/x`) or, with
    a DESTINATION, any revision; empty deletes. DESTINATION is a name, full where it should be of another kind
    than the source. `+` forces this one. With `delete` the specs are names at the remote. Raises
    `unknown-branch`, `unknown-revision`, `bad-name`, `bad-arguments`.
    """
    wishes: dict[str, Wish] = {}
    for spec in specs:
        text = f":{spec}" if delete and ":" not in spec else spec
        _add(wishes, _parse_spec(repository, text, force))
    if delete:
        if not wishes:
            raise UsageError("bad-arguments", "say which branch or tag to delete")
        return list(wishes.values())
    if all_branches:
        _add_all(wishes, repository, HEADS, force)
    if tags:
        _add_all(wishes, repository, TAGS, force)
    if not (specs or all_branches or tags):
        _add(wishes, _current_branch(repository, force))
    if not wishes:
        raise NotFound("unknown-branch", "there is nothing to push", hint="commit something first")
    return list(wishes.values())


def _add(wishes: dict[str, Wish], wish: Wish) -> None:
    before = wishes.setdefault(wish.name, wish)
    if before.target != wish.target:
        raise UsageError("bad-arguments", f'"{wish.name}" is to be moved to two places at once')


def _add_all(wishes: dict[str, Wish], repository: Repository, prefix: str, force: bool) -> None:
    for ref in repository.refs.iter(prefix):
        _add(wishes, Wish(ref.name, Ref(ref.target, ref.kind), force))


def _current_branch(repository: Repository, force: bool) -> Wish:
    head = repository.refs.head()
    if head.branch is None:
        raise UsageError(
            "bad-arguments", "no branch is checked out", hint="say what to push: `muse push origin BRANCH`"
        )
    if head.target is None:
        raise NotFound(
            "unknown-branch", f'branch "{head.branch}" has no commit yet', hint="commit something first"
        )
    return Wish(HEADS + head.branch, Ref(head.target, Kind.COMMIT), force)


def _parse_spec(repository: Repository, spec: str, force: bool) -> Wish:
    text = spec.removeprefix("+")
    force = force or text != spec
    source, colon, destination = text.partition(":")
    if colon and not destination:
        raise UsageError("bad-arguments", f'"{spec}" has no destination', hint="write SOURCE:DESTINATION")
    if not source:
        return Wish(_checked_name(destination, HEADS), None, force)
    name, target = _find_source(repository, source, destination)
    if destination:
        name = _checked_name(destination, TAGS if name.startswith(TAGS) else HEADS)
    if name.startswith(HEADS) and target.kind is not Kind.COMMIT:
        target = _resolve_commit(repository, source)
    return Wish(name, target, force)


def _find_source(repository: Repository, source: str, destination: str) -> tuple[str, Ref]:
    """Return the source's full name, `heads/` for a bare revision, and what it points at."""
    if source in ("HEAD", "@") and not destination:
        wish = _current_branch(repository, False)
        assert wish.target is not None
        return wish.name, wish.target
    for name in _candidates(source):
        ref = repository.refs.get(name)
        if ref is not None:
            return name, Ref(ref.target, ref.kind)
    if not destination:
        raise NotFound(
            "unknown-branch",
            f'there is no branch or tag "{source}"',
            hint="`muse branch` and `muse tag` list them",
        )
    return HEADS, _resolve_commit(repository, source)


def _resolve_commit(repository: Repository, revision: str) -> Ref:
    from muse.store.revisions import resolve_revision  # most pushes name branches, if anything

    return Ref(resolve_revision(repository, revision), Kind.COMMIT)


def _candidates(name: str) -> Iterable[str]:
    name = name.removeprefix("refs/")
    if name.startswith((HEADS, TAGS)):
        yield name
    yield HEADS + name
    yield TAGS + name


def _checked_name(name: str, prefix: str) -> str:
    full = full_ref_name(name, prefix)
    check_ref_name(full)
    return full
