"""What has no counterpart is said, never dropped in silence; what is broken is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.muse.git.gitrepo import GitRepo, git

from muse.errors import InvalidData, MuseError, NotFound
from muse.git.exporter import export_git
from muse.git.importer import import_git
from muse.git.results import ImportResult
from muse.history.lookup import iter_files
from muse.objects.commit import decode_commit
from muse.objects.ids import Kind
from muse.store.repository import Repository


def files_of(repository: Repository, branch: str = "main") -> dict[str, str]:
    """Return path → kind of entry at the head of a branch."""
    ref = repository.refs.get(f"heads/{branch}")
    assert ref is not None
    tree = decode_commit(repository.objects.load(Kind.COMMIT, ref.target)).tree
    return {path: entry.kind for path, entry in iter_files(repository.objects.load, tree)}


def refuse(repository: Repository, source: GitRepo) -> MuseError:
    with pytest.raises(InvalidData) as caught:
        import_git(repository, str(source.path))
    assert caught.value.code == "not-representable"
    assert caught.value.hint is not None
    assert list(repository.refs.iter()) == []
    return caught.value


def lossy(repository: Repository, source: GitRepo) -> ImportResult:
    return import_git(repository, str(source.path), allow_loss=True)


def test_old_modes(source: GitRepo, repository: Repository) -> None:
    blob = source.blob(b"x\n")
    inner = source.raw_tree([("100664", b"group", blob), ("100775", b"tool", blob)])
    tree = source.raw_tree([("040000", b"dir", inner), ("100644", b"plain", blob)])
    commit = source.ref("refs/heads/main", source.commit(tree))
    error = refuse(repository, source)
    assert error.details["commit"] == commit
    assert error.details["path"] in {"dir/group", "dir"}
    result = lossy(repository, source)
    assert {(loss.path, loss.result) for loss in result.losses} == {
        ("dir/group", "mode 100644"),
        ("dir/tool", "mode 100755"),
        ("dir", "mode 40000"),
    }
    assert {loss.commit for loss in result.losses} == {commit}
    assert files_of(repository) == {"dir/group": "f", "dir/tool": "x", "plain": "f"}


def test_names(source: GitRepo, repository: Repository) -> None:
    blob = source.blob(b"x\n")
    muse = source.raw_tree([("100644", b"inner", blob)])
    tree = source.raw_tree(
        [
            ("100644", b"..", blob),
            ("40000", b".Muse", muse),
            ("100644", b"a/b", blob),
            ("100644", b"caf\xe9", blob),
            ("100644", b"good", blob),
            ("100644", b"n" * 256, blob),
        ]
    )
    source.ref("refs/heads/main", source.commit(tree))
    refuse(repository, source)
    result = lossy(repository, source)
    assert {(loss.path, loss.result) for loss in result.losses} == {
        ("..", "left out"),
        (".Muse", 'renamed to "%2EMuse"'),
        ("a/b", 'renamed to "a%2Fb"'),
        ("caf\ufffd", 'renamed to "caf%E9"'),
        ("n" * 256, "left out"),
    }
    assert sorted(files_of(repository)) == ["%2EMuse/inner", "a%2Fb", "caf%E9", "good"]


def test_order_and_duplicates(source: GitRepo, repository: Repository) -> None:
    one, two = source.blob(b"1\n"), source.blob(b"2\n")
    inner = source.raw_tree([("100644", b"x", one)])
    unsorted = source.raw_tree([("100644", b"b", one), ("100644", b"a", two)])
    twice = source.raw_tree([("100644", b"a", one), ("40000", b"a", inner)])
    root = source.raw_tree([("40000", b"t", twice), ("40000", b"u", unsorted)])
    source.ref("refs/heads/main", source.commit(root))
    refuse(repository, source)
    result = lossy(repository, source)
    assert {(loss.path, loss.result) for loss in result.losses} == {("t/a", "left out"), ("u", "sorted")}
    assert files_of(repository) == {"t/a": "f", "u/a": "f", "u/b": "f"}


def test_a_large_symlink_and_a_tag_of_a_large_file(source: GitRepo, repository: Repository) -> None:
    large = source.blob(bytes(5 << 20))
    source.ref("refs/heads/main", source.commit(source.raw_tree([("120000", b"link", large)])))
    source.ref("refs/tags/large", source.tag(source.tag(large, "blob", "inner"), "tag", "large"))
    refuse(repository, source)
    result = lossy(repository, source)
    assert [loss.result for loss in result.losses] == ["left out", "left out"]
    assert [change.name for change in result.refs] == ["heads/main"]


def test_refs_that_muse_cannot_name(source: GitRepo, repository: Repository) -> None:
    commit = source.ref("refs/heads/main", source.commit({"a": b"1\n"}))
    source.ref("refs/heads/" + "/".join(["n" * 100] * 3), commit)
    refuse(repository, source)
    result = lossy(repository, source)
    assert len(result.losses) == 1
    assert [change.name for change in result.refs] == ["heads/main"]


def test_each_loss_is_listed_once(source: GitRepo, repository: Repository) -> None:
    parents: list[str] = []
    first = ""
    for number in range(5):
        blob = source.blob(b"%d\n" % number)
        parents = [source.commit(source.raw_tree([("100664", b"f", blob)]), parents)]
        first = first or parents[0]
    source.ref("refs/heads/main", parents[0])
    result = lossy(repository, source)
    assert [(loss.commit, loss.path) for loss in result.losses] == [(first, "f")]


def test_what_was_changed_is_not_taken_for_the_original(
    source: GitRepo, repository: Repository, tmp_path: Path
) -> None:
    """The exported history is another one from the loss on, and whole."""
    blob = source.blob(b"x\n")
    fine = source.commit({"a": b"1\n"})
    odd = source.commit(source.raw_tree([("100664", b"f", blob)]), [fine])
    after = source.commit({"f": b"x\n", "d/g": b"y\n"}, [odd])
    source.ref("refs/heads/main", after)
    source.ref("refs/heads/fine", fine)
    source.ref("refs/tags/v1", source.tag(after, "commit", "v1"))
    assert lossy(repository, source).commits == 3
    again = import_git(repository, str(source.path))
    assert (again.commits, {change.how for change in again.refs}) == (0, {"unchanged"})
    target = tmp_path / "target.git"
    export_git(repository, target, bare=True)
    git(target, "fsck", "--strict")
    assert git(target, "rev-parse", "fine") == fine
    assert git(target, "rev-list", "--count", "main") == "3"
    assert git(target, "rev-parse", "main") not in (odd, after)
    assert git(target, "rev-parse", "v1^{commit}") == git(target, "rev-parse", "main")
    newer = source.ref("refs/heads/main", source.commit({"f": b"z\n"}, [after]))
    assert import_git(repository, str(source.path)).commits == 1
    assert export_git(repository, target).commits == 1
    assert git(target, "rev-parse", "main") != newer
    git(target, "fsck", "--strict")


# ---- broken repositories


def test_a_missing_object_is_refused(source: GitRepo, repository: Repository) -> None:
    commit = source.ref("refs/heads/main", source.commit({"a": b"1\n", "b": b"2\n"}))
    blob = source.git("rev-parse", f"{commit}:b")
    (source.path / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(MuseError) as caught:
        import_git(repository, str(source.path))
    assert caught.value.code in {"bad-git-data", "git-failed"}
    assert list(repository.refs.iter()) == []


def test_an_object_with_another_hash_is_refused(source: GitRepo, repository: Repository) -> None:
    commit = source.ref("refs/heads/main", source.commit({"a": b"1\n", "b": b"2\n"}))
    one, two = (source.git("rev-parse", f"{commit}:{name}") for name in "ab")
    file = source.path / "objects" / one[:2] / one[2:]
    file.write_bytes((source.path / "objects" / two[:2] / two[2:]).read_bytes())
    with pytest.raises(MuseError) as caught:
        import_git(repository, str(source.path))
    assert caught.value.code in {"bad-git-data", "git-failed"}
    assert list(repository.refs.iter()) == []


def test_a_replaced_object_is_read_as_it_is(source: GitRepo, repository: Repository, tmp_path: Path) -> None:
    real = source.ref("refs/heads/main", source.commit({"a": b"1\n"}))
    source.git("replace", real, source.commit({"a": b"other\n"}, message="another\n"))
    import_git(repository, str(source.path))
    export_git(repository, tmp_path / "target.git", bare=True)
    assert git(tmp_path / "target.git", "rev-parse", "main") == real


@pytest.mark.parametrize("name", ["nothing", "folder", "source.git/objects"])
def test_a_path_without_a_repository_is_refused(
    source: GitRepo, repository: Repository, tmp_path: Path, name: str
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(NotFound) as caught:
        import_git(repository, str(tmp_path / name))
    assert caught.value.code == "not-a-repository"


def test_an_address_without_a_repository_is_refused(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(MuseError) as caught:
        import_git(repository, f"file://{tmp_path}/nothing.git")
    assert caught.value.code == "git-failed"
    assert "nothing.git" in caught.value.message


def test_an_address_is_never_taken_for_an_option(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(MuseError):
        import_git(repository, f"--upload-pack=touch {tmp_path}/hacked;:")
    with pytest.raises(MuseError):
        import_git(repository, f"ext::touch {tmp_path}/hacked")
    assert not (tmp_path / "hacked").exists()


def test_git_missing_is_said(
    source: GitRepo, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MuseError) as caught:
        import_git(repository, str(source.path))
    assert caught.value.code == "git-missing"


def test_variables_of_a_hook_do_not_lead_elsewhere(
    source: GitRepo, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.ref("refs/heads/main", source.commit({"a": b"1\n"}))
    subprocess.run(["git", "init", "--quiet", tmp_path / "elsewhere"], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert import_git(repository, str(source.path)).commits == 1


def test_a_failed_export_to_a_new_folder_leaves_nothing(
    source: GitRepo, repository: Repository, tmp_path: Path
) -> None:
    source.ref("refs/heads/main", source.commit({"a": b"1\n"}))
    import_git(repository, str(source.path))

    def fail(phase: str, done: int, total: int | None, unit: str) -> None:
        if phase == "indexing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_git(repository, tmp_path / "target", progress=fail)
    assert not (tmp_path / "target").exists() or list((tmp_path / "target").iterdir()) == []
    assert export_git(repository, tmp_path / "target").commits == 1
