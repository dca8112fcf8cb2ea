"""A memory of objects for tests of the pure rooms: what `load` and `put` mean, and a count of both."""

from __future__ import annotations

from muse.errors import CorruptStore
from muse.history.walk import Node
from muse.objects.commit import Commit, Person, decode_commit, encode_commit
from muse.objects.ids import Kind, hash_bytes
from muse.objects.tree import FILE, Entry


class Memory:
    def __init__(self) -> None:
        self.objects: dict[tuple[Kind, bytes], bytes] = {}
        self.loads = 0
        self.written_bytes = 0
        self._time = 1_700_000_000

    def load(self, kind: Kind, object_id: bytes) -> bytes:
        self.loads += 1
        try:
            return self.objects[kind, object_id]
        except KeyError:
            raise CorruptStore("missing-object", f"no {kind.name} {object_id.hex()}") from None

    def put(self, kind: Kind, data: bytes, base: bytes | None = None) -> bytes:
        if base is not None:
            assert (kind, base) in self.objects
        object_id = hash_bytes(data)
        if (kind, object_id) not in self.objects:
            self.written_bytes += len(data)
            self.objects[kind, object_id] = data
        return object_id

    def file(self, name: str, content: bytes) -> Entry:
        return Entry(name, FILE, self.put(Kind.BLOB, content), len(content))

    def commit(self, tree: bytes, *parents: bytes, message: str = "") -> bytes:
        self._time += 1
        person = Person("A", "a@example.org", self._time, 0)
        return self.put(Kind.COMMIT, encode_commit(Commit(tree, parents, person, person, message)))

    def graph(self, commit_id: bytes) -> Node:
        commit = decode_commit(self.objects[Kind.COMMIT, commit_id])
        generation = 1 + max((self.graph(parent).generation for parent in commit.parents), default=0)
        return Node(commit_id, commit.parents, generation, commit.committer.time_s, commit.tree)
