"""`branch`, `switch`, `tag`, `restore`: names of commits, and moving between them."""

from __future__ import annotations

import pytest

from .conftest import Muse


@pytest.fixture
def two(muse: Muse) -> Muse:
    """A repository with two commits on main."""
    muse.commit("one", a_txt="1")
    muse.commit("two", a_txt="2", b_txt="2")
    return muse


def test_branches_are_made_listed_renamed_and_deleted(two: Muse) -> None:
    two("branch", "side", "main~1")
    first, second = (two("rev-parse", "--short", name).output.strip() for name in ("main~1", "main"))
    assert two("branch").lines == [f"* main  {second}  two", f"  side  {first}  one"]
    assert [b["name"] for b in two("branch", "--json").json["branches"] if b["current"]] == ["main"]
    assert two("branch", "-m", "side", "other").lines == ['branch "side" is called "other" now']
    two("branch", "-m", "trunk")
    assert [b["name"] for b in two("branch", "--json").json["branches"]] == ["other", "trunk"]
    assert two("branch", "-d", "other").lines == [f'deleted branch "other", which was at {first}']


def test_what_branch_refuses(two: Muse) -> None:
    two("branch", "side")
    assert "error[already-exists]" in two("branch", "side", code=4).errors
    assert "error[already-exists]" in two("branch", "-m", "side", "main", code=4).errors
    assert "error[checked-out]" in two("branch", "-d", "main", code=4).errors
    assert "error[checked-out]" in two("branch", "-f", "main", "main~1", code=4).errors
    assert "error[bad-name]" in two("branch", "a..b", code=2).errors
    assert "error[unknown-revision]" in two("branch", "new", "nope", code=3).errors
    result = two("branch", "-d", "sid", code=3)
    assert result.errors.splitlines() == [
        'error[unknown-branch]: there is no branch "sid"',
        'hint: did you mean "side"',
    ]


def test_an_unmerged_branch_is_deleted_only_on_purpose(two: Muse) -> None:
    two("switch", "-c", "side")
    two.commit("on side", s_txt="s")
    two("switch", "main")
    result = two("branch", "-d", "side", code=4)
    assert 'error[not-fast-forward]: branch "side" has commits that no other branch has' in result.errors
    assert "hint: muse branch -D side deletes it all the same" in result.errors
    two("branch", "-D", "side")
    two("undo")
    assert [b["name"] for b in two("branch", "--json").json["branches"]] == ["main", "side"]


def test_switching_moves_the_files(two: Muse) -> None:
    two("branch", "old", "main~1")
    assert two("switch", "old").lines == ['switched to branch "old"']
    assert (two.folder / "a.txt").read_text() == "1"
    assert not (two.folder / "b.txt").exists()
    two("switch", "-")
    assert (two.folder / "a.txt").read_text() == "2"
    value = two("switch", "--detach", "main~1", "--json").json
    assert (value["branch"], value["written"], value["deleted"]) == (None, 1, 1)
    assert two("status").lines[0].startswith("detached at ")
    two("switch", "-c", "new")
    assert two("status").lines[0] == "on branch new"


def test_switching_keeps_uncommitted_work_or_refuses(two: Muse) -> None:
    two("branch", "old", "main~1")
    two.write("other.txt", "mine")
    two("switch", "old")
    assert (two.folder / "other.txt").read_text() == "mine"
    two("switch", "main")
    two.write("a.txt", "mine")
    result = two("switch", "old", code=4)
    assert "error[would-overwrite]" in result.errors
    assert (two.folder / "a.txt").read_text() == "mine"
    assert two("status").lines[0] == "on branch main"
    two("switch", "--force", "old")
    assert (two.folder / "a.txt").read_text() == "1"


def test_what_switch_refuses(two: Muse) -> None:
    assert 'there is no branch "mian"\nhint: did you mean "main"' in two("switch", "mian", code=3).errors
    assert "error[already-exists]" in two("switch", "-c", "main", code=4).errors
    assert "error[bad-arguments]" in two("switch", "main", "main~1", code=2).errors
    assert "no other branch was checked out" in two("switch", "-", code=3).errors


def test_a_branch_without_commits(muse: Muse) -> None:
    assert muse("branch").lines == ["* main (no commits yet)"]
    muse("branch", "-m", "trunk")
    assert muse("status").lines[0] == "on branch trunk, no commits yet"
    muse("switch", "-c", "other")
    assert muse("status").lines[0] == "on branch other, no commits yet"
    assert "error[unknown-revision]" in muse("branch", "x", code=3).errors


def test_restore_takes_files_from_a_commit(two: Muse) -> None:
    two.write("a.txt", "broken")
    (two.folder / "b.txt").unlink()
    assert two("restore", ".").lines == ["2 files restored"]
    assert two("status", "--json").json["clean"] is True
    value = two("restore", "--source", "main~1", "a.txt", "b.txt", "--json").json
    assert (value["written"], value["deleted"]) == (1, 1)
    assert (two.folder / "a.txt").read_text() == "1"
    assert "error[unknown-path]" in two("restore", "nope", code=3).errors
    assert "error[unknown-path]" in two("restore", "../outside", code=3).errors


def test_tags(two: Muse) -> None:
    two("tag", "light", "main~1")
    two("tag", "v1", "-m", "first release", "-m", "and more")
    first, second = (two("rev-parse", "--short", name).output.strip() for name in ("main~1", "main"))
    assert two("tag").lines == [f"light  {first}  one", f"v1     {second}  first release"]
    light, annotated = two("tag", "--json").json["tags"]
    assert (light["kind"], light["tag"]) == ("commit", None)
    assert annotated["kind"] == "tag"
    assert annotated["tag"]["message"] == "first release\n\nand more\n"
    assert annotated["commit"] == two("rev-parse", "main", "--json").json["objects"][0]["id"]
    assert "error[already-exists]" in two("tag", "v1", code=4).errors
    two("tag", "-f", "v1", "main~1")
    assert two("tag", "-d", "v1", "light").lines[0] == f'deleted tag "v1", which was at {first}'
    assert "error[unknown-tag]" in two("tag", "-d", "v1", code=3).errors
    assert "error[bad-arguments]" in two("tag", "v2", "--sign", code=2).errors


def test_names_of_branches_and_tags_cannot_steer_the_terminal(muse: Muse) -> None:
    """A remote chooses them: U+009B begins an escape sequence as ESC [ does, U+202E turns the line round."""
    muse.write("f", "1")
    muse("commit", "-m", "one")
    for name in ("a\x9b31mb", "a\u202eb"):
        muse("branch", name)
        muse("tag", name)
        muse("switch", name)
    for arguments in (["branch"], ["tag"], ["log"], ["log", "--oneline"], ["status"]):
        output = muse(*arguments).output
        assert "a\\u202eb" in output
        assert not {"\x9b", "\u202e"} & set(output)
