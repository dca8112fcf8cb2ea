"""Ignore rules: which file rules where, what patterns mean, and what they never touch."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.muse.worktree.scene import Link, Scene

from muse.worktree.ignore import IgnoreRules


def test_gitignore_syntax(scene: Scene) -> None:
    scene.write(
        {
            ".museignore": b"# comment\n*.log\n!keep.log\n/top\nbuild/\ndocs/**/*.pdf\n\\#odd\nsp ace\r\n",
            "a.log": b"", "keep.log": b"", "sub/b.log": b"", "sub/keep.log": b"",
            "top": b"", "sub/top": b"", "build/x": b"", "sub/build/y": b"", "other/build": b"",
            "docs/a.pdf": b"", "docs/x/y/b.pdf": b"", "pdf/c.pdf": b"", "#odd": b"", "sp ace": b"",
        }
    )  # fmt: skip
    found = scene.status(with_ignored=True)
    assert found.added == [
        ".museignore", "keep.log", "other/build", "pdf/c.pdf", "sub/keep.log", "sub/top",
    ]  # fmt: skip
    assert found.ignored == [
        "#odd", "a.log", "build/", "docs/a.pdf", "docs/x/y/b.pdf", "sp ace", "sub/b.log", "sub/build/", "top",
    ]  # fmt: skip


def test_nested_files_come_first_and_an_ignored_folder_is_never_entered(scene: Scene) -> None:
    scene.write(
        {
            ".museignore": b"*.tmp\nclosed/\n",
            "a/.museignore": b"!b.tmp\nlocal\n",
            "a/b.tmp": b"", "a/c.tmp": b"", "a/local": b"", "a/deep/local": b"", "local": b"",
            "closed/.museignore": b"!*\n", "closed/x": b"",
        }
    )  # fmt: skip
    found = scene.status(with_ignored=True)
    assert found.added == [".museignore", "a/.museignore", "a/b.tmp", "local"]
    assert found.ignored == ["a/c.tmp", "a/deep/local", "a/local", "closed/"]


def test_gitignore_counts_only_where_no_museignore_rules(scene: Scene) -> None:
    scene.write(
        {
            ".gitignore": b"*.o\n",
            "x.o": b"",
            "git/.gitignore": b"!keep.o\n", "git/keep.o": b"", "git/y.o": b"",
            "muse/.museignore": b"*.a\n", "muse/.gitignore": b"*.c\n",
            "muse/z.o": b"", "muse/z.a": b"", "muse/z.c": b"",
            "muse/sub/.gitignore": b"*\n", "muse/sub/w": b"",
        }
    )  # fmt: skip
    found = scene.status(with_ignored=True)
    assert found.ignored == ["git/y.o", "muse/z.a", "x.o"]
    scene.write({".museignore": b""})
    assert scene.status(with_ignored=True).ignored == ["muse/z.a"]


def test_tracked_files_stay_tracked(scene: Scene) -> None:
    scene.write({"out/kept": b"1", "a.log": b"2"})
    scene.commit()
    scene.write(
        {".museignore": b"out\n*.log\n", "out/new": b"3", "out/.museignore": b"!new\n", "b.log": b"4"}
    )
    scene.write({"out/kept": b"changed", "a.log": b"changed"})
    found = scene.status(with_ignored=True)
    assert [change.path for change in found.modified] == ["a.log", "out/kept"]
    assert found.added == [".museignore"]
    assert found.ignored == ["b.log", "out/.museignore", "out/new"]
    tree = scene.commit()
    assert set(scene.files(tree)) == {".museignore", "a.log", "out/kept"}
    scene.delete("a.log")
    scene.commit()
    scene.write({"a.log": b"back"})
    assert scene.status().is_clean


def test_changed_rules_count_at_once(scene: Scene) -> None:
    scene.write({"a/x.tmp": b"1", "a/y": b"2", ".museignore": b"*.tmp\n"})
    scene.commit()
    assert scene.status(with_ignored=True).ignored == ["a/x.tmp"]
    scene.write({".museignore": b"*.txt\n"})
    assert scene.status().added == ["a/x.tmp"]
    scene.write({".museignore": b"a\n"})
    assert scene.status().added == []


def test_what_head_tracks_decides_not_what_it_tracked_before(scene: Scene) -> None:
    scene.write({"a/x.tmp": b"1", "a/y": b"2"})
    with_tmp = scene.commit()
    scene.delete("a/x.tmp")
    scene.write({".museignore": b"*.tmp\n"})
    without = scene.commit()
    scene.write({"a/x.tmp": b"1"})
    assert scene.status(with_ignored=True).ignored == ["a/x.tmp"]
    scene.point_at(with_tmp)
    assert scene.status().added == [".museignore"]
    assert scene.status().deleted == []
    scene.point_at(without)
    assert scene.status().is_clean


def test_rules_behind_a_link_or_in_a_folder_are_no_rules(scene: Scene) -> None:
    scene.write({"rules": b"*\n", ".museignore": Link("rules"), "a/.gitignore/x": b"*\n"})
    assert scene.status().added == [".museignore", "a/.gitignore/x", "rules"]


_SECOND_STATUS = """
import sys
from pathlib import Path
from muse.store.repository import Repository
from muse.worktree.status import status
with Repository.open(Path(sys.argv[1])) as repository:
    assert status(repository).is_clean
