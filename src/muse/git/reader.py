"""New objects of a Git repository as one stream, parents first (docs/git.md, "How an import works")."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, NamedTuple

from muse.errors import InvalidData, LimitReached
from muse.git.program import Git

MAX_WHOLE_BYTES = 128 << 20
"""A tree of three million files; commits and tags are far smaller. Blobs pass in pieces."""

_BATCH = ("cat-file", "--buffer", "--batch=%(objectname) %(objecttype) %(objectsize) %(rest)")


class Header(NamedTuple):
    """What comes next in the stream; `path` is where a tree or blob was met first, as Git has it."""

    id: bytes
    type: bytes
    size_bytes: int
    path: bytes


class ObjectStream:
    """Reads objects as `git cat-file --batch` prints them; hashes every one and compares with its id.

    After each header exactly one of `read` and `open` must be used.
    """

    def __init__(self, stream: IO[bytes], object_format: str) -> None:
        self._stream = stream
        self._new_hash: Callable[[bytes], hashlib._Hash] = (
            (lambda data: hashlib.sha1(data, usedforsecurity=False))
            if object_format == "sha1"
            else hashlib.sha256
        )
        self._header = Header(b"", b"", 0, b"")

    def next(self) -> Header | None:
        """Return the next header, None at the end; raises `bad-git-data` for an object that is not there."""
        line = self._stream.readline()
        if not line:
            return None
        words = line[:-1].split(b" ", 3)
        if len(words) < 4:
            what = b" ".join(words).decode(errors="replace")
            raise InvalidData(
                "bad-git-data",
                f"the Git repository lacks an object: {what}",
                hint="`git fsck` shows what is wrong",
            )
        self._header = Header(bytes.fromhex(words[0].decode()), words[1], int(words[2]), words[3])
        return self._header

    def read(self) -> bytes:
        """Return the object's bytes; raises `bad-git-data` when they have another hash."""
        header = self._header
        if header.size_bytes > MAX_WHOLE_BYTES:
            raise LimitReached(
                "too-large", f"Git {header.type.decode()} {header.id.hex()} has {header.size_bytes} bytes"
            )
        data = self._stream.read(header.size_bytes)
        digest = self._new_hash(b"%b %d\0" % (header.type, header.size_bytes))
        digest.update(data)
        self._end(digest)
        return data

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Yield a stream of the object's bytes, to be read to its end; raises `bad-git-data` after it."""
        header = self._header
        digest = self._new_hash(b"%b %d\0" % (header.type, header.size_bytes))
        window = io.BufferedReader(_Window(self._stream, header.size_bytes, digest))
        yield window
        while window.read(1 << 20):
            pass
        self._end(digest)

    def _end(self, digest: hashlib._Hash) -> None:
        if digest.digest() != self._header.id or self._stream.read(1) != b"\n":
            raise InvalidData(
                "bad-git-data",
                f"Git object {self._header.id.hex()} does not have its hash, or git ended early",
                hint="`git fsck` shows what is wrong",
            )


class _Window(io.RawIOBase):
    """The next bytes of a stream as a stream of their own."""

    def __init__(self, stream: IO[bytes], size_bytes: int, digest: hashlib._Hash) -> None:
        self._stream = stream
        self._left = size_bytes
        self._digest = digest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")[: self._left]  # type: ignore[arg-type]
        count: int = self._stream.readinto(view)  # type: ignore[attr-defined]
        self._digest.update(view[:count])
        self._left -= count
        return count


def _arguments(starts: Iterable[bytes], excluded: Iterable[bytes]) -> Iterator[bytes]:
    for git_id in starts:
        yield git_id.hex().encode()
    for git_id in excluded:
        yield b"^" + git_id.hex().encode()


@contextmanager
def stream_new_objects(
    git: Git, object_format: str, starts: Iterable[bytes], excluded: Iterable[bytes]
) -> Iterator[ObjectStream]:
    """Yield the objects that `starts` (commits, trees, blobs) reach and the commits `excluded` do not.

    Parents come before children, and after each commit its new trees and blobs, a directory before what is
    in it. Some of what `excluded` reach may come, too. Raises `git-failed` after the last.
    """
    order = ("rev-list", "--objects", "--in-commit-order", "--topo-order", "--reverse", "--stdin")
    with git.stream(order, _BATCH, lines=_arguments(starts, excluded)) as stream:
        yield ObjectStream(stream, object_format)


@contextmanager
def stream_objects(git: Git, object_format: str, git_ids: Iterable[bytes]) -> Iterator[ObjectStream]:
    """Yield exactly these objects, in order."""
    lines = (git_id.hex().encode() + b" " for git_id in git_ids)
    with git.stream(_BATCH, lines=lines) as stream:
        yield ObjectStream(stream, object_format)


def iter_new_commits(
    git: Git, starts: Iterable[bytes], excluded: Iterable[bytes]
) -> Iterator[tuple[bytes, list[bytes]]]:
    """Yield (id, parents) of the commits that `starts` reach and `excluded` do not, children first.

    Excluded commits that the repository does not have do not matter.
    """
    order = ("rev-list", "--topo-order", "--parents", "--ignore-missing", "--stdin")
    with git.stream(order, lines=_arguments(starts, excluded)) as stream:
        for line in stream:
            ids = [bytes.fromhex(word) for word in line.decode().split()]
            yield ids[0], ids[1:]
