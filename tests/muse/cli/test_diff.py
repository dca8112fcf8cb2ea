"""`diff`: work tree, commits, and every kind of change."""

from __future__ import annotations

import subprocess
from pathlib import Path

from muse.cli.patch import MAX_TEXT_BYTES
from muse.history.textdiff import compare_lines

from .conftest import Muse


def test_the_work_tree_against_the_last_commit(muse: Muse) -> None:
    muse.commit("begin", a_txt="one\ntwo\nthree\n")
    assert muse("diff").output == ""
    muse.write("a.txt", "one\n2\nthree\n")
    muse.write("new.txt", "no end of line")
    assert muse("diff").lines == [
        "diff --git a/a.txt b/a.txt",
        "--- a/a.txt",
        "+++ b/a.txt",
        "@@ -1,3 +1,3 @@",
        " one",
        "-two",
        "+2",
        " three",
        "diff --git a/new.txt b/new.txt",
        "new file mode 100644",
        "--- /dev/null",
        "+++ b/new.txt",
        "@@ -0,0 +1 @@",
        "+no end of line",
        "\\ No newline at end of file",
    ]
    assert muse("diff", "--stat").lines == [
        " a.txt   | 2 +-",
        " new.txt | 1 +",
        " 2 files changed, 2 lines added, 1 deleted",
    ]
    assert muse("diff", "--name-status").lines == ["M  a.txt", "A  new.txt"]
    assert muse("diff", "--name-status", "new.txt").lines == ["A  new.txt"]
    assert muse("diff", "--name-status", "--", "a.txt").lines == ["M  a.txt"]


def test_commits_against_each_other_and_against_the_work_tree(muse: Muse) -> None:
    muse.commit("one", a_txt="1\n", b_txt="1\n")
    muse.commit("two", a_txt="2\n", c_txt="1\n")
    muse.write("b.txt", "3\n")
    assert muse("diff", "--name-status", "HEAD~1", "HEAD").lines == ["M  a.txt", "A  c.txt"]
    assert muse("diff", "--name-status", "HEAD~1..HEAD").lines == ["M  a.txt", "A  c.txt"]
    assert muse("diff", "--name-status", "HEAD", "HEAD~1").lines == ["M  a.txt", "D  c.txt"]
    assert muse("diff", "--name-status", "HEAD~1").lines == ["M  a.txt", "M  b.txt", "A  c.txt"]
    muse.write("a.txt", "1\n")
    assert muse("diff", "--name-status", "HEAD~1").lines == ["M  b.txt", "A  c.txt"]
    assert "at most 2 revisions" in muse("diff", "HEAD", "HEAD", "HEAD", code=2).errors


def test_renames_modes_links_and_deletions(muse: Muse) -> None:
    muse.commit("begin", a_txt="content\n", b_txt="b\n", c_txt="c\n", gone_txt="g\n")
    (muse.folder / "link").symlink_to("a.txt")
    muse("commit", "-m", "link")
    (muse.folder / "a.txt").rename(muse.folder / "moved.txt")
    (muse.folder / "b.txt").chmod(0o755)
    (muse.folder / "gone.txt").unlink()
    (muse.folder / "link").unlink()
    (muse.folder / "link").symlink_to("b.txt")
    expected = [
        "diff --git a/b.txt b/b.txt",
        "old mode 100644",
        "new mode 100755",
        "diff --git a/gone.txt b/gone.txt",
        "deleted file mode 100644",
        "--- a/gone.txt",
        "+++ /dev/null",
        "@@ -1 +0,0 @@",
        "-g",
        "diff --git a/link b/link",
        "--- a/link",
        "+++ b/link",
        "@@ -1 +1 @@",
        "-a.txt",
        "\\ No newline at end of file",
        "+b.txt",
        "\\ No newline at end of file",
        "diff --git a/a.txt b/moved.txt",
        "similarity index 100%",
        "rename from a.txt",
        "rename to moved.txt",
    ]
    assert muse("diff").lines == expected
    muse("commit", "-m", "all of it")
    assert muse("diff", "HEAD~1", "HEAD").lines == expected


