"""Any sequence of transactions, undos, clean-ups and rebuilds against a model in memory."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from muse.errors import Conflict, UsageError
from muse.objects.commit import Commit, Person, encode_commit
from muse.objects.ids import Kind, hash_bytes
from muse.objects.tree import FILE, Entry, encode_entries
from muse.store.fsck import fsck
from muse.store.gc import gc
from muse.store.rebuild import rebuild
from muse.store.repository import Repository

ADA = Person("Ada", "ada@example.org", 1_700_000_000, 0)
CONTENTS = st.one_of(
    st.binary(max_size=200),
    st.integers(0, 30).map(lambda n: b"".join(b"%d lines\n" % i for i in range(100)) + b"%d" % n),
)
BRANCHES = st.sampled_from(["heads/main", "heads/a", "heads/b", "tags/t"])


class StoreModel(RuleBasedStateMachine):
    """`objects` must be readable, `refs` where they are here, `done` is what undo must bring back."""

    commits: Bundle[bytes] = Bundle("commits")

    @initialize()
    def make(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.repository = Repository.init(self.folder)
        self.objects: dict[tuple[Kind, bytes], bytes] = {}
        self.refs: dict[str, bytes] = {}
        self.done: list[dict[str, bytes]] = []
        self.undone: list[dict[str, bytes]] = []

    def teardown(self) -> None:
        if hasattr(self, "repository"):
            self.repository.close()
            shutil.rmtree(self.folder)

    def _log(self) -> None:
        self.done.append(dict(self.refs))
        self.undone.clear()

    @rule(
        target=commits,
        contents=st.lists(CONTENTS, max_size=4),
        branch=BRANCHES,
        flush=st.booleans(),
        fail=st.booleans(),
    )
    def commit(self, contents: list[bytes], branch: str, flush: bool, fail: bool) -> object:
        parent = self.refs.get(branch)
        new: dict[tuple[Kind, bytes], bytes] = {}
        try:
            with self.repository.transaction("commit") as transaction:
                entries = []
                base = None
                for number, data in enumerate(contents):
                    base = transaction.put(Kind.BLOB, data, base)
                    new[Kind.BLOB, base] = data
                    entries.append(Entry(f"{number}", FILE, base, len(data)))
                tree = transaction.put(Kind.TREE, encode_entries(entries))
                commit = Commit(tree, (parent,) if parent else (), ADA, ADA, f"{len(self.objects)}")
                encoded = encode_commit(commit)
                commit_id = transaction.put(Kind.COMMIT, encoded)
                new[Kind.TREE, tree] = encode_entries(entries)
                new[Kind.COMMIT, commit_id] = encoded
                for key, data in new.items():
                    assert transaction.load(*key) == data
                if flush:
                    transaction.flush()
                transaction.set_ref(branch, commit_id, parent)
                if fail:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            if flush:
                self.objects.update(new)
            return multiple()
        self.objects.update(new)
        if self.refs.get(branch) != commit_id:
            self._log()
            self.refs[branch] = commit_id
        return commit_id

    @rule(
        branch=BRANCHES, target_commit=st.one_of(st.none(), commits), expected=st.one_of(st.none(), commits)
    )
    def swap(self, branch: str, target_commit: bytes | None, expected: bytes | None) -> None:
        try:
            with self.repository.transaction("move") as transaction:
                transaction.set_ref(branch, target_commit, expected)
        except Conflict:
            assert self.refs.get(branch) != expected
            return
        assert self.refs.get(branch) == expected
        if target_commit != expected:
            self._log()
            if target_commit is None:
                del self.refs[branch]
            else:
                self.refs[branch] = target_commit

    @rule()
    def undo(self) -> None:
        try:
            with self.repository.transaction("undo") as transaction:
                self.repository.operations.undo(transaction)
        except UsageError:
            assert not self.done
            return
        self.undone.append(dict(self.refs))
        self.refs = self.done.pop()

    @rule()
    def redo(self) -> None:
        try:
            with self.repository.transaction("redo") as transaction:
                self.repository.operations.redo(transaction)
        except UsageError:
            assert not self.undone
            return
        self.done.append(dict(self.refs))
        self.refs = self.undone.pop()

    @rule()
    def reopen(self) -> None:
        self.repository.close()
        self.repository = Repository.open(self.folder)

    @rule()
    def rebuild(self) -> None:
        self.repository.close()
        assert rebuild(self.folder).problems == []
        self.repository = Repository.open(self.folder)

    @rule(forgotten=consumes(commits))
    def clean_up(self, forgotten: bytes) -> None:
        """With the operation log in force nothing that any ref ever reached may go."""
        del forgotten
        gc(self.repository)
        self.objects = {
            key: data
            for key, data in self.objects.items()
            if self.repository.objects.has(*key) or key in self._held()
        }

    def _held(self) -> set[tuple[Kind, bytes]]:
        held: set[tuple[Kind, bytes]] = set()
        states = [self.refs, *self.done, *self.undone]
        for commit_id in {commit for state in states for commit in state.values()}:
            held.add((Kind.COMMIT, commit_id))
        return held

    @invariant()
    def what_was_put_is_there(self) -> None:
        if not hasattr(self, "repository"):
            return
        for (kind, object_id), data in self.objects.items():
            assert hash_bytes(data) == object_id
            assert self.repository.objects.load(kind, object_id) == data
        assert {ref.name: ref.target for ref in self.repository.refs.iter()} == self.refs

    @rule()
    def check(self) -> None:
        assert list(fsck(self.repository)) == []


TestStoreModel = StoreModel.TestCase
TestStoreModel.settings = settings(stateful_step_count=25)
