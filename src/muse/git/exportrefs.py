"""The last part of an export: the target's refs move together, and nothing of the target's is lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from muse.errors import Conflict, MuseError
from muse.git.importrefs import CREATED, FAST_FORWARD, FORCED, UNCHANGED
from muse.git.known import Mapped, parse_row
from muse.git.program import Git, run_git
from muse.git.references import GitRef, load_refs, to_git
from muse.git.results import RefChange
from muse.history.walk import is_ancestor
from muse.objects.ids import Kind
from muse.store.refs import Ref
from muse.store.repository import Repository


class RefExport:
    """The refs of one target."""

    def __init__(self, repository: Repository, git: Git, directory: Path, force: bool) -> None:
        self._repository = repository
        self._git = git
        self._directory = directory
        self._force = force
        self._before = {ref.name: ref for ref in load_refs(git)}
        self._known: dict[bytes, Mapped] = {
            git_id: mapped
            for git_id, row in repository.git_map.find_many(ref.id for ref in self._before.values()).items()
            if (mapped := parse_row(row)).exact and repository.objects.has(mapped.kind, mapped.id)
        }

    def find_common_commits(self) -> dict[bytes, bytes]:
        """Return commit here → commit there of what both sides have."""
        return {mapped.id: git_id for git_id, mapped in self._known.items() if mapped.kind is Kind.COMMIT}

    def check(self, refs: Sequence[Ref]) -> None:
        """Raise `not-fast-forward` or `would-overwrite` before anything is written."""
        for ref in refs:
            old = self._before.get(to_git(ref.name) or "")
            if old is not None and self._decide(ref, old) == FORCED and not self._force:
                raise Conflict(
                    "not-fast-forward",
                    f'"{old.name}" in "{self._directory}" is at {old.id.hex()},'
                    f' which is not part of "{ref.name}"',
                    hint="import from there first, or use --force to let it go",
                    details={"ref": old.name, "actual": old.id.hex()},
                )
        current = self._current_branch()
        if current is None:
            return
        for ref in refs:
            if to_git(ref.name) == current.name and self._decide(ref, current) != UNCHANGED:
                status = run_git("-C", self._directory, "status", "--porcelain", "--untracked-files=no")
                if status:
                    raise Conflict(
                        "would-overwrite",
                        f'"{self._directory}" has changes that are not committed, on the branch to be moved',
                        hint="commit or stash them there, or export to a bare repository",
                    )

    def _decide(self, ref: Ref, old: GitRef) -> str:
        mapped = self._known.get(old.id)
        if mapped is None:
            return FORCED
        if mapped.id == ref.target and mapped.kind is ref.kind:
            return UNCHANGED
        if ref.name.startswith("tags/") or not mapped.kind is ref.kind is Kind.COMMIT:
            return FORCED
        return FAST_FORWARD if is_ancestor(self._repository.graph, mapped.id, ref.target) else FORCED

    def _current_branch(self) -> GitRef | None:
        """Return the branch whose files are in the target's work tree."""
        if self._git.is_bare:
            return None
        name = self._git.find_output("symbolic-ref", "--quiet", "HEAD")
        return self._before.get(name.decode().strip()) if name else None

    def add_shallow(self, commits: Sequence[bytes]) -> None:
        """Tell Git which commits have parents that nobody here has."""
        if not commits:
            return
        path = self._git.git_dir / self._git.run("rev-parse", "--git-path", "shallow").decode().strip()
        known = path.read_text("ascii").split() if path.exists() else []
        lines = dict.fromkeys([*known, *(commit.hex() for commit in commits)])
        temporary = path.with_name("shallow.muse")
        temporary.write_text("".join(f"{line}\n" for line in lines), "ascii")
        temporary.replace(path)

    def move(self, tips: dict[str, bytes]) -> list[RefChange]:
        """Check that the target has everything that the new refs reach, then move them all at once."""
        changes = []
        commands = []
        for name, git_id in tips.items():
            git_name = to_git(name)
            assert git_name is not None
            old = self._before.get(git_name)
            if old is None:
                how = CREATED
                commands.append(f"create {git_name}\0{git_id.hex()}\0")
            elif old.id == git_id:
                how = UNCHANGED
            else:
                ref = self._repository.refs.get(name)
                how = self._decide(ref, old) if ref is not None else FORCED
                commands.append(f"update {git_name}\0{git_id.hex()}\0{old.id.hex()}\0")
            changes.append(RefChange(name, git_name, old.id.hex() if old else None, git_id.hex(), how))
        moved = [change for change in changes if change.how != UNCHANGED]
        if not moved:
            return changes
        wanted = "".join(f"{change.new}\n" for change in moved)
        self._git.run("rev-list", "--objects", "--stdin", "--not", "--all", "--quiet", input=wanted.encode())
        current = self._current_branch()
        for change in moved:
            if current is not None and change.git_name == current.name:
                self._move_files(current.id.hex(), str(change.new))
        self._git.run("update-ref", "--stdin", "-z", input="".join(commands).encode())
        return changes

    def _move_files(self, old: str, new: str) -> None:
        try:
            run_git("-C", self._directory, "read-tree", "-m", "-u", old, new)
        except MuseError as error:
            raise Conflict(
                "would-overwrite",
                f'files in "{self._directory}" are in the way: {error.message}',
                hint="move them, or export to a bare repository",
            ) from error

    def set_head(self) -> None:
        """Let a new target have checked out what is checked out here."""
        head = self._repository.refs.head()
        exists = {ref.name: ref.id for ref in load_refs(self._git)}
        if head.ref is not None:
            self._git.run("symbolic-ref", "HEAD", f"refs/{head.ref}")
            target = exists.get(f"refs/{head.ref}")
        else:
            found = self._repository.git_map.find_git_ids(Kind.COMMIT, [head.target] if head.target else [])
            target = next(iter(found.values()), None)
            if target is not None and self._git.find_output("cat-file", "-e", target.hex()) is not None:
                self._git.run("update-ref", "--no-deref", "HEAD", target.hex())
        if target is not None and not self._git.is_bare:
            run_git("-C", self._directory, "reset", "--quiet", "--hard")
