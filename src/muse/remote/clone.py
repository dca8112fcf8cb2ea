"""Clone: a new repository with everything a remote has, or nothing at all; one that was killed is resumed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from muse.errors import Conflict, NotFound
from muse.objects.ids import Kind
from muse.remote.address import RepositoryUrl
from muse.remote.client import HubClient
from muse.remote.fetch import Fetched, fetch
from muse.store.locks import RepositoryLock
from muse.store.progress import Progress, silent
from muse.store.unfinished import FILE, Unfinished, clear_unfinished, find_unfinished
from muse.wire.refnames import HEADS

if TYPE_CHECKING:
    from muse.store.repository import Repository

FIRST_REMOTE = "origin"
LOCK = "clone.lock"


class Cloned(NamedTuple):
    """A finished clone; the caller closes `repository`. `branch` is checked out, and has no commit if the
    remote is empty.
    """

    repository: Repository
    fetched: Fetched
    branch: str


def clone(
    url: RepositoryUrl,
    directory: Path,
    hub: HubClient,
    *,
    branch: str | None = None,
    only: bool = False,
    remote: str = FIRST_REMOTE,
    checkout: bool = True,
    user_config: Path | None = None,
    operation: str | None = None,
    progress: Progress = silent,
) -> Cloned:
    """Make `directory`, which must be absent or empty, a clone, with `branch` or the remote's default branch
    checked out. `only` brings `branch` alone, now and at every fetch that names nothing.

    Complete or not at all: whatever fails, also Ctrl-C, removes what was made. Killed, it leaves a repository
    that is marked as unfinished; the same clone again resumes it. Raises `already-exists`, `unknown-branch`,
    and what `fetch` and checkout raise.
    """
    directory = Path(os.path.abspath(directory))
    begun = _find_begun(url, directory, user_config)
    if begun is not None:
        return _clone(url, begun, hub, branch, only, remote, checkout, operation, progress)
    made = _prepare(directory)
    try:
        from muse.store.repository import Repository

        repository = Repository.init(
            directory, user_config=user_config, unfinished=Unfinished(clone=str(url))
        )
        return _clone(url, repository, hub, branch, only, remote, checkout, operation, progress)
    except BaseException:
        _remove(directory, made)
        raise


def _find_begun(url: RepositoryUrl, directory: Path, user_config: Path | None) -> Repository | None:
    """Open what a clone of the same address left when it was killed."""
    from muse.store.repository import FOLDER, Repository

    if not (directory / FOLDER).is_dir():
        for left in directory.glob(f"{FOLDER}.*.tmp"):  # killed before there was a repository
            if len(os.listdir(directory)) == 1:
                shutil.rmtree(left, ignore_errors=True)
        return None
    if not (directory / FOLDER / FILE).exists():
        return None
    repository = Repository.open(directory, user_config)
    mark = find_unfinished(repository.muse_dir)
    if mark is not None and mark.clone == str(url):
        return repository
    repository.close()
    return None


def _prepare(directory: Path) -> list[Path]:
    """Check that there is room for a clone; returns the folders that are to be made, the outermost first."""
    if os.path.lexists(directory) and (not directory.is_dir() or os.listdir(directory)):
        raise Conflict(
            "already-exists",
            f'"{directory}" exists and is not an empty folder',
            hint="clone into another one: `muse clone URL DIRECTORY`",
        )
    made: list[Path] = []
    for folder in (directory, *directory.parents):
        if folder.exists():
            break
        made.insert(0, folder)
    return made


def _remove(directory: Path, made: list[Path]) -> None:
    """Remove what a failed clone left; a folder that was there before stays, empty as it was."""
    if directory in made:
        shutil.rmtree(directory, ignore_errors=True)
    elif directory.is_dir():
        for entry in os.scandir(directory):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)
    for folder in reversed(made):
        try:
            folder.rmdir()
        except OSError:
            pass


def _clone(
    url: RepositoryUrl,
    repository: Repository,
    hub: HubClient,
    branch: str | None,
    only: bool,
    remote: str,
    with_files: bool,
    operation: str | None,
    progress: Progress,
) -> Cloned:
    lock = RepositoryLock(repository.muse_dir / LOCK)
    try:
        lock.acquire(True, 0)  # another process may be making this clone right now
        with repository.transaction() as transaction:
            repository.settings.set(f"remote.{remote}.url", str(url), transaction)
            wanted = HEADS + branch if only and branch is not None else None
            repository.settings.set(f"remote.{remote}.refs", wanted, transaction)
        fetched = _fetch(repository, remote, hub, wanted, progress)
        name = _choose_branch(fetched, branch)
        head = fetched.refs.get(HEADS + name)
        with repository.transaction(operation) as transaction:
            if head is not None and repository.refs.get(HEADS + name) is None:
                transaction.set_ref(HEADS + name, head.target, expected=None, kind=Kind.COMMIT)
            transaction.set_head(HEADS + name)
            repository.settings.set(f"branch.{name}.remote", remote, transaction)
        if head is not None and with_files:
            from muse.worktree.checkout import checkout

            target = repository.refs.head().target
            assert target is not None
            checkout(repository, None, None, repository.graph(target).tree, progress=progress)
        clear_unfinished(repository.muse_dir)
    except BaseException:
        repository.close()
        raise
    finally:
        lock.close()
    return Cloned(repository, fetched, name)


def _fetch(
    repository: Repository, remote: str, hub: HubClient, wanted: str | None, progress: Progress
) -> Fetched:
    try:
        return fetch(repository, remote, hub, refs=[wanted] if wanted else [], progress=progress)
    except NotFound as error:
        if wanted is None or error.code != "unknown-revision":
            raise
        raise _unknown_branch(wanted.removeprefix(HEADS)) from error


def _choose_branch(fetched: Fetched, asked: str | None) -> str:
    branches = [name.removeprefix(HEADS) for name in fetched.refs if name.startswith(HEADS)]
    if asked is not None:
        if asked not in branches:
            raise _unknown_branch(asked)
        return asked
    if fetched.default_branch in branches or not branches:
        return fetched.default_branch
    return "main" if "main" in branches else branches[0]


def _unknown_branch(name: str) -> NotFound:
    return NotFound("unknown-branch", f'the remote has no branch "{name}"')
