"""What a hub counts of itself, read as Prometheus reads it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.musehub.hub import History, HubUser, RunningHub

from musehub.jobs.catalog import kinds_table
from musehub.telemetry.metrics import HubMetrics
from musehub.telemetry.registry import MAX_SERIES, Counter, Histogram, render

Start = Callable[..., RunningHub]


def read(user: HubUser, **headers: str) -> dict[str, float]:
    """Every sample by its name and labels."""
    answer = user.request("GET", "/metrics", headers=headers)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {}
    for line in answer.body.decode().splitlines():
        if line.startswith("#"):
            assert re.fullmatch(r"# (HELP|TYPE) [a-z_]+ .+", line)
            continue
        name, _, value = line.rpartition(" ")
        assert re.fullmatch(r'[a-z_]+(\{([a-z]+="[^"]*",?)+\})?', name)
        assert name not in samples
        samples[name] = float(value)
    return samples


def test_a_push_a_fetch_and_a_failed_login_are_counted(hub: RunningHub) -> None:
    user = hub.user("ada")
    ada = user.repository("notes")
    history = History()
    head = history.commit_files({"a": b"1", "b/c": b"2"})
    ada.push_main(history, head)
    ada.push_main(history, head, head)
    assert ada.stream(b"nonsense").status == 200
    ada.fetch()
    user.post_json("/api/v1/auth/token", {"user": "ada", "password": "wrong"})

    found = read(hub.nobody())
    assert found['musehub_pushes_total{outcome="landed"}'] == 1
    assert found['musehub_pushes_total{outcome="up_to_date"}'] == 1
    assert found['musehub_pushes_total{outcome="refused"}'] == 1
    assert found['musehub_push_objects_total{kind="trees"}'] == 2
    assert found['musehub_push_phase_seconds_count{phase="finalise"}'] == 1
    assert found["musehub_push_bytes_total"] > 0
    assert found['musehub_fetches_total{outcome="ok"}'] == 1
    assert found["musehub_login_failures_total"] == 1
    assert found['musehub_database_transaction_seconds_count{name="finalise push"}'] == 1
    assert found['musehub_store_calls_total{method="put",outcome="ok"}'] == 1
    assert found["musehub_database_connections_held"] == 0
    assert found["musehub_database_up"] == 1
    assert found["musehub_job_queue_depth"] > 10
    assert found["musehub_job_queue_oldest_seconds"] >= 0
    assert found['musehub_http_requests_total{method="POST",status="2xx"}'] >= 4
    assert any(name.startswith("musehub_build_info{version=") for name in found)


def test_the_phases_in_the_metrics_add_up_to_the_pushes(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    ada.push_main(history, history.commit_files({f"d{n}/f{n}": b"%d" % n for n in range(200)}))
    found = read(hub.nobody())
    phases = sum(value for name, value in found.items() if name.startswith("musehub_push_phase_seconds_sum"))
    whole = found['musehub_push_seconds_sum{outcome="landed"}']
    assert phases == pytest.approx(whole, rel=0.05)


def test_who_may_read_the_metrics(start_hub: Start) -> None:
    hub = start_hub()
    assert hub.nobody().request("GET", "/metrics").status == 200
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        assert hub.nobody().request("GET", "/metrics", headers={header: "127.0.0.1"}).status == 403

    closed = start_hub(metrics_token="a token for the watcher")
    assert closed.nobody().request("GET", "/metrics").status == 401
    assert closed.nobody().request("GET", "/metrics", headers={"Authorization": "Bearer x"}).status == 401
    assert read(closed.nobody(), Authorization="Bearer a token for the watcher")


def test_names_and_labels_are_escaped_and_series_bounded() -> None:
    counter = Counter("c_total", "Counts.", ("what",))
    counter.add(1, 'a"b\\c\nd')
    assert 'c_total{what="a\\"b\\\\c\\nd"} 1' in render([counter])
    for number in range(MAX_SERIES + 10):
        counter.add(1, str(number))
    assert len(counter.samples()) == MAX_SERIES + 1
    assert counter.samples()[-1].startswith('c_total{what="other"}')


def test_a_histogram_is_cumulative() -> None:
    histogram = Histogram("h_seconds", "Takes.", (), (0.1, 1.0))
    for value in (0.1, 0.2, 5.0):
        histogram.observe(value)
    assert histogram.samples() == [
        'h_seconds_bucket{le="0.1"} 1',
        'h_seconds_bucket{le="1"} 2',
        'h_seconds_bucket{le="+Inf"} 3',
        "h_seconds_sum 5.3",
        "h_seconds_count 3",
    ]


def test_every_metric_and_every_kind_of_job_is_documented(repository_root: Path) -> None:
    document = (repository_root / "docs/metrics.md").read_text()
    assert [metric.name for metric in HubMetrics().all if f"`{metric.name}`" not in document] == []
    assert kinds_table() in (repository_root / "docs/jobs.md").read_text(), "copy the table of catalog.py"
