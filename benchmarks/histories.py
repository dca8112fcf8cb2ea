"""Seeded histories in which no two files are ever the same: the same bytes for every system measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from random import Random
from typing import NamedTuple

WORDS = [bytes(Random(n).choices(b"abcdefghijklmnopqrstuvwxyz", k=3 + n % 8)) for n in range(64)]


class Step(NamedTuple):
    """One commit: a message and the files it writes, by path."""

    message: str
    files: dict[str, bytes]


class History(NamedTuple):
    """A named history; `steps` makes it afresh, commit by commit, from its seed.

    `first` steps, by default all, make the first push; each one after them is pushed for itself.
    """

    name: str
    about: str
    steps: Callable[[], Iterator[Step]]
    first: int | None = None

    def cut(self, commits: int) -> History:
        """The same history up to so many commits."""
        return self._replace(steps=lambda: islice(self.steps(), commits))


def _text(rng: Random, size: int) -> bytes:
    """Text-like bytes: words and lines, about a quarter after compression."""
    lines = []
    total = 0
    while total < size:
        line = b" ".join(rng.choices(WORDS, k=9))
        lines.append(line)
        total += len(line) + 1
    return b"\n".join(lines)[:size]


def _mixed(rng: Random, size: int) -> bytes:
    """60 % random bytes and 40 % text."""
    random_size = size * 6 // 10
    return rng.randbytes(random_size) + _text(rng, size - random_size)


def _grid(commits: int, files: int, size: int) -> Callable[[], Iterator[Step]]:
    """`commits` commits, each of `files` new files of `size` bytes."""

    def steps() -> Iterator[Step]:
        rng = Random(commits * 1_000_003 + files)
        for number in range(commits):
            yield Step(
                f"commit {number}",
                {
                    f"area-{index % 10}/unit-{number % 50:02}/file-{number}-{index}.dat": _mixed(rng, size)
                    for index in range(files)
                },
            )

    return steps


def _seed() -> Iterator[Step]:
    """988 commits, 8,791 versions of 850 paths, 238 MB; a third of them edit what was there."""
    rng = Random(988)
    paths = [f"part-{n % 17}/group-{n % 5}/item-{n}.bin" for n in range(850)]
    current: dict[str, bytes] = {}
    written = 0
    for number in range(988):
        count = 8791 * (number + 1) // 988 - written
        written += count
        files = {}
        for path in rng.sample(paths, count):
            size = max(200, min(int(rng.expovariate(1 / 27_100)), 400_000))
            old = current.get(path)
            if old is not None and rng.random() < 0.33:
                at = rng.randrange(len(old))
                files[path] = old[:at] + _mixed(rng, 200) + old[at + 100 :]
            else:
                files[path] = _mixed(rng, size)
        current.update(files)
        yield Step(f"commit {number}", files)


def _chain() -> Iterator[Step]:
    """992 commits with 4,142 versions of small files, all random."""
    rng = Random(992)
    written = 0
    for number in range(992):
        files = {}
        while written < 4142 * (number + 1) // 992:
            path = f"part-{written % 17}/item-{rng.randrange(700)}-{written % 50}"
            files[path] = rng.randbytes(rng.randrange(200, 4000))
            written += 1
        yield Step(f"commit {number}", files)


def _flat() -> Iterator[Step]:
    """100,000 small files in one folder, then 10 commits that change 10 of them each."""
    rng = Random(100_000)
    names = [f"flat/entry-{n:06}.txt" for n in range(100_000)]
    yield Step("all", {name: b"%s %d\n" % (name.encode(), rng.getrandbits(64)) for name in names})
    for number in range(10):
        yield Step(
            f"change {number}",
            {name: b"%s %d\n" % (name.encode(), rng.getrandbits(64)) for name in rng.sample(names, 10)},
        )


def _big() -> Iterator[Step]:
    """Three files of 300 MB of random bytes, then 1 KB inserted in one."""
    rng = Random(300)
    size = 300 * 1000 * 1000

    def content() -> bytes:
        # `randbytes` makes at most 256 MB at once.
        return b"".join(rng.randbytes(size // 10) for _ in range(10))

    first = content()
    yield Step("one", {"one.bin": first})
    yield Step("two", {"two.bin": content()})
    yield Step("three", {"three.bin": content()})
    yield Step("insert", {"one.bin": first[: size // 2] + rng.randbytes(1000) + first[size // 2 :]})


HISTORIES = {
    history.name: history
    for history in (
        History("XS", "1 commit × 5 files × 512 B", _grid(1, 5, 512)),
        History("S", "10 × 10 × 1 KB", _grid(10, 10, 1024)),
        History("M", "100 × 20 × 2 KB", _grid(100, 20, 2048)),
        History("L", "500 × 50 × 4 KB", _grid(500, 50, 4096)),
        History("XL", "1000 × 100 × 8 KB", _grid(1000, 100, 8192)),
        History("SEED", "988 commits, 8,791 blobs, 238 MB, 60 % incompressible", _seed),
        History("CHAIN", "992 commits, 4,142 small random blobs", _chain),
        History("FLAT", "100,000 files in one folder, then 10 × 10 changed", _flat, first=1),
        History("BIG", "3 × 300 MB random, then 1 KB inserted", _big, first=3),
    )
}
