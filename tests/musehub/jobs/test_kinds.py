"""What jobs find out about a repository after real pushes."""

from __future__ import annotations

from tests.musehub.hub import History, RunningHub
from tests.musehub.jobs.conftest import Jobs

from musehub.jobs.catalog import AFTER_PUSH


def test_a_push_is_analysed_and_the_next_one_added(hub: RunningHub, jobs: Jobs) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    first = history.commit_files(
        {"a.py": b"one\ntwo\n", "src/b.py": b"x\n" * 10, "README.md": b"# Hi\n", "song.wav": b"\0" * 1000}
    )
    ada.push_main(history, first)

    assert jobs.run() == len(AFTER_PUSH)
    found = jobs.insights()
    languages = {item["name"]: (item["bytes"], item["files"]) for item in found["languages"]["languages"]}
    assert languages == {"Python": (28, 2), "Markdown": (5, 1), "Audio": (1000, 1)}
    assert found["largest"]["files"][0] == {"path": "song.wav", "bytes": 1000}
    assert found["contributors"]["contributors"][0]["commits"] == 1

    second = history.commit_files({"a.py": b"one\n2\nthree\n", "src/b.py": None}, first)
    ada.push_main(history, second, first)
    jobs.run()
    found = jobs.insights()
    print(found)
