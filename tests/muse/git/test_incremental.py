"""Importing and exporting again brings only what is new, and loses nobody's work."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.muse.git.gitrepo import GitRepo, assert_same, git

from muse.errors import Conflict, MuseError
from muse.git.exporter import export_git
from muse.git.importer import import_git
from muse.git.results import ExportResult, ImportResult
from muse.history.edit import edit_tree
from muse.objects.commit import Agent, Commit, Person, decode_commit, encode_commit
from muse.objects.ids import Kind
from muse.objects.tree import FILE, Entry
from muse.store.repository import Repository
from muse.store.transaction import Transaction

CY = Person("Cy", "cy@example.org", 1_800_000_000, 0)


def hows(result: ImportResult | ExportResult) -> dict[str, str]:
    return {change.name: change.how for change in result.refs}


def commit_in_muse(
    repository: Repository, branch: str, path: str, content: bytes, agent: Agent | None = None
) -> bytes:
    """Commit one change on top of a branch, as `muse commit` does."""
    ref = repository.refs.get(f"heads/{branch}")
    assert ref is not None
    old = decode_commit(repository.objects.load(Kind.COMMIT, ref.target))
    with repository.transaction("commit") as transaction:
        blob = transaction.put(Kind.BLOB, content)
        entry = Entry(path.rpartition("/")[2], FILE, blob, len(content))
        tree = edit_tree(transaction.load, old.tree, {path: entry}, transaction.put)
        commit = Commit(tree.id, (ref.target,), CY, CY, f"write {path}\n", agent)
        commit_id = transaction.put(Kind.COMMIT, encode_commit(commit))
        transaction.set_ref(f"heads/{branch}", commit_id, ref.target)
    return commit_id


def target_of(repository: Repository, name: str) -> str:
    ref = repository.refs.get(name)
    assert ref is not None
    return ref.target.hex()


def test_a_second_import_reads_nothing(source: GitRepo, repository: Repository) -> None:
    first = source.commit({"a": b"1\n", "d/b": b"2\n"})
    source.ref("refs/heads/main", first)
    source.ref("refs/tags/v1", source.tag(first, "commit", "v1"))
    import_git(repository, str(source.path))
    operations = len(list(repository.operations.iter()))
    again = import_git(repository, str(source.path))
    assert again[2:7] == (0, 0, 0, 0, 0)
    assert hows(again) == {"heads/main": "unchanged", "tags/v1": "unchanged"}
    assert len(list(repository.operations.iter())) == operations


def test_a_later_import_reads_what_is_new(source: GitRepo, repository: Repository, tmp_path: Path) -> None:
    files: dict[str, bytes | tuple[str, bytes]] = {f"d{n}/f{n}": b"%d\n" % n for n in range(20)}
    head = source.ref("refs/heads/main", source.commit(files))
    import_git(repository, str(source.path))
    files["d7/f7"] = b"new\n"
    head = source.commit(files, [head])
    del files["d3/f3"]
    side = source.commit(files, [head])
    source.ref("refs/heads/main", head)
    source.ref("refs/heads/side", side)
    source.ref("refs/tags/later", source.tag(side, "commit", "later"))
    result = import_git(repository, str(source.path))
    assert (result.commits, result.trees, result.blobs, result.tags) == (2, 3, 1, 1)
    assert hows(result) == {"heads/main": "fast-forward", "heads/side": "created", "tags/later": "created"}
    export_git(repository, tmp_path / "target.git", bare=True)
    assert_same(source.path, tmp_path / "target.git")


def test_rewritten_branches_and_moved_tags_follow(source: GitRepo, repository: Repository) -> None:
    first = source.commit({"a": b"1\n"})
    source.ref("refs/heads/main", source.commit({"a": b"2\n"}, [first]))
    source.ref("refs/tags/v1", first)
    import_git(repository, str(source.path))
    other = source.ref("refs/heads/main", source.commit({"a": b"3\n"}, [first]))
    source.ref("refs/tags/v1", other)
    assert hows(import_git(repository, str(source.path))) == {"heads/main": "forced", "tags/v1": "forced"}


def test_vanished_refs_stay_unless_pruned(source: GitRepo, repository: Repository) -> None:
    first = source.ref("refs/heads/main", source.commit({"a": b"1\n"}))
    source.ref("refs/heads/topic", first)
    source.ref("refs/heads/used", first)
    source.ref("refs/tags/v1", first)
    import_git(repository, str(source.path))
    with repository.transaction("branch own") as transaction:
        transaction.set_ref("heads/own", repository.refs.get("heads/main").target)  # type: ignore[union-attr]
    commit_in_muse(repository, "used", "b", b"own work\n")
    for name in ("refs/heads/topic", "refs/heads/used", "refs/tags/v1"):
        source.delete_ref(name)
    kept = import_git(repository, str(source.path))
    gone = {"heads/topic": "vanished", "heads/used": "vanished", "tags/v1": "vanished"}
    assert hows(kept) == {"heads/main": "unchanged", **gone}
    assert hows(import_git(repository, str(source.path))) == hows(kept)
    pruned = hows(import_git(repository, str(source.path), prune=True))
    assert pruned == {
        "heads/main": "unchanged",
        "heads/topic": "pruned",
        "heads/used": "vanished",
        "tags/v1": "pruned",
    }
    names = [ref.name for ref in repository.refs.iter()]
    assert names == ["heads/main", "heads/own", "heads/used"]


def test_work_done_in_muse_is_never_moved_away(source: GitRepo, repository: Repository) -> None:
    first = source.ref("refs/heads/main", source.commit({"a": b"1\n"}))
    import_git(repository, str(source.path))
    mine = commit_in_muse(repository, "main", "b", b"mine\n").hex()
    assert hows(import_git(repository, str(source.path))) == {"heads/main": "ahead"}
    source.ref("refs/heads/main", source.commit({"a": b"2\n"}, [first]))
    assert hows(import_git(repository, str(source.path))) == {"heads/main": "diverged"}
    assert target_of(repository, "heads/main") == mine
    assert hows(import_git(repository, str(source.path), force=True)) == {"heads/main": "forced"}
    assert target_of(repository, "heads/main") != mine


def test_a_tag_made_in_muse_is_never_moved(source: GitRepo, repository: Repository) -> None:
    first = source.ref("refs/heads/main", source.commit({"a": b"1\n"}))
    import_git(repository, str(source.path))
    mine = commit_in_muse(repository, "main", "b", b"mine\n")
    with repository.transaction("tag v1") as transaction:
        transaction.set_ref("tags/v1", mine)
    source.ref("refs/tags/v1", first)
    assert hows(import_git(repository, str(source.path)))["tags/v1"] == "diverged"
    with pytest.raises(Conflict):
        export_git(repository, source.path)
    assert source.git("rev-parse", "v1") == first


def test_an_import_is_one_operation_that_can_be_undone(source: GitRepo, repository: Repository) -> None:
    first = source.ref("refs/heads/main", source.commit({"a": b"1\n"}))
    source.ref("refs/heads/trunk", first)
    (source.path / "HEAD").write_text("ref: refs/heads/trunk\n")
    import_git(repository, str(source.path), operation="git import there")
    assert [operation.command for operation in repository.operations.iter()] == ["git import there"]
    with repository.transaction("undo") as transaction:
        repository.operations.undo(transaction)
    assert list(repository.refs.iter()) == []
    assert repository.refs.head().branch == "main"
    assert import_git(repository, str(source.path)).commits == 0


class Stop(Exception):
    pass


def test_an_interrupted_import_goes_on_where_it_stopped(
    source: GitRepo, repository: Repository, tmp_path: Path
) -> None:
    head: list[str] = []
    for number in range(300):
        head = [source.commit({"a": b"%d\n" % number, f"d/{number}": b"x\n"}, head)]
    source.ref("refs/heads/main", head[0])

    def stop(phase: str, done: int, total: int | None, unit: str) -> None:
        if phase == "importing" and done >= 128:
            raise Stop

    with pytest.raises(Stop):
        import_git(repository, str(source.path), flush_objects=50, progress=stop)
    assert list(repository.refs.iter()) == []
    result = import_git(repository, str(source.path), flush_objects=50)
    assert 100 < result.commits < 190
    export_git(repository, tmp_path / "target.git", bare=True)
    assert_same(source.path, tmp_path / "target.git")


def test_the_caller_is_asked_before_the_current_branch_moves(source: GitRepo, repository: Repository) -> None:
    first = source.ref("refs/heads/main", source.commit({"a": b"1\n"}))
    calls: list[tuple[bytes | None, bytes]] = []

    def note(transaction: Transaction, old: bytes | None, new: bytes) -> None:
        calls.append((old, new))

    def refuse(transaction: Transaction, old: bytes | None, new: bytes) -> None:
        raise Conflict("would-overwrite", "a file is in the way")

    with pytest.raises(Conflict):
        import_git(repository, str(source.path), checkout=refuse)
    assert list(repository.refs.iter()) == []
    assert import_git(repository, str(source.path), checkout=note).moved_current
    assert not import_git(repository, str(source.path), checkout=refuse).moved_current
    source.ref("refs/heads/main", source.commit({"a": b"2\n"}, [first]))
    source.ref("refs/heads/other", first)
    import_git(repository, str(source.path), checkout=note)
    old, new = calls[0][1], repository.refs.get("heads/main").target  # type: ignore[union-attr]
    assert calls == [(None, old), (old, new)]


# ---- exporting again


def test_a_second_export_writes_nothing(source: GitRepo, repository: Repository, tmp_path: Path) -> None:
    source.ref("refs/heads/main", source.commit({"a": b"1\n"}))
    import_git(repository, str(source.path))
    export_git(repository, tmp_path / "target.git", bare=True)
    again = export_git(repository, tmp_path / "target.git")
    assert again[3:9] == (0, 0, 0, 0, 0, 0)
    assert hows(again) == {"heads/main": "unchanged"}


def test_commits_of_muse_go_out_and_come_back(
    source: GitRepo, repository: Repository, tmp_path: Path
) -> None:
    files: dict[str, bytes | tuple[str, bytes]] = {f"d{n}/f{n}": b"%d\n" % n for n in range(20)}
    source.ref("refs/heads/main", source.commit(files))
    import_git(repository, str(source.path))
    mine = commit_in_muse(repository, "main", "d1/new", b"mine\n", Agent("composer"))
    result = export_git(repository, source.path)
    assert hows(result) == {"heads/main": "fast-forward"}
    assert (result.commits, result.trees, result.blobs) == (1, 2, 1)
    assert result.not_exported == {"agents": 1}
    assert source.git("show", "main:d1/new") == "mine"
    shown = source.git("log", "-1", "--format=%an %ae %at %s", "main")
    assert shown == "Cy cy@example.org 1800000000 write d1/new"
    source.git("fsck", "--strict")
    back = import_git(repository, str(source.path))
    assert (back.commits, hows(back)) == (0, {"heads/main": "unchanged"})
    assert target_of(repository, "heads/main") == mine.hex()
    export_git(repository, tmp_path / "other.git", bare=True)
    assert_same(source.path, tmp_path / "other.git")


def test_a_target_with_commits_of_its_own_is_not_moved(
    source: GitRepo, repository: Repository, tmp_path: Path
) -> None:
    first = source.ref("refs/heads/main", source.commit({"a": b"1\n"}))
    import_git(repository, str(source.path))
    theirs = source.ref("refs/heads/main", source.commit({"a": b"theirs\n"}, [first]))
    commit_in_muse(repository, "main", "b", b"mine\n")
    with pytest.raises(Conflict) as caught:
        export_git(repository, source.path)
    assert caught.value.code == "not-fast-forward"
    assert source.git("rev-parse", "main") == theirs
    assert hows(export_git(repository, source.path, force=True)) == {"heads/main": "forced"}
    assert source.git("rev-parse", "main^") == first


def test_only_chosen_refs_are_exported(source: GitRepo, repository: Repository, tmp_path: Path) -> None:
    first = source.ref("refs/heads/main", source.commit({"a": b"1\n"}))
    source.ref("refs/heads/topic", source.commit({"secret": b"2\n"}, [first]))
    import_git(repository, str(source.path))
    result = export_git(repository, tmp_path / "target.git", refs=["heads/main"], bare=True)
    assert result.commits == 1
    assert git(tmp_path / "target.git", "for-each-ref", "--format=%(refname)") == "refs/heads/main"
    with pytest.raises(MuseError) as caught:
        export_git(repository, tmp_path / "target.git", refs=["heads/nothing"])
    assert caught.value.code == "unknown-revision"


def test_a_clean_work_tree_comes_along_and_a_changed_one_stops_the_export(
    source: GitRepo, repository: Repository, tmp_path: Path
) -> None:
    source.ref("refs/heads/main", source.commit({"a": b"1\n", "gone": b"x\n"}))
    import_git(repository, str(source.path))
    target = tmp_path / "target"
    export_git(repository, target)
    commit_in_muse(repository, "main", "b", b"new\n")
    export_git(repository, target)
    assert (target / "b").read_bytes() == b"new\n"
    assert git(target, "status", "--porcelain") == ""
    before = git(target, "rev-parse", "HEAD")
    (target / "a").write_bytes(b"not committed\n")
    commit_in_muse(repository, "main", "c", b"newer\n")
    with pytest.raises(Conflict) as caught:
        export_git(repository, target)
    assert caught.value.code == "would-overwrite"
    (target / "a").write_bytes(b"1\n")
    (target / "c").write_bytes(b"in the way\n")
    with pytest.raises(Conflict) as caught:
        export_git(repository, target)
    assert caught.value.code == "would-overwrite"
    assert (target / "c").read_bytes() == b"in the way\n"
    assert git(target, "rev-parse", "HEAD") == before


def test_a_folder_with_other_things_in_it_is_left_alone(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "file").write_bytes(b"mine")
    with pytest.raises(Conflict) as caught:
        export_git(repository, tmp_path / "target")
    assert caught.value.code == "already-exists"
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["file"]


def test_an_export_whose_git_map_is_gone_still_fits(
    source: GitRepo, repository: Repository, tmp_path: Path
) -> None:
    """Another clone has exported before: what this one adds is the same history."""
    source.ref("refs/heads/main", source.commit({"a": b"1\n", "d/b": b"2\n"}))
    import_git(repository, str(source.path))
    export_git(repository, tmp_path / "target.git", bare=True)
    repository.database.begin()
    repository.database.execute("DELETE FROM git_map")
    repository.database.commit()
    commit_in_muse(repository, "main", "d/c", b"3\n")
    with pytest.raises(Conflict):  # nobody can tell whether it is a fast-forward
        export_git(repository, tmp_path / "target.git")
    import_git(repository, str(tmp_path / "target.git"))
    assert hows(export_git(repository, tmp_path / "target.git")) == {"heads/main": "fast-forward"}
    git(tmp_path / "target.git", "fsck", "--strict")
