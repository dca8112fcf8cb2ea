"""The page of insights."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.musehub.hub import History, RunningHub
from tests.musehub.jobs.conftest import Jobs

HTML = {"Accept": "text/html"}


def test_the_page_before_and_after_the_jobs(hub: RunningHub, jobs: Jobs) -> None:
    jobs.clock = lambda: datetime(2023, 11, 15, 12, tzinfo=UTC)
    ada = hub.user("ada")
    history = History()
    head = history.commit_files({"src/<b>.py": b"one\n", "a.rs": b"two\n"})
    head = history.commit_files({"src/<b>.py": b"one\ntwo\n", "a.rs": b"2\n"}, head)
    ada.repository("notes").push_main(history, head)

    before = ada.request("GET", "/ada/notes/insights", headers=HTML)
    assert before.status == 200
    assert "Nothing was analysed yet" in before.body.decode()
    jobs.run()
    page = ada.request("GET", "/ada/notes/insights", headers=HTML).body.decode()
    for text in ("Languages", "Rust", "Contributors", "2 commits", "Hotspots", "Churn", "+2 −1", "Coupling"):
        assert text in page
    assert '<a class="plain" href="/ada/notes/blob/main/src/%3Cb%3E.py">src/&lt;b&gt;.py</a>' in page
    assert "style=" not in page
    assert hub.nobody().request("GET", "/ada/notes/insights", headers=HTML).status == 404
