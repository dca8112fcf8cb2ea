"""Import of a Git repository (docs/git.md): objects as one stream, then tags, then refs, as one operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from muse.errors import InvalidData
from muse.git.commits import (
    OBJECT_FORMAT,
    PARENTS,
    commit_from_git,
    parse_commit_links,
    parse_tag_links,
    tag_from_git,
)
from muse.git.forgetting import forget_oldest
from muse.git.importplan import ImportPlanner
from muse.git.importrefs import RefImport, load_recorded, move_refs, record_refs
from muse.git.importtrees import TreeImporter
from muse.git.known import KnownObjects, Mapped, unknown_object
from muse.git.program import Git, open_source
from muse.git.reader import Header, ObjectStream, stream_new_objects
from muse.git.references import GitRef, load_head, load_refs, to_muse
from muse.git.results import ImportResult, Loss
from muse.git.versions import VersionWriter
from muse.objects.chunks import CHUNKED_FROM_BYTES
from muse.objects.commit import encode_commit, encode_tag
from muse.objects.ids import Kind
from muse.objects.tree import CHUNKED_FILE
from muse.store.progress import Progress, silent
from muse.store.repository import Repository
from muse.store.transaction import Transaction

FLUSH_OBJECTS = 20_000
"""After so many the import makes them durable: what an interrupted one repeats, and a bound of memory."""
MAX_PATHS = 50_000
REPORT_EVERY = 64

Checkout = Callable[[Transaction, bytes | None, bytes], None]
"""checkout(transaction, old commit or None, new commit): called when the branch that is checked out moves."""


def import_git(
    repository: Repository,
    source: str,
    *,
    all_refs: bool = False,
    allow_loss: bool = False,
    prune: bool = False,
    force: bool = False,
    operation: str | None = None,
    checkout: Checkout | None = None,
    progress: Progress = silent,
    flush_objects: int = FLUSH_OBJECTS,
) -> ImportResult:
    """Bring the history of a Git repository, a path or an address, into `repository`: what is new of it.

    Branches and tags follow the source, with `all_refs` every other ref as well. A branch that has commits
    which are not in Git stays where it is unless `force`; `prune` deletes refs that the last import from
    `source` brought and that are gone there. All of it is one undoable operation named `operation`; objects
    become durable on the way, so that an interrupted import goes on where it stopped. `checkout` is called,
    before any ref moves, when the current branch is going to; what it raises stops the import.

    Raises `not-representable` for something without counterpart unless `allow_loss`; `bad-git-data`,
    `git-failed`, `git-missing`, `not-a-repository`. Memory: 256 MiB whatever the size of history and files.
    """
    with (
        open_source(source, repository.temporary_dir, progress) as git,
        repository.transaction(operation or f"git import {source}") as transaction,
    ):
        run = _Import(repository, transaction, git, allow_loss, progress, flush_objects)
        head = load_head(git)
        patterns = () if all_refs else ("refs/heads/", "refs/tags/")
        refs = load_refs(git, *patterns)
        named = run.name_refs(refs)
        starts = [GitRef("HEAD", head.id, "commit")] if head.id is not None and head.ref is None else []
        run.import_objects([*starts, *named.values()])
        progress("moving refs", 0, None, "refs")
        key = str(Path(source).resolve()) if Path(source).exists() else source
        move = RefImport(repository, transaction, run.known, prune, force)
        recorded = load_recorded(repository, key)
        changes = move_refs(move, named, recorded, all_refs)
        record_refs(repository, transaction, key, named, recorded, changes)
        new_head = move.set_first_head(head, named)
        if checkout is not None:
            move.check_out(checkout)
        return ImportResult(
            source,
            run.object_format,
            run.commits,
            run.trees,
            run.blobs,
            run.tags,
            run.size_bytes,
            changes,
            new_head,
            move.moves_current,
            run.shallow,
            list(run.losses.values()),
        )


class _Import:
    """The objects of one import; counts what it read."""

    def __init__(
        self,
        repository: Repository,
        transaction: Transaction,
        git: Git,
        allow_loss: bool,
        progress: Progress,
        flush_objects: int,
    ) -> None:
        self._repository = repository
        self._transaction = transaction
        self._git = git
        self._allow_loss = allow_loss
        self._progress = progress
        self._flush_objects = flush_objects
        self._unflushed = 0
        self.object_format = git.object_format
        self.known = KnownObjects(repository, transaction)
        id_bytes = 20 if self.object_format == "sha1" else 32
        self._versions = VersionWriter(transaction)
        self._trees = TreeImporter(
            transaction.load, self._versions.put, self.known, id_bytes, self._report_in_tree
        )
        self._own_extra = {} if self.object_format == "sha1" else {OBJECT_FORMAT: self.object_format}
        self._last_blobs: dict[bytes, bytes] = {}
        self._commit: tuple[bytes, bytes] | None = None
        self._last_commit: bytes | None = None
        self._absent: frozenset[bytes] = frozenset()
        self._where = ""
        self._left_out: set[bytes] = set()
        self.commits = self.trees = self.blobs = self.tags = self.size_bytes = self.shallow = 0
        self.losses: dict[tuple[str, str], Loss] = {}

    # ---- losses

    def _lose(self, where: str, path: str, reason: str, result: str) -> None:
        """Note a loss, each path and reason once; raises `not-representable` where losses are not allowed."""
        if not self._allow_loss:
            raise InvalidData(
                "not-representable",
                f'in "{where}", "{path or "/"}": {reason}'
                if path or reason.startswith("its")
                else f'"{where}": {reason}',
                hint="--allow-loss imports it all the same and lists what was changed",
                details={"commit": where, "path": path, "reason": reason, "would_be": result},
            )
        self.losses.setdefault((path or where, reason), Loss(where, path, reason, result))

    def _report_in_tree(self, path: bytes, reason: str, result: str) -> None:
        self._lose(self._where, path.decode(errors="replace"), reason, result)

    # ---- refs

    def name_refs(self, refs: list[GitRef]) -> dict[str, GitRef]:
        """Return name in muse → ref; one without such a name is a loss."""
        named = {}
        for ref in refs:
            name = to_muse(ref.name)
            if name is None:
                shown = ref.name.encode(errors="surrogateescape").decode(errors="replace")
                self._lose(shown, "", "its name is not allowed", "left out")
            elif name.startswith("heads/") and ref.type != "commit":
                self._lose(ref.name, "", "it is a branch and points at no commit", "left out")
            else:
                named[name] = ref
        return named

    # ---- objects

    def import_objects(self, refs: Iterable[GitRef]) -> None:
        """Store everything that the refs reach and that is not here yet."""
        plan = ImportPlanner(self._repository, self._git, self.object_format, self.known, self._progress)
        refs = list(refs)
        wanted = plan.find_unknown(ref.id for ref in refs)
        known_tips = [ref.id for ref in refs if ref.type == "commit" and ref.id not in wanted]
        tags = plan.load_tags(ref.id for ref in refs if ref.type == "tag" and ref.id in wanted)
        others = {ref.id for ref in refs if ref.type in ("tree", "blob")} & wanted
        commits = {ref.id for ref in refs if ref.type == "commit"} & wanted
        for _, data in tags:
            links = parse_tag_links(data)
            target = bytes.fromhex(links.target.decode())
            if links.target_type != b"tag":
                (commits if links.target_type == b"commit" else others).add(target)
        commits = plan.find_unknown(commits)
        frontier, total = plan.find_frontier(commits, known_tips)
        if commits or others:
            self._absent = plan.load_shallow()
            with stream_new_objects(self._git, self.object_format, [*commits, *others], frontier) as stream:
                self._store_stream(stream, total)
        for git_id, data in reversed(tags):
            self._store_tag(git_id, data)
        self.known.save()

    def _store_stream(self, stream: ObjectStream, total: int) -> None:
        progress = self._progress
        progress("importing", 0, total, "commits")
        while (header := stream.next()) is not None:
            kind = header.type
            if self._unflushed >= self._flush_objects:
                self._flush()
            self._unflushed += 1
            self.size_bytes += header.size_bytes
            if kind == b"blob":
                self.blobs += 1
                self._store_blob(header, stream)
            elif kind == b"tree":
                self.trees += 1
                self._trees.add(header.id, header.path, stream.read())
            else:
                self._finish_commit()
                self._commit = (header.id, stream.read())
                self._where = header.id.hex()
                if not self.commits % REPORT_EVERY:
                    progress("importing", self.commits, total, "commits")
        self._finish_commit()
        progress("importing", self.commits, total, "commits")

    def _flush(self) -> None:
        self.known.save()
        self._transaction.flush()
        self.known.trim()
        self._trees.trim()
        self._versions.trim()
        forget_oldest(self._last_blobs, MAX_PATHS)
        self._unflushed = 0

    def _store_blob(self, header: Header, stream: ObjectStream) -> None:
        git_id, _, size_bytes, path = header
        previous = self._last_blobs.pop(path, None)
        if size_bytes < CHUNKED_FROM_BYTES:
            object_id = self._versions.put(Kind.BLOB, stream.read(), previous)
            mapped = Mapped(Kind.BLOB, object_id, size_bytes, 1)
        else:
            with stream.open() as content:
                entry_kind, object_id, _ = self._transaction.put_stream(content, size_bytes, previous)
            kind = Kind.CHUNKS if entry_kind == CHUNKED_FILE else Kind.BLOB
            mapped = Mapped(kind, object_id, size_bytes, 1)
        self._last_blobs[path] = object_id
        self.known.add(git_id, mapped)

    def _finish_commit(self) -> None:
        """Store the trees that came since the last commit, and the commit that came before them."""
        self._trees.store_all()
        if self._commit is None:
            return
        git_id, data = self._commit
        self._commit = None
        links = parse_commit_links(data)
        tree = self.known.get(bytes.fromhex(links.tree.decode()))
        extra = dict(self._own_extra)
        exact = tree.exact
        parents: list[bytes] = []
        if git_id in self._absent:
            self.shallow += 1
            extra[PARENTS] = b" ".join(links.parents).decode()
        else:
            for parent in links.parents:
                mapped = self.known.get(bytes.fromhex(parent.decode()))
                parents.append(mapped.id)
                exact &= mapped.exact
        commit = commit_from_git(links.rest, tree.id, tuple(parents))
        if extra:
            commit = commit._replace(extra={**commit.extra, **extra})
        previous = parents[0] if parents else self._last_commit
        self._last_commit = self._versions.put(Kind.COMMIT, encode_commit(commit), previous)
        self.known.add(git_id, Mapped(Kind.COMMIT, self._last_commit, exact=exact))
        self.commits += 1

    # ---- tags

    def _store_tag(self, git_id: bytes, data: bytes) -> None:
        links = parse_tag_links(data)
        target_id = bytes.fromhex(links.target.decode())
        target = self.known.find(target_id)
        if target is None:
            if target_id not in self._left_out:
                raise unknown_object(target_id)
            self._left_out.add(git_id)
            return
        if target.kind is Kind.CHUNKS:
            self._left_out.add(git_id)
            self._lose(git_id.hex(), "", "it is an annotated tag of a large file", "left out")
            return
        tag = tag_from_git(links.rest, target.id, target.kind)
        if self._own_extra:
            tag = tag._replace(extra={**tag.extra, **self._own_extra})
        object_id = self._transaction.put(Kind.TAG, encode_tag(tag))
        self.known.add(git_id, Mapped(Kind.TAG, object_id, exact=target.exact))
        self.size_bytes += len(data)
        self.tags += 1
