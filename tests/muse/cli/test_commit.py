"""`commit`, `status`, `log`, `show`: recording work and looking at it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .conftest import Muse


def test_the_first_commit_of_known_files_at_a_known_time_has_a_known_id(muse: Muse) -> None:
    muse.write("a.txt", "one\n")
    muse.write("notes/b.txt", "two\n")
    result = muse("commit", "-m", "begin", "--date", "2024-05-01T12:00:00+02:00")
    assert result.lines == ["[main b9b72643e9f4, first commit] begin", " 2 files added"]


def test_a_commit_reports_what_changed(muse: Muse) -> None:
    muse.commit("begin", a_txt="1", b_txt="2")
    muse.write("a.txt", "changed")
    (muse.folder / "b.txt").unlink()
    muse.write("c.txt", "new")
    value = muse("commit", "-m", "work\n\nbody", "--json").json
    assert {k: v for k, v in value.items() if k != "id"} == {
        "branch": "main",
        "root": False,
        "amended": False,
        "summary": "work",
        "added": 1,
        "modified": 1,
        "deleted": 1,
    }


def test_nothing_to_commit(muse: Muse) -> None:
    assert "error[nothing-to-commit]" in muse("commit", "-m", "x", code=2).errors
    muse.commit("begin", a_txt="1")
    assert "error[nothing-to-commit]" in muse("commit", "-m", "x", code=2).errors
    muse("commit", "-m", "x", "--allow-empty")
    assert len(muse("log", "--oneline").lines) == 2


def test_only_some_paths(muse: Muse) -> None:
    muse.commit("begin", a_txt="1", b_txt="1")
    muse.write("a.txt", "2")
    muse.write("b.txt", "2")
    muse.write("d/c.txt", "2")
    muse("commit", "-m", "part", "a.txt", "d")
    assert muse("status", "--json").json["modified"][0]["path"] == "b.txt"
    assert muse("show", "--name-status").lines[-2:] == ["M  a.txt", "A  d/c.txt"]
    assert "error[unknown-path]" in muse("commit", "-m", "x", "nope.txt", code=3).errors


def test_paths_are_seen_from_the_current_folder(muse: Muse) -> None:
    muse.commit("begin", a_txt="1")
    muse.write("d/a.txt", "inner")
    inner = muse.at(muse.folder / "d")
    assert inner("status", "a.txt").lines[1:] == ["  A  d/a.txt"]
    inner("commit", "-m", "inner", "a.txt")
    assert inner("show", "HEAD:./a.txt").raw == b"inner"
    assert inner("show", "HEAD:a.txt").raw == b"1"


def test_several_messages_are_paragraphs_and_a_file_is_read_whole(muse: Muse) -> None:
    muse.write("a", "1")
    muse("commit", "-m", "first", "-m", "second")
    muse("commit", "--amend", "-F", "-", stdin=b"from stdin\n\nbody  \n\n")
    assert muse("log", "--json").json["commits"][0]["message"] == "from stdin\n\nbody\n"
    text = muse.write("message", "from a file")
    muse("commit", "--amend", "-F", text.name)
    assert muse("log", "--json").json["commits"][0]["summary"] == "from a file"


@pytest.mark.parametrize("arguments", [["-m", ""], ["-m", " \n"], ["-F", "-"], ["-m", "a", "-F", "-"]])
def test_an_empty_or_double_message_commits_nothing(muse: Muse, arguments: list[str]) -> None:
    muse.write("a", "1")
    assert "error[bad-arguments]" in muse("commit", *arguments, code=2).errors
    assert muse("log").output == 'branch "main" has no commits yet\n'


def test_without_a_message_the_editor_is_asked(muse: Muse, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\ncp "$1" "$0.seen"\nprintf "edited\\n# a remark\\n" > "$1"\n')
    editor.chmod(0o755)
    muse.write("a.txt", "1")
    assert 'hint: muse commit -m "..."' in muse("commit", code=2).errors
    muse.environment["MUSE_EDITOR"] = str(editor)
    muse("commit")
    assert "#   A  a.txt" in Path(f"{editor}.seen").read_text()
    assert muse("log", "--json").json["commits"][0]["message"] == "edited\n"
    muse("commit", "--amend")
    assert Path(f"{editor}.seen").read_text().startswith("edited\n")
    muse.environment["MUSE_EDITOR"] = "false"
    assert "the editor failed" in muse("commit", "--amend", code=2).errors
    muse.environment["MUSE_EDITOR"] = "/no/such/editor"
    assert "hint: set MUSE_EDITOR, or use -m" in muse("commit", "--amend", code=2).errors


def test_amend_keeps_author_and_parents(muse: Muse) -> None:
    first = muse.commit("begin", a_txt="1")
    muse.write("a.txt", "2")
    muse("commit", "-m", "second", "--author", "Grace <grace@example.org>", "--date", "2020-01-01T00:00:00Z")
    muse.write("a.txt", "3")
    muse("commit", "--amend", "-m", "better")
    newest = muse("log", "--json").json["commits"][0]
    assert newest["parents"] == [first]
    assert newest["author"] == {
        "name": "Grace",
        "email": "grace@example.org",
        "time": "2020-01-01T00:00:00+00:00",
    }
    assert newest["committer"]["name"] == "Ada"
    assert len(muse("log", "--oneline").lines) == 2


def test_without_a_name_the_hint_says_how_to_set_it(muse: Muse) -> None:
    for name in list(muse.environment):
        if name.startswith(("MUSE_AUTHOR", "MUSE_COMMITTER")):
            del muse.environment[name]
    muse.write("a", "1")
    errors = muse("commit", "-m", "x", code=2).errors
    assert "error[no-identity]: your name and e-mail address are not known" in errors
    assert 'muse config set --global user.name "Your Name" && muse config set --global user.email' in errors
    muse("config", "set", "--global", "user.name", "Grace")
    assert "your e-mail address is not known" in muse("commit", "-m", "x", code=2).errors
    muse("config", "set", "user.email", "grace@example.org")
    muse("commit", "-m", "x")
    assert muse("log", "--json").json["commits"][0]["author"]["name"] == "Grace"


def test_the_agent_is_recorded_and_shown(muse: Muse) -> None:
    muse.write("a", "1")
    muse("commit", "-m", "by hand")
    muse.write("a", "2")
    muse("commit", "-m", "by option", "--agent", "composer:m-1:studio")
    muse.environment |= {"MUSE_AGENT_NAME": "mixer", "MUSE_AGENT_MODEL": "m-2"}
    muse.write("a", "3")
    muse("commit", "-m", "by environment")
    agents = [commit["agent"] for commit in muse("log", "--json").json["commits"]]
    assert agents == [
        {"name": "mixer", "model": "m-2", "tool": ""},
        {"name": "composer", "model": "m-1", "tool": "studio"},
        None,
    ]
    text = muse("log").output
    assert "agent:     mixer (m-2)\n" in text
    assert "agent:     composer (m-1, studio)\n" in text


def test_signed_commits_say_so(muse: Muse) -> None:
    muse.write("a", "1")
    assert "error[key-not-found]" in muse("commit", "-m", "x", "--sign", code=3).errors
    public = muse("auth", "keygen", "--json").json["public_key"]
    muse("commit", "-m", "signed", "--sign")
    muse("config", "set", "commit.sign", "true")
    muse("commit", "-m", "signed by setting", "--allow-empty")
    muse("commit", "-m", "not signed", "--allow-empty", "--no-sign")
    states = [commit["signature"] for commit in muse("log", "--json").json["commits"]]
    assert states == [None, {"key": public, "state": "good"}, {"key": public, "state": "good"}]
    assert muse("log").output.count(f"signature: good, key {public[:16]}\n") == 2
    muse("tag", "v1", "-m", "signed tag")
    assert muse("tag", "--json").json["tags"][0]["tag"]["signature"]["state"] == "good"


def test_status_names_everything_that_differs(muse: Muse) -> None:
    muse.commit("begin", a_txt="1", b_txt="22", c_txt="333", d_txt="4444")
    muse.write("a.txt", "other")
    (muse.folder / "b.txt").unlink()
    (muse.folder / "c.txt").rename(muse.folder / "moved.txt")
    (muse.folder / "d.txt").chmod(0o755)
    muse.write("new.txt", "n")
    muse.write(".museignore", "*.log\n")
    muse.write("x.log", "ignored")
    os.mkfifo(muse.folder / "pipe")
    result = muse("status", "--ignored")
    assert result.lines == [
        "on branch main",
        "  A  .museignore",
        "  A  new.txt",
        "  M  a.txt",
        "  M  d.txt  (executable bit)",
        "  D  b.txt",
        "  R  c.txt -> moved.txt",
        "ignored:",
        "  !  x.log",
    ]
    assert "pipe" in result.errors
    value = muse("status", "--json").json
    assert value["clean"] is False
    assert value["renamed"] == [{"old_path": "c.txt", "path": "moved.txt"}]
    assert value["ignored"] is None
    assert value["problems"][0]["reason"] == "special-file"


def test_log_of_a_path_follows_only_what_touches_it(muse: Muse) -> None:
    muse.commit("one", a_txt="1", b_txt="1")
    muse.commit("two", b_txt="2")
    muse.write("d/c", "1")
    muse("commit", "-m", "three")
    muse.commit("four", a_txt="4")

    def summaries(*arguments: str) -> list[str]:
        return [commit["summary"] for commit in muse("log", "--json", *arguments).json["commits"]]

    assert summaries("a.txt") == ["four", "one"]
    assert summaries("d") == ["three"]
    assert summaries("main~1", "b.txt") == ["two", "one"]
    assert summaries("main~2..main") == ["four", "three"]
    assert summaries("main", "^main~1") == ["four"]
    assert summaries("-n", "2") == summaries("-2") == ["four", "three"]
    assert summaries("--", "a.txt") == ["four", "one"]
    assert summaries("--", "gone.txt") == []
    assert summaries("--author", "ada@") == ["four", "three", "two", "one"]
    assert summaries("--author", "nobody") == []
    assert "error[unknown-revision]" in muse("log", "gone.txt", code=3).errors


def test_a_word_that_is_a_branch_and_a_file_needs_a_separator(muse: Muse) -> None:
    muse.commit("one", main="a file")
    assert "is a revision and a file" in muse("log", "main", code=2).errors
    assert len(muse("log", "--oneline", "main", "--").lines) == 1
    assert len(muse("log", "--oneline", "--", "main").lines) == 1
    assert len(muse("log", "--oneline", "./main").lines) == 1


def test_log_by_date(muse: Muse) -> None:
    for day in (1, 2, 3):
        muse.environment["MUSE_DATE"] = f"2024-05-0{day}T12:00:00Z"
        muse.commit(f"day {day}", a_txt=str(day))
    assert len(muse("log", "--oneline", "--since", "2024-05-02").lines) == 2
    assert len(muse("log", "--oneline", "--until", "2024-05-02").lines) == 1
    assert "is not a date" in muse("log", "--since", "whenever", code=2).errors


def test_log_for_people(muse: Muse) -> None:
    muse.environment["MUSE_DATE"] = "2024-05-01T12:00:00+02:00"
    muse.write("a", "1")
    muse("commit", "-m", "begin\n\nwith a body")
    muse("tag", "v1")
    commit_id = muse("rev-parse", "HEAD").output.strip()
    assert muse("log").lines == [
        f"commit {commit_id} (*main, tag v1)",
        "author:    Ada <ada@example.org>",
        "date:      Wed 1 May 2024 12:00:00 +0200",
        "",
        "    begin",
        "",
        "    with a body",
    ]
    assert muse("log", "--oneline").lines == [f"{commit_id[:12]} (*main, tag v1) begin"]


def test_the_graph_shows_where_lines_part(muse: Muse) -> None:
    muse.commit("base", a_txt="1")
    muse("switch", "-c", "side")
    muse.commit("side", b_txt="1")
    muse("switch", "main")
    muse.commit("main", c_txt="1")
    rows = [line.split(" (")[0] for line in muse("log", "--graph", "--oneline", "--all").lines]
    assert [row[:4].rstrip() for row in rows] in (["* " + rows[0][2:4], "│ *", "├─╯", "* " + rows[3][2:4]],)


def test_show_a_commit_a_file_a_directory_and_a_tag(muse: Muse) -> None:
    muse.commit("one", a_txt="1\n")
    muse.write("d/b", b"\0\xff")
    second = muse.commit("two", a_txt="2\n")
    muse("tag", "v1", "-m", "first release")
    assert muse("show", "HEAD~1:a.txt").output == "1\n"
    assert muse("show", "HEAD:d/b").raw == b"\0\xff"
    assert "d/" in muse("show", "HEAD:").output
    assert muse("show", "--json", "HEAD:d/b").json["base64"] == "AP8="
    value = muse("show", "--json", "v1").json
    assert value["tag"]["message"] == "first release\n"
    assert value["commit"]["id"] == second
    assert [file["status"] for file in value["files"]] == ["modified", "added"]
    text = muse("show", "v1").output
    assert text.startswith("tag v1\ntagger:    Ada")
    assert "-1\n+2\n" in text
    assert "Binary files /dev/null and b/d/b differ: nothing, then 2 B\n" in text
    assert "error[unknown-path]" in muse("show", "HEAD:nope", code=3).errors
    assert "error[unknown-revision]" in muse("show", "nope", code=3).errors


def test_names_of_files_cannot_steer_the_terminal(muse: Muse) -> None:
    muse.write("\x1b[31mred", "1")
    muse("commit", "-m", "an \x1b[31m escape")
    assert "\x1b" not in muse("log").output + muse("show", "--stat").output + muse("log", "--oneline").output
    muse.write("\x1b[31mred", "2")
    assert "\\x1b[31mred" in muse("status").output
    muse.write("one\n  M  two", "1")
    assert "  A  one\\n  M  two" in muse("status").lines
    muse("commit", "-m", "a name of two lines")
    for arguments in (["ls-tree"], ["show", "--name-status"], ["show", "--stat"]):
        assert "one\\n  M  two" in muse(*arguments).output
