"""Writes packs of Git (gitformat-pack, version 2) and hands them to `git index-pack`."""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO

from muse.git.delta import make_delta
from muse.git.program import Git

MAX_OBJECTS = 500_000
MAX_BYTES = 2 << 30
MAX_CHAIN = 30
KEPT_BYTES = 32 << 20
KEPT_OBJECT_BYTES = 1 << 20
LEVEL = 6
SAMPLE_BYTES = 4 << 10
COPY_BYTES = 1 << 20

TYPE_NUMBERS = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
_REF_DELTA = 7


def new_hash(object_format: str, data: bytes = b"") -> hashlib._Hash:
    """Return the hash that names objects and ends packs in a repository of this format."""
    return hashlib.sha256(data) if object_format == "sha256" else hashlib.sha1(data, usedforsecurity=False)


class GitPackWriter:
    """Collects objects in a temporary file and gives them to a repository pack by pack.

    An object is written once per pack. What is written is in the repository after `finish`. Memory: 32 MiB
    of recent objects as bases for deltas, and 120 bytes for each object of the pack.
    """

    def __init__(self, git: Git, object_format: str) -> None:
        self._git = git
        self._object_format = object_format
        folder = git.git_dir / "objects"
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._written: set[bytes] = set()
        self._count = 0
        self._recent: dict[str, tuple[bytes, bytes, int]] = {}
        self._recent_bytes = 0
        self.size_bytes = 0
        """Raw size of all objects written."""
        self.pack_bytes = 0

    def close(self) -> None:
        self._file.close()

    def id_of(self, kind: str, data: bytes) -> bytes:
        return new_hash(self._object_format, b"%b %d\0%b" % (kind.encode(), len(data), data)).digest()

    def add(self, kind: str, data: bytes, like: str = "") -> bytes:
        """Write an object and return its Git id; `like` is a name that similar ones share, such as a path."""
        git_id = self.id_of(kind, data)
        if git_id in self._written:
            return git_id
        self._begin(git_id)
        delta, depth = None, 0
        if like:
            before = self._recent.pop(like, None)
            if before is not None:
                self._recent_bytes -= len(before[1])
                if before[2] < MAX_CHAIN:
                    delta = make_delta(before[1], data)
                    depth = before[2] + 1
            if len(data) <= KEPT_OBJECT_BYTES:
                self._keep(like, git_id, data, depth if delta is not None else 0)
        if delta is not None and before is not None:
            self._file.write(_head(_REF_DELTA, len(delta)) + before[0] + zlib.compress(delta))
        else:
            self._file.write(_head(TYPE_NUMBERS[kind], len(data)) + zlib.compress(data, _choose_level(data)))
        self.size_bytes += len(data)
        return git_id

    def add_pieces(self, kind: str, size_bytes: int, pieces: Iterable[bytes]) -> bytes:
        """Write an object of `size_bytes` that is never whole in memory, and return its Git id."""
        start = self._file.tell()
        digest = new_hash(self._object_format, b"%b %d\0" % (kind.encode(), size_bytes))
        packer = None
        self._file.write(_head(TYPE_NUMBERS[kind], size_bytes))
        for piece in pieces:
            if packer is None:
                packer = zlib.compressobj(min(_choose_level(piece), zlib.Z_BEST_SPEED))
            digest.update(piece)
            self._file.write(packer.compress(piece))
        self._file.write((packer or zlib.compressobj()).flush())
        git_id = digest.digest()
        if git_id in self._written:
            self._file.seek(start)
            self._file.truncate()
        else:
            self._begin(git_id)
            self.size_bytes += size_bytes
        return git_id

    def _begin(self, git_id: bytes) -> None:
        self._written.add(git_id)
        self._count += 1

    def _keep(self, like: str, git_id: bytes, data: bytes, depth: int) -> None:
        self._recent[like] = (git_id, data, depth)
        self._recent_bytes += len(data)
        while self._recent_bytes > KEPT_BYTES:
            self._recent_bytes -= len(self._recent.pop(next(iter(self._recent)))[1])

    def finish_if_large(self) -> None:
        if self._count >= MAX_OBJECTS or self._file.tell() >= MAX_BYTES:
            self.finish()

    def finish(self) -> None:
        """Give what was written so far to the repository, which checks every hash; raises `git-failed`."""
        if self._count:
            self.pack_bytes += self._file.tell()
            self._git.feed("index-pack", "--stdin", pieces=self._iter_pack())
        self._file.seek(0)
        self._file.truncate()
        self._written.clear()
        self._recent.clear()
        self._recent_bytes = self._count = 0

    def _iter_pack(self) -> Iterator[bytes]:
        digest = new_hash(self._object_format)
        self._file.flush()
        head = struct.pack(">4sII", b"PACK", 2, self._count)
        digest.update(head)
        yield head
        self._file.seek(0)
        while data := self._file.read(COPY_BYTES):
            digest.update(data)
            yield data
        yield digest.digest()
        self._file.seek(0, os.SEEK_END)


def _choose_level(data: bytes) -> int:
    """Return 0 for data of which a sample does not get smaller: trying it all takes 30 ms per megabyte."""
    if len(data) < 4 * SAMPLE_BYTES:
        return LEVEL
    middle = len(data) // 2
    sample = data[middle : middle + SAMPLE_BYTES]
    return LEVEL if len(zlib.compress(sample, zlib.Z_BEST_SPEED)) < len(sample) * 15 // 16 else 0


def _head(number: int, size_bytes: int) -> bytes:
    """Return the type and size that begin an object in a pack."""
    byte = number << 4 | size_bytes & 0x0F
    size_bytes >>= 4
    parts = bytearray()
    while size_bytes:
        parts.append(byte | 0x80)
        byte = size_bytes & 0x7F
        size_bytes >>= 7
    parts.append(byte)
    return bytes(parts)
