"""The objects of an export: Git's are computed from muse's, parents first, without what the target has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from muse.errors import InvalidData
from muse.git.commits import OBJECT_FORMAT, PARENTS, encode_commit, encode_tag
from muse.git.packfile import GitPackWriter
from muse.git.trees import encode_tree
from muse.history.directory import iter_entries
from muse.history.walk import iter_commits
from muse.objects.commit import decode_commit, decode_tag
from muse.objects.ids import Kind
from muse.objects.references import KIND_OF_ENTRY
from muse.objects.tree import CHUNKED_FILE, DIRECTORY, FILE, SUBMODULE, Entry
from muse.store.progress import Progress
from muse.store.refs import Ref
from muse.store.repository import Repository
from muse.store.transaction import Transaction

MAX_IDS = 300_000
"""Git ids kept in memory, 230 bytes each; older ones are asked from the Git map."""
MAX_CACHED_ENTRIES = 60_000
FLUSH_OBJECTS = 20_000
REPORT_EVERY = 64


class UnknownBase(Exception):
    """Something that the target has is not in the Git map."""


class ObjectExporter:
    """Writes objects; `haves` maps commits here to those that the target has, with all they reach."""

    def __init__(
        self,
        repository: Repository,
        transaction: Transaction,
        writer: GitPackWriter,
        object_format: str,
        haves: Mapping[bytes, bytes],
        progress: Progress,
    ) -> None:
        self._repository = repository
        self._load = repository.objects.load
        self._transaction = transaction
        self._writer = writer
        self._object_format = object_format
        self._id_bytes = 32 if object_format == "sha256" else 20
        self._progress = progress
        self._haves = haves
        # By kind, what is written already or the target has.
        self._ids: dict[Kind, dict[bytes, bytes]] = {kind: {} for kind in Kind}
        self._ids[Kind.COMMIT].update(haves)
        self._ids_of = {entry_kind: self._ids[kind] for entry_kind, kind in KIND_OF_ENTRY.items()}
        self._complete = not haves
        self._fresh: dict[bytes, tuple[Kind, bytes, int, int]] = {}
        self._directories: dict[bytes, list[Entry]] = {}
        self._cached_entries = 0
        self.counts: Counter[str] = Counter()
        self.not_exported: Counter[str] = Counter()
        self.shallow: list[bytes] = []
        """Git ids of commits whose parents were not in the source they came from."""

    def export(self, refs: Sequence[Ref]) -> dict[str, bytes]:
        """Write everything that the refs reach; returns name of ref → Git id."""
        tips = [ref.commit for ref in refs if ref.commit is not None]
        order = [node.id for node in iter_commits(self._repository.graph, tips, self._haves)]
        order.reverse()
        for position, commit_id in enumerate(order):
            if not position % REPORT_EVERY:
                self._progress("exporting", position, len(order), "commits")
            self._export_commit(commit_id)
            if len(self._fresh) >= FLUSH_OBJECTS:
                self._flush()
        self._progress("exporting", len(order), len(order), "commits")
        targets = {ref.name: self._export_object(ref.kind, ref.target, ref.name) for ref in refs}
        self._flush()
        return targets

    def _flush(self) -> None:
        """Record what was computed, and keep memory bounded."""
        new = set(self._fresh).difference(self._repository.git_map.find_many(self._fresh))
        if new:
            rows = {git_id: self._fresh[git_id] for git_id in new}
            self._repository.git_map.put_many(self._transaction, rows)
            self._transaction.flush()
        self._fresh = {}
        for ids in self._ids.values():
            if len(ids) > MAX_IDS // 3:
                self._complete = False
                for object_id in list(islice(ids, len(ids) // 2)):
                    del ids[object_id]
        self._writer.finish_if_large()

    def _note(
        self, kind: Kind, object_id: bytes, git_id: bytes, size_bytes: int = 0, files: int = 0
    ) -> bytes:
        self._ids[kind][object_id] = git_id
        self._fresh[git_id] = (kind, object_id, size_bytes, files)
        return git_id

    # ---- commits and tags

    def _export_commit(self, commit_id: bytes) -> None:
        commit = decode_commit(self._load(Kind.COMMIT, commit_id))
        if commit.extra.get(OBJECT_FORMAT, self._object_format) != self._object_format:
            raise InvalidData(
                "not-representable",
                f"commit {commit_id.hex()} comes from a {commit.extra[OBJECT_FORMAT]} repository,"
                f" the target is a {self._object_format} one",
                hint="export to a new folder",
            )
        parent_ids = [self._commit_id(parent) for parent in commit.parents]
        old_trees = (
            [] if self._complete else [self._repository.graph(parent).tree for parent in commit.parents]
        )
        tree_id = self._export_tree(commit.tree, old_trees)
        data = encode_commit(
            commit, tree_id.hex(), [parent.hex() for parent in parent_ids], self.not_exported
        )
        git_id = self._writer.add("commit", data)
        if not commit.parents and PARENTS in commit.extra:
            self.shallow.append(git_id)
        self.counts["commit"] += 1
        self._note(Kind.COMMIT, commit_id, git_id)

    def _commit_id(self, commit_id: bytes) -> bytes:
        git_id = self._ids[Kind.COMMIT].get(commit_id)
        if git_id is None:
            git_id = self._repository.git_map.find_git_ids(Kind.COMMIT, (commit_id,)).get(commit_id)
            if git_id is None or len(git_id) != self._id_bytes:
                raise UnknownBase
            self._ids[Kind.COMMIT][commit_id] = git_id
        return git_id

    def _export_object(self, kind: Kind, object_id: bytes, name: str) -> bytes:
        """Write what a ref or tag points at, if it is not there yet."""
        if kind is Kind.COMMIT:
            return self._commit_id(object_id)
        known = self._ids[kind].get(object_id)
        if known is not None:
            return known
        if kind is Kind.TREE:
            return self._export_tree(object_id, [])
        if kind is not Kind.TAG:
            entry_kind = CHUNKED_FILE if kind is Kind.CHUNKS else FILE
            return self._export_blob(Entry(name, entry_kind, object_id, -1), kind, name)
        tag = decode_tag(self._load(Kind.TAG, object_id))
        target = self._export_object(tag.target_kind, tag.target, name)
        git_id = self._writer.add("tag", encode_tag(tag, target.hex(), self.not_exported))
        self.counts["tag"] += 1
        return self._note(Kind.TAG, object_id, git_id)

    # ---- trees and blobs

    def _entries(self, tree_id: bytes) -> list[Entry]:
        entries = self._directories.pop(tree_id, None)
        if entries is None:
            entries = list(iter_entries(self._load, tree_id))
            self._cached_entries += len(entries)
        self._directories[tree_id] = entries
        while self._cached_entries > MAX_CACHED_ENTRIES and len(self._directories) > 1:
            self._cached_entries -= len(self._directories.pop(next(iter(self._directories))))
        return entries

    def _export_tree(self, root: bytes, old_roots: list[bytes]) -> bytes:
        """Write a directory and what is in it, but what is written or in `old_roots`; children first."""
        tree_ids = self._ids[Kind.TREE]
        ids_of = self._ids_of
        waiting = [(root, "", old_roots)]
        while waiting:
            tree_id, path, olds = waiting[-1]
            if tree_id in tree_ids:
                waiting.pop()
                continue
            entries = self._entries(tree_id)
            missing = self._find_missing(entries)
            if missing and olds:
                self._take_from_old(missing, olds)
                missing = self._find_missing(missing)
            directories = []
            for entry in missing:
                inner = f"{path}/{entry.name}" if path else entry.name
                if entry.kind == DIRECTORY:
                    directories.append((entry.id, inner, self._same_named(entry.name, olds)))
                else:
                    self._export_blob(entry, KIND_OF_ENTRY[entry.kind], inner)
            if directories:
                waiting += directories
                continue
            git_ids = [ids_of[entry[1]][entry[2]] if entry[1] != SUBMODULE else b"" for entry in entries]
            git_id = self._writer.add("tree", encode_tree(entries, git_ids, self._id_bytes), f"{path}/")
            self.counts["tree"] += 1
            size_bytes, files = sum([entry[3] for entry in entries]), sum([entry[4] for entry in entries])
            self._note(Kind.TREE, tree_id, git_id, size_bytes, files)
            waiting.pop()
        return tree_ids[root]

    def _find_missing(self, entries: list[Entry]) -> list[Entry]:
        ids_of = self._ids_of
        return [entry for entry in entries if entry[1] != SUBMODULE and entry[2] not in ids_of[entry[1]]]

    def _take_from_old(self, missing: list[Entry], olds: list[bytes]) -> None:
        """Look up the Git ids of what older directories have as well: the target has it, then."""
        present = {(KIND_OF_ENTRY.get(entry[1]), entry[2]) for old in olds for entry in self._entries(old)}
        wanted: dict[Kind, set[bytes]] = {}
        for entry in missing:
            kind = KIND_OF_ENTRY[entry.kind]
            if (kind, entry.id) in present:
                wanted.setdefault(kind, set()).add(entry.id)
        for kind, ids in wanted.items():
            found = self._repository.git_map.find_git_ids(kind, ids)
            self._ids[kind].update(
                (object_id, git_id) for object_id, git_id in found.items() if len(git_id) == self._id_bytes
            )

    def _same_named(self, name: str, olds: Iterable[bytes]) -> list[bytes]:
        return [
            entry.id
            for old in olds
            for entry in self._entries(old)
            if entry.name == name and entry.kind == DIRECTORY
        ]

    def _export_blob(self, entry: Entry, kind: Kind, path: str) -> bytes:
        known = self._ids[kind].get(entry.id)
        if known is not None:
            return known
        if kind is Kind.BLOB:
            data = self._load(Kind.BLOB, entry.id)
            size_bytes = len(data)
            git_id = self._writer.add("blob", data, path)
        else:
            size_bytes = entry.size_bytes
            pieces = self._repository.objects.open_file(CHUNKED_FILE, entry.id)
            if size_bytes < 0:
                size_bytes = sum(map(len, self._repository.objects.open_file(CHUNKED_FILE, entry.id)))
            git_id = self._writer.add_pieces("blob", size_bytes, pieces)
        self.counts["blob"] += 1
        return self._note(kind, entry.id, git_id, size_bytes, 1)


def find_object_format(repository: Repository, refs: Iterable[Ref]) -> str:
    """Return the format of the repository that the oldest commits come from; `sha1` if from none."""
    tips = [ref.commit for ref in refs if ref.commit is not None]
    for git_id in repository.git_map.find_git_ids(Kind.COMMIT, tips).values():
        return "sha1" if len(git_id) == 20 else "sha256"
    for tip in tips:
        node = repository.graph(tip)
        while node.parents:
            node = repository.graph(node.parents[0])
        return decode_commit(repository.objects.load(Kind.COMMIT, node.id)).extra.get(OBJECT_FORMAT, "sha1")
    return "sha1"
