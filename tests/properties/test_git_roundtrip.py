"""Laws of import and export: whatever Git can hold today comes back, whole or bit by bit."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.muse.git.gitrepo import GitRepo, assert_same

from muse.git.commits import (
    commit_from_git,
    encode_commit,
    encode_tag,
    tag_from_git,
)
from muse.git.delta import make_delta
from muse.git.exporter import export_git
from muse.git.importer import import_git
from muse.objects.commit import decode_commit
from muse.objects.commit import encode_commit as encode_in_muse
from muse.objects.ids import Kind
from muse.store.repository import Repository

GIT_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

lines = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            *(b"author A <a@b> 1 +0000", b"committer A <a@b> 1 -0000", b"author", b"encoding latin1"),
            *(b"", b" ", b"gpgsig x", b" y", b"tagger A <a@b> 2 +0100", b"tag v1", b"encoding utf-16"),
        ]
    ),
)
rests = st.lists(lines, max_size=8).map(b"\n".join)


@given(rests)
def test_any_commit_gives_its_bytes_again(rest: bytes) -> None:
    commit = decode_commit(encode_in_muse(commit_from_git(rest, bytes(32), (bytes(32),))))
    links = f"tree {GIT_TREE}\nparent {GIT_TREE}\n".encode()
    assert encode_commit(commit, GIT_TREE, [GIT_TREE]) == links + rest


@given(rests)
def test_any_tag_gives_its_bytes_again(rest: bytes) -> None:
    tag = tag_from_git(rest, bytes(32), Kind.BLOB)
    assert encode_tag(tag, GIT_TREE) == f"object {GIT_TREE}\ntype blob\n".encode() + rest


def apply_delta(old: bytes, delta: bytes) -> bytes:
    """Follow the instructions as the format's documentation says."""
    position = 0

    def take_size() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = delta[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    assert take_size() == len(old)
    size_bytes = take_size()
    result = b""
    while position < len(delta):
        code = delta[position]
        position += 1
        if code < 0x80:
            result += delta[position : position + code]
            position += code
            continue
        numbers = [0, 0]
        for bit in range(7):
            if code & 1 << bit:
                numbers[bit // 4] |= delta[position] << 8 * (bit % 4)
                position += 1
        offset, count = numbers
        result += old[offset : offset + (count or 0x10000)]
    assert len(result) == size_bytes
    return result


@given(
    st.binary(max_size=300),
    st.binary(max_size=300),
    st.binary(max_size=300),
    st.binary(max_size=200),
    st.integers(1, 700),
)
def test_a_delta_makes_the_new_from_the_old(
    front: bytes, middle: bytes, back: bytes, new: bytes, repeat: int
) -> None:
    old_data, new_data = front * repeat + middle + back, front * repeat + new + back
    delta = make_delta(old_data, new_data)
    if delta is not None:
        assert apply_delta(old_data, delta) == new_data


# ---- whole histories

names = st.sampled_from(["a", "a-b", "a.b", "a0", "b", "é", "e\u0301", "x y", "Ä", ".gitignore", "z" * 200])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
contents = st.one_of(
    st.binary(max_size=30),
    st.tuples(st.sampled_from(["100755", "120000"]), st.binary(max_size=10)),
    st.just(("160000", b"9" * 40)),
)
ends = st.sampled_from([b"", b"encoding latin1\n\n\xe9", b"\nplain\n", b"\n\xff\n", b"gpgsig x\n\ns"])
changes = st.dictionaries(paths, st.one_of(st.none(), contents), max_size=4)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[dict[str, object], list[int], bytes]]:
    """A list of (changed paths, numbers of earlier commits that are parents, end of the commit)."""
    count = draw(st.integers(1, 7))
    return [
        (
            draw(changes),
            draw(st.lists(st.integers(0, number - 1), max_size=3, unique=True)) if number else [],
            draw(
                st.sampled_from(
                    [b"", b"encoding latin1\n\n\xe9", b"\nplain\n", b"\n\xff\n", b"gpgsig x\n\ns"]
                )
            ),
        )
        for number in range(count)
    ]


def apply(files: dict[str, object], changed: dict[str, object]) -> dict[str, object]:
    files = dict(files)
    for path, content in changed.items():
        for other in list(files):
            if other == path or other.startswith(path + "/") or path.startswith(other + "/"):
                del files[other]
        if content is not None:
            files[path] = content
    return files


@settings(max_examples=15)
@given(histories(), st.integers(0, 6))
def test_a_history_comes_back_in_one_go_or_in_two(
    history: list[tuple[dict[str, object], list[int], bytes]], pause: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = GitRepo(Path(folder, "source.git"))
        with Repository.init(Path(folder, "muse")) as repository:
            trees: list[dict[str, object]] = []
            commits: list[str] = []
            for number, (changed, parents, end) in enumerate(history):
                files = apply(trees[parents[0]] if parents else {}, changed)
                who = f"A <a@b> {1_700_000_000 + number} +0200\n"
                rest = f"author {who}committer {who}".encode() + end
                trees.append(files)
                commits.append(source.raw_commit(files, [commits[p] for p in parents], rest))  # type: ignore[arg-type]
                source.ref(f"refs/heads/b{number}", commits[-1])
                if number == pause:
                    import_git(repository, str(source.path), flush_objects=3)
                    export_git(repository, Path(folder, "target.git"), bare=True)
            import_git(repository, str(source.path), flush_objects=3)
            export_git(repository, Path(folder, "target.git"), bare=True)
        # A name such as .git is data to muse, and an error to the checks of git.
        assert_same(source.path, Path(folder, "target.git"), fsck=False)
