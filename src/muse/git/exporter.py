"""Export to a Git repository (docs/git.md): the same bytes, and so the same ids, as were imported."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from muse.errors import Conflict, InternalError, NotFound
from muse.git.exportobjects import ObjectExporter, UnknownBase, find_object_format
from muse.git.exportrefs import RefExport
from muse.git.packfile import GitPackWriter
from muse.git.program import Git, run_git
from muse.git.references import to_git
from muse.git.results import ExportResult
from muse.store.progress import Progress, silent
from muse.store.refs import Ref
from muse.store.repository import Repository


def export_git(
    repository: Repository,
    directory: Path,
    *,
    refs: Iterable[str] | None = None,
    bare: bool = False,
    force: bool = False,
    progress: Progress = silent,
) -> ExportResult:
    """Bring branches, tags and what they reach into the Git repository at `directory`: what it does not
    have of it.

    A missing or empty folder becomes a repository, `bare` or with a work tree. `refs` are names in muse
    (`heads/main`); None means all but what says what hubs have. Refs move together or not at all, and no
    ref goes back or sideways unless `force`; a clean work tree is brought along.

    Raises `not-fast-forward`, `would-overwrite`, `already-exists`, `unknown-revision`, `git-failed`,
    `git-missing`, `not-representable`. Memory: 256 MiB, and 200 bytes per commit.
    """
    chosen = _choose(repository, refs)
    directory = Path(directory).absolute()
    git = Git.find(directory)
    created = git is None
    object_format = find_object_format(repository, chosen) if git is None else git.object_format
    if git is None:
        git = _create(directory, bare, object_format)
    try:
        return _export(repository, git, directory, chosen, object_format, created, force, progress)
    except BaseException:
        if created:
            _remove_created(directory)
        raise


def _choose(repository: Repository, names: Iterable[str] | None) -> list[Ref]:
    if names is None:
        return [ref for ref in repository.refs.iter() if to_git(ref.name) is not None]
    chosen = []
    for name in dict.fromkeys(names):
        ref = repository.refs.get(name)
        if ref is None or to_git(name) is None:
            raise NotFound(
                "unknown-revision", f'there is no branch or tag "{name}"', hint="write heads/main or tags/v1"
            )
        chosen.append(ref)
    return chosen


def _create(directory: Path, bare: bool, object_format: str) -> Git:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise Conflict(
            "already-exists",
            f'"{directory}" is neither empty nor a Git repository',
            hint="name a new folder, or an existing Git repository to add to",
        )
    run_git(
        "init", "--quiet", *(["--bare"] if bare else []), f"--object-format={object_format}", "--", directory
    )
    git = Git.find(directory)
    if git is None:
        raise InternalError("internal", f'git made no repository in "{directory}"')
    return git


def _remove_created(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _export(
    repository: Repository,
    git: Git,
    directory: Path,
    chosen: list[Ref],
    object_format: str,
    created: bool,
    force: bool,
    progress: Progress,
) -> ExportResult:
    writer = GitPackWriter(git, object_format)
    with repository.transaction() as transaction:
        try:
            target = RefExport(repository, git, directory, force)
            target.check(chosen)
            haves = target.find_common_commits() if not created else {}
            try:
                run = ObjectExporter(repository, transaction, writer, object_format, haves, progress)
                tips = run.export(chosen)
            except UnknownBase:
                # The Git map knows less than the target has; what is there already is written once more.
                run = ObjectExporter(repository, transaction, writer, object_format, {}, progress)
                tips = run.export(chosen)
            progress("indexing", 0, None, "packs")
            writer.finish()
        finally:
            writer.close()
        progress("moving refs", 0, None, "refs")
        target.add_shallow(run.shallow)
        changes = target.move(tips)
        if created:
            target.set_head()
    return ExportResult(
        str(directory),
        object_format,
        created,
        run.counts["commit"],
        run.counts["tree"],
        run.counts["blob"],
        run.counts["tag"],
        writer.size_bytes,
        writer.pack_bytes,
        changes,
        dict(run.not_exported),
    )