print("pathspec" in sys.modules)
"""


def test_rules_are_compiled_only_for_names_not_seen_before(scene: Scene) -> None:
    scene.write({".gitignore": b"*.o\n", "a.o": b"", "d/b.o": b"", "d/b.c": b""})
    scene.commit()
    answers = []
    for name in ("a.o", "d/new.o", "d/new.o"):
        scene.write({name: b"changed"})
        child = subprocess.run(
            [sys.executable, "-c", _SECOND_STATUS, scene.work_dir], capture_output=True, text=True, check=True
        )
        answers.append(child.stdout.strip())
    assert answers == ["False", "True", "False"]


# ---- Git as the judge

_NAMES = st.sampled_from(["a", "b", "ab", "a.o", "b.log", "build", "foo.c", ".x", "a b"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
_PATTERNS = st.one_of(
    st.sampled_from(
        ["*", "*.o", "a*", "?", "[ab]", "[!a]", "**/a", "a/**", "a/**/b", "/a", "/*", "*/", "a/", "b/*", "**",
         "!*.o", "*/b", "/a/b", "!/a", "a/*/b", "\\!x", "#c", "  ", "a.o ", "/", "[z-a]", "!a/b", "!*/", ".*",
         "b**", "**/", "*/**", "a/**/", "!a/**", "!b/", "/**"]
    ),
    _PATHS,
    _PATHS.map(lambda path: f"/{path}"),
    _PATHS.map(lambda path: f"!{path}"),
    _PATHS.map(lambda path: f"{path}/"),
)  # fmt: skip


def _left_in(files: set[str], rules: dict[str, bytes]) -> set[str]:
    """Walk as the scanner does."""
    kept: set[str] = set()

    def visit(folder: str, above: IgnoreRules | None) -> None:
        prefix = f"{folder}/" if folder else ""
        names = [".gitignore"] if f"{prefix}.gitignore" in rules else []
        here = IgnoreRules.root(rules.__getitem__, names) if above is None else above.enter(folder, names)
        below = {path[len(prefix) :] for path in files if path.startswith(prefix)}
        for name in {path.split("/")[0] for path in below}:
            is_directory = name not in below
            if here.ignores(name, is_directory):
                continue
            if is_directory:
                visit(f"{prefix}{name}", here)
            else:
                kept.add(f"{prefix}{name}")

    visit("", None)
    return kept


@pytest.mark.skipif(shutil.which("git") is None, reason="Git is not installed")
@given(
    paths=st.sets(_PATHS, min_size=1, max_size=12),
    root=st.lists(_PATTERNS, max_size=5),
    nested=st.lists(_PATTERNS, max_size=3),
)
def test_git_leaves_out_the_same(
    tmp_path_factory: pytest.TempPathFactory, paths: set[str], root: list[str], nested: list[str]
) -> None:
    files = {path for path in paths if not any(other.startswith(f"{path}/") for other in paths)}
    rules = {".gitignore": "\n".join(root).encode()}
    if any(path.startswith("a/") for path in files):
        rules["a/.gitignore"] = "\n".join(nested).encode()
    folder: Path = tmp_path_factory.mktemp("git")
    subprocess.run(["git", "init", "-q", folder], check=True)
    for path in files:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    for path, content in rules.items():
        (folder / path).write_bytes(content)
    listed = subprocess.run(
        ["git", "-C", folder, "ls-files", "-z", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
    ).stdout.decode()
    expected = set(listed.split("\0")) - {""}
    assert _left_in(files | set(rules), rules) == expected