def test_binary_and_large_files_are_compared_without_their_lines(muse: Muse) -> None:
    muse.write("bin", b"\0\1\2")
    muse.write("large", b"line\n" * (MAX_TEXT_BYTES // 5 + 1))
    muse("commit", "-m", "begin")
    muse.write("bin", b"\0\1\2\3")
    muse.write("large", b"line\n" * (MAX_TEXT_BYTES // 5 + 2))
    result = muse("diff")
    assert "Binary files a/bin and b/bin differ: 3 B, then 4 B" in result.lines
    assert "Binary files a/large and b/large differ: 4.0 MiB, then 4.0 MiB" in result.lines
    assert muse("diff", "--stat").lines[0] == " bin   | - 3 B -> 4 B"


def test_as_json(muse: Muse) -> None:
    muse.commit("begin", a_txt="1\n")
    muse.write("a.txt", "2\n")
    (file,) = muse("diff", "--json").json["files"]
    assert file["patch"].endswith("@@ -1 +1 @@\n-1\n+2\n")
    del file["patch"]
    assert file == {
        "path": "a.txt",
        "old_path": "a.txt",
        "status": "modified",
        "old": {
            "kind": "file",
            "id": "sha256:4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865",
            "size_bytes": 2,
        },
        "new": {"kind": "file", "id": None, "size_bytes": 2},
        "binary": False,
        "added_lines": 1,
        "deleted_lines": 1,
    }
    assert "patch" not in muse("diff", "--stat", "--json").json["files"][0]
    assert "binary" not in muse("diff", "--name-status", "--json").json["files"][0]


def test_the_exit_code_says_whether_there_are_differences(muse: Muse) -> None:
    muse.commit("begin", a_txt="1\n")
    muse("diff", "--exit-code")
    muse.write("a.txt", "2\n")
    muse("diff", "--exit-code", code=1)
    muse("diff")


def test_git_applies_a_patch_of_everything(muse: Muse, tmp_path: Path) -> None:
    muse.commit("begin", a_txt="".join(f"{i}\n" for i in range(100)), b_txt="b", c_txt="c\n")
    muse.write("a.txt", "".join(f"{i}\n" for i in range(-3, 120) if i not in (20, 60, 61)))
    (muse.folder / "b.txt").rename(muse.folder / "d.txt")
    muse.write("c.txt", "c")
    muse.write("sub/e.txt", "e\n")
    patch = tmp_path / "patch"
    patch.write_bytes(muse("diff").raw)
    muse("commit", "-m", "work")
    other = tmp_path / "other"
    other.mkdir()
    for name in ("a.txt", "b.txt", "c.txt"):
        (other / name).write_bytes(muse("show", f"HEAD~1:{name}").raw)
    subprocess.run(["git", "init", "-q"], cwd=other, check=True)
    subprocess.run(["git", "apply", patch], cwd=other, check=True)
    for name in ("a.txt", "c.txt", "d.txt", "sub/e.txt"):
        assert (other / name).read_bytes() == (muse.folder / name).read_bytes()
    assert not (other / "b.txt").exists()


def test_far_apart_edits_make_their_own_hunks() -> None:
    old = [f"{i}\n" for i in range(40)]
    new = [*old[:5], "x\n", *old[6:30], *old[31:]]
    result = compare_lines(old, new)
    assert [hunk.header for hunk in result.hunks] == ["@@ -3,7 +3,7 @@", "@@ -28,7 +28,6 @@"]
    assert (result.added_lines, result.deleted_lines) == (1, 2)


def test_colours_on_request(muse: Muse) -> None:
    muse.commit("begin", a_txt="1\n")
    muse.write("a.txt", "2\n")
    assert "\x1b[32m+2\x1b[m" in muse("diff", "--color", "always").output
    assert "\x1b" not in muse("diff").output
