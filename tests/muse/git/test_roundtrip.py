"""A Git repository that went through muse is the same to the byte (docs/git.md)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.muse.git.gitrepo import ADA, GitRepo, assert_same, git, refs_of

from muse.git.exporter import export_git
from muse.git.importer import import_git
from muse.history.lookup import find_path
from muse.objects.commit import decode_commit, decode_tag
from muse.objects.ids import Kind
from muse.objects.tree import CHUNKED_FILE, EXECUTABLE, SUBMODULE, SYMLINK
from muse.store.repository import Repository

SUBMODULE_ID = "5" * 40


def write_everything(source: GitRepo) -> None:
    """A history with one of each."""
    files = {
        "README": b"hello\n",
        "empty": b"",
        "run.sh": ("100755", b"#!/bin/sh\n"),
        "link": ("120000", b"README"),
        "dangling": ("120000", b"/no/such/place"),
        "vendored": ("160000", SUBMODULE_ID.encode()),
        "src/a.py": b"a\n" * 50,
        "src/b.py": b"b\n" * 50,
        "src-old/a.py": b"a\n" * 50,
        "src.txt": b"sorts between directories\n",
        "ünïcode/日本語/😀.txt": b"names\n",
        "/".join(["deep"] * 400) + "/file": b"far down\n",
        "with space/and\ttab/and\nnewline": b"odd but allowed\n",
    }
    root = source.commit(files, message="first\n")
    changed = {**files, "src/c.py": files["src/a.py"], "src/b.py": b"b\n" * 40 + b"changed\n" + b"b\n" * 9}
    del changed["src/a.py"]
    left = source.commit(changed, [root], "rename and edit\n")
    many = {**changed, **{f"many/{number:04}.txt": b"%d\n" % number for number in range(3000)}}
    middle = source.commit(many, [left], "3,000 files\n")
    many["many/1500.txt"] = b"edited\n"
    middle = source.commit(many, [middle], "one of them\n")
    sides = [source.commit({**changed, f"side{n}": b"%d" % n}, [left], f"side {n}\n") for n in range(4)]
    octopus = source.commit(many, [middle, *sides], "octopus\n")
    empty = source.commit({}, [octopus], "nothing left\n")
    back = source.commit(files, [empty], "as in the beginning\n", offset="-0000")
    rest = f"author {ADA} 1700100000 +0000\ncommitter {ADA} 1700100000 +0000\n"
    for odd in (
        b"encoding ISO-8859-1\n\ncaf\xe9\n",
        b"\nnot \xff UTF-8\n",
        b"gpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ==\n -----END PGP SIGNATURE-----\n\nsigned\n",
        b"mergetag object 12\n type commit\n tag x\n\nmerged a tag\n",
        b"\n",
        b"",
    ):
        back = source.raw_commit(files, [back], rest.encode() + odd)
    other_root = source.commit({"docs/index": b"unrelated\n"}, message="another beginning\n")
    source.ref("refs/heads/main", back)
    source.ref("refs/heads/topic/ünïcode", middle)
    source.ref("refs/heads/pages", other_root)
    source.ref("refs/tags/light", root)
    tag = source.tag(back, "commit", "v1")
    source.ref("refs/tags/v1", tag)
    source.ref("refs/tags/nested", source.tag(source.tag(tag, "tag", "inner"), "tag", "nested"))
    signed = "signed\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n"
    source.ref("refs/tags/signed", source.tag(left, "commit", "signed", signed))
    source.ref("refs/tags/of-tree", source.tag(source.tree({"only/here": b"tree\n"}), "tree", "of-tree"))
    source.ref("refs/tags/of-blob", source.tag(source.blob(b"only here\n"), "blob", "of-blob"))
    source.ref("refs/tags/light-tree", source.tree({"seen/nowhere": b"else\n"}))
    source.ref("refs/tags/light-blob", source.blob(b"alone\n"))


def test_everything_survives(source: GitRepo, repository: Repository, tmp_path: Path) -> None:
    write_everything(source)
    imported = import_git(repository, str(source.path))
    exported = export_git(repository, tmp_path / "target.git", bare=True)
    assert_same(source.path, tmp_path / "target.git")
    assert imported.losses == []
    assert exported.not_exported == {}
    assert (imported.commits, imported.tags) == (exported.commits, exported.tags) == (18, 6)


def test_everything_survives_when_git_has_packed_it(
    source: GitRepo, repository: Repository, tmp_path: Path
) -> None:
    write_everything(source)
    source.git("gc", "--quiet")
    import_git(repository, str(source.path))
    export_git(repository, tmp_path / "target.git", bare=True)
    assert_same(source.path, tmp_path / "target.git")


def test_the_objects_alone_are_enough(source: GitRepo, repository: Repository, tmp_path: Path) -> None:
    """A clone has no Git map; it exports the same bytes."""
    write_everything(source)
    import_git(repository, str(source.path))
    with Repository.init(tmp_path / "clone") as clone:
        with clone.transaction() as transaction:
            for kind in (Kind.BLOB, Kind.CHUNKS, Kind.TREE, Kind.COMMIT, Kind.TAG):
                rows = repository.database.load_rows(
                    "SELECT objects.id FROM objects LEFT JOIN commits USING (id) WHERE kind = ?"
                    " ORDER BY generation",
                    (int(kind),),
                )
                for (object_id,) in rows:
                    transaction.put(kind, repository.objects.load(kind, object_id))
            for ref in repository.refs.iter():
                transaction.set_ref(ref.name, ref.target, kind=ref.kind)
        export_git(clone, tmp_path / "target.git", bare=True)
    assert_same(source.path, tmp_path / "target.git")


def test_muse_shows_what_git_has(source: GitRepo, repository: Repository) -> None:
    write_everything(source)
    import_git(repository, str(source.path))
    assert repository.refs.head().branch == "main"
    head = repository.refs.head().target
    assert head is not None
    load = repository.objects.load
    commit = decode_commit(load(Kind.COMMIT, head))
    assert commit.message == ""
    kinds = {}
    for path in ("run.sh", "link", "vendored"):
        entry = find_path(load, commit.tree, path)
        assert entry is not None
        kinds[path] = (entry.kind, entry.size_bytes)
    assert kinds == {"run.sh": (EXECUTABLE, 10), "link": (SYMLINK, 6), "vendored": (SUBMODULE, 0)}
    submodule = find_path(load, commit.tree, "vendored")
    assert submodule is not None
    assert submodule.id == bytes.fromhex(SUBMODULE_ID) + bytes(12)
    assert find_path(load, commit.tree, "ünïcode/日本語/😀.txt") is not None
    tag = repository.refs.get("tags/v1")
    assert tag is not None
    assert tag.kind is Kind.TAG
    assert decode_tag(load(Kind.TAG, tag.target)).name == "v1"
    assert repository.refs.get("tags/light-tree").kind is Kind.TREE  # type: ignore[union-attr]


def test_large_files_survive(source: GitRepo, repository: Repository, tmp_path: Path) -> None:
    content = random.Random(50).randbytes(50 << 20)
    first = source.commit({"media/large.bin": content, "small": b"s"})
    edited = content[: 20 << 20] + b"inserted" + content[20 << 20 :]
    second = source.commit({"media/large.bin": edited, "tool": ("100755", content[: 5 << 20])}, [first])
    source.ref("refs/heads/main", second)
    source.ref("refs/tags/large", source.blob(content))
    result = import_git(repository, str(source.path))
    assert result.blobs == 4
    commit = decode_commit(repository.objects.load(Kind.COMMIT, repository.refs.get("heads/main").target))  # type: ignore[union-attr]
    entry = find_path(repository.objects.load, commit.tree, "media/large.bin")
    assert entry is not None
    assert (entry.kind, entry.size_bytes) == (CHUNKED_FILE, len(edited))
    stored = sum(path.stat().st_size for path in repository.segments_dir.rglob("*") if path.is_file())
    assert stored < (57 << 20)  # the edited version shares its chunks with the first
    export_git(repository, tmp_path / "target.git", bare=True)
    assert_same(source.path, tmp_path / "target.git")


def test_many_versions_take_little_room(source: GitRepo, repository: Repository) -> None:
    seed = random.Random(250)
    content = bytearray(seed.randbytes(100_000))
    parents: list[str] = []
    for _ in range(250):
        content[seed.randrange(len(content))] ^= 1
        parents = [source.commit({"samples": bytes(content)}, parents)]
    source.ref("refs/heads/main", parents[0])
    import_git(repository, str(source.path))
    stored = sum(path.stat().st_size for path in repository.segments_dir.rglob("*") if path.is_file())
    assert stored < 500_000  # two whole copies, and 250 small commits, trees and deltas


def test_a_sha256_repository_survives(repository: Repository, tmp_path: Path) -> None:
    source = GitRepo(tmp_path / "sha256.git", "sha256")
    first = source.commit({"a/b": b"1\n", "sub": ("160000", b"7" * 64)})
    signed = b"author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\ngpgsig-sha256 x\n\nm\n"
    second = source.raw_commit({"a/b": b"2\n"}, [first], signed)
    source.ref("refs/heads/main", second)
    source.ref("refs/tags/v1", source.tag(second, "commit", "v1"))
    result = import_git(repository, str(source.path))
    assert result.object_format == "sha256"
    exported = export_git(repository, tmp_path / "target.git", bare=True)
    assert exported.object_format == "sha256"
    assert_same(source.path, tmp_path / "target.git")


def test_a_shallow_clone_survives(source: GitRepo, repository: Repository, tmp_path: Path) -> None:
    first = source.commit({"a": b"1\n"})
    second = source.commit({"a": b"2\n"}, [first])
    source.ref("refs/heads/main", source.commit({"a": b"3\n"}, [second]))
    shallow = tmp_path / "shallow.git"
    git(tmp_path, "clone", "--quiet", "--mirror", "--depth=2", f"file://{source.path}", str(shallow))
    result = import_git(repository, str(shallow))
    assert (result.commits, result.shallow) == (2, 1)
    export_git(repository, tmp_path / "target.git", bare=True)
    assert_same(shallow, tmp_path / "target.git")
    assert git(tmp_path / "target.git", "rev-parse", "--is-shallow-repository") == "true"


def test_all_refs_survive_when_asked_for(source: GitRepo, repository: Repository, tmp_path: Path) -> None:
    main = source.ref("refs/heads/main", source.commit({"a": b"1\n"}))
    source.ref("refs/notes/commits", source.commit({main: b"a note\n"}))
    source.ref("refs/remotes/origin/main", main)
    source.ref("refs/pull/7/head", source.commit({"a": b"2\n"}, [main]))
    plain = import_git(repository, str(source.path))
    assert [change.name for change in plain.refs] == ["heads/main"]
    result = import_git(repository, str(source.path), all_refs=True)
    assert {change.name: change.how for change in result.refs} == {
        "heads/main": "unchanged",
        "remotes/git/heads/notes/commits": "created",
        "remotes/git/heads/remotes/origin/main": "created",
        "remotes/git/heads/pull/7/head": "created",
    }
    export_git(repository, tmp_path / "target.git", bare=True)
    assert_same(source.path, tmp_path / "target.git")


def test_alternates_and_loose_objects_are_read(
    source: GitRepo, repository: Repository, tmp_path: Path
) -> None:
    first = source.ref("refs/heads/main", source.commit({"a": b"1\n"}))
    borrowing = GitRepo(tmp_path / "borrowing.git")
    (borrowing.path / "objects" / "info" / "alternates").write_text(f"{source.path}/objects\n")
    borrowing.ref("refs/heads/main", borrowing.commit({"a": b"2\n"}, [first]))
    assert import_git(repository, str(borrowing.path)).commits == 2
    export_git(repository, tmp_path / "target.git", bare=True)
    assert_same(borrowing.path, tmp_path / "target.git")


def test_an_address_is_mirrored_first(source: GitRepo, repository: Repository, tmp_path: Path) -> None:
    write_everything(source)
    phases = set()
    import_git(
        repository, f"file://{source.path}", progress=lambda phase, done, total, unit: phases.add(phase)
    )
    export_git(repository, tmp_path / "target.git", bare=True)
    assert_same(source.path, tmp_path / "target.git")
    assert {"fetching from Git", "importing", "moving refs"} <= phases
    assert list(repository.temporary_dir.iterdir()) == []


def test_a_detached_head_is_kept(source: GitRepo, repository: Repository, tmp_path: Path) -> None:
    first = source.commit({"a": b"1\n"})
    source.ref("refs/heads/main", source.commit({"a": b"2\n"}, [first]))
    (source.path / "HEAD").write_text(f"{first}\n")
    import_git(repository, str(source.path))
    assert repository.refs.head().branch is None
    export_git(repository, tmp_path / "target")
    assert git(tmp_path / "target", "rev-parse", "HEAD") == first
    assert (tmp_path / "target" / "a").read_bytes() == b"1\n"


def test_an_empty_repository_is_no_error(source: GitRepo, repository: Repository, tmp_path: Path) -> None:
    result = import_git(repository, str(source.path))
    assert (result.commits, result.refs) == (0, [])
    export_git(repository, tmp_path / "target.git", bare=True)
    assert refs_of(tmp_path / "target.git") == {"HEAD": "ref: refs/heads/main"}


@pytest.mark.parametrize("bare", [True, False])
def test_a_new_target_has_head_and_files(
    source: GitRepo, repository: Repository, tmp_path: Path, bare: bool
) -> None:
    source.ref("refs/heads/trunk", source.commit({"dir/file": b"content\n", "run": ("100755", b"x")}))
    (source.path / "HEAD").write_text("ref: refs/heads/trunk\n")
    assert import_git(repository, str(source.path)).head == "trunk"
    target = tmp_path / "target"
    export_git(repository, target, bare=bare)
    assert git(target, "symbolic-ref", "HEAD") == "refs/heads/trunk"
    if not bare:
        assert (target / "dir" / "file").read_bytes() == b"content\n"
        assert git(target, "status", "--porcelain") == ""
