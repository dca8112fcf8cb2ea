"""What is written for Git is what Git reads."""

from __future__ import annotations

import random
from pathlib import Path

from tests.muse.git.gitrepo import GitRepo

from muse.git.delta import make_delta
from muse.git.packfile import MAX_CHAIN, GitPackWriter
from muse.git.program import Git
from muse.git.trees import encode_tree, is_canonical, parse_tree
from muse.objects.tree import DIRECTORY, FILE, Entry


def test_versions_of_a_file_are_small_and_come_back(source: GitRepo) -> None:
    versions = [b"".join(b"line %d %d\n" % (n, random.Random(n).random() * 1e9) for n in range(2000))]
    seed = random.Random(7)
    for _ in range(3 * MAX_CHAIN):
        at = seed.randrange(len(versions[-1]))
        versions.append(versions[-1][:at] + seed.randbytes(seed.randrange(300)) + versions[-1][at + 10 :])
    git = Git.find(source.path)
    assert git is not None
    writer = GitPackWriter(git, "sha1")
    ids = [writer.add("blob", data, "file").hex() for data in versions]
    assert [writer.add("blob", data, "file").hex() for data in versions] == ids
    ids.append(writer.add_pieces("blob", 6 << 20, [bytes(1 << 20)] * 6).hex())
    ids.append(writer.add_pieces("blob", 0, []).hex())
    writer.finish()
    writer.close()
    assert writer.pack_bytes < writer.size_bytes // 8
    for object_id, data in zip(ids, [*versions, bytes(6 << 20), b""], strict=True):
        assert source.blob(data) == object_id
        assert int(source.git("cat-file", "-s", object_id)) == len(data)
    source.git("fsck", "--full")


def test_nothing_written_makes_no_pack(source: GitRepo) -> None:
    git = Git.find(source.path)
    assert git is not None
    writer = GitPackWriter(git, "sha1")
    writer.finish()
    writer.close()
    assert list(Path(source.path, "objects", "pack").iterdir()) == []


def test_unlike_data_makes_no_delta() -> None:
    one, other = random.Random(1).randbytes(1000), random.Random(2).randbytes(1000)
    assert make_delta(one, other) is None
    assert make_delta(b"short", b"short") is None
    assert make_delta(one, one) is not None


def test_directories_sort_as_git_sorts_them() -> None:
    names = ["a", "a-b", "a.b", "a0", "ab"]
    entries = [Entry(name, DIRECTORY if name == "a" else FILE, bytes(32), 0) for name in names]
    data = encode_tree(entries, [bytes(20)] * 5, 20)
    items = parse_tree(data, 20)
    assert [item[1] for item in items] == [b"a-b", b"a.b", b"a", b"a0", b"ab"]
    assert is_canonical(items)
    assert not is_canonical(sorted(items, key=lambda item: item[1]))
