"""`musehub worker` and `musehub jobs`, as processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.musehub.hub import History, RunningHub
from tests.musehub.jobs.conftest import Jobs


def start(hub: RunningHub, *arguments: str) -> tuple[str, ...]:
    settings = hub.settings
    return (
        sys.executable,
        "-m",
        "musehub.cli.main",
        *arguments,
        "--data",
        str(settings.data_dir),
        "--database-url",
        settings.database_url,
    )


def run(hub: RunningHub, *arguments: str) -> Any:
    result = subprocess.run([*start(hub, *arguments), "--json"], capture_output=True, text=True, check=False)
    assert result.returncode in (0, 3), result.stderr
    return json.loads(result.stdout or result.stderr)


def test_a_worker_process_takes_over_from_one_that_was_killed(hub: RunningHub, tmp_path: Path) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    ada.push_main(history, history.commit_files({"a.py": b"1\n"}))
    jobs = Jobs(hub)
    before = run(hub, "jobs", "list")["jobs"]
    assert {job["outcome"] for job in before} == {None}
    # Claimed by a process that does not live any more; its leases have run out.
    jobs.execute("UPDATE outbox SET worker = 'gone', attempts = 1")

    command = start(hub, "worker", "--metrics-port", "0", "--set", "log_format=json", "--json")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        announced = json.loads(process.stdout.readline())
        done = set()
        while len(done) < len(before):
            line = json.loads(process.stderr.readline())
            if line["message"] == "job":
                assert line["outcome"] == "done"
                done.add(line["kind"])
        with urllib.request.urlopen(announced["metrics"], timeout=20) as answer:
            assert b'musehub_jobs_total{kind="languages",outcome="done"} 1' in answer.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
    assert run(hub, "jobs", "list")["jobs"] == []
    assert {job["attempts"] for job in run(hub, "jobs", "list", "--state", "done")["jobs"]} == {2}
    assert jobs.insights()["languages"]["languages"] == [{"name": "Python", "bytes": 2, "files": 1}]


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_retrying_and_discarding(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    ada.push_main(history, history.commit_files({"a.py": b"1\n"}))
    first, second = (str(job["id"]) for job in run(hub, "jobs", "list", "--limit", "2")["jobs"])
    Jobs(hub).execute("UPDATE outbox SET done_at = 1, outcome = 'dead', attempts = 8")
    assert run(hub, "jobs", "retry", first)["job"]["outcome"] is None
    assert [str(job["id"]) for job in run(hub, "jobs", "list")["jobs"]] == [first]
    assert run(hub, "jobs", "discard", second)["job"]["outcome"] == "discarded"
    assert second not in {str(job["id"]) for job in run(hub, "jobs", "list", "--state", "dead")["jobs"]}
    assert run(hub, "jobs", "discard", "999999")["error"]["code"] == "job-not-found"


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_job_of_the_whole_hub_is_listed_as_that(hub: RunningHub) -> None:
    Jobs(hub).execute("INSERT INTO outbox (kind, payload, created_at, run_after) VALUES ('gc', '{}', 1, 1)")
    done = subprocess.run(start(hub, "jobs", "list"), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "gc", "waiting", "0x", "the", "whole", "hub"]


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_people_read_of_which_repository_a_job_is(hub: RunningHub) -> None:
    def listed(*words: str) -> list[str]:
        done = subprocess.run(start(hub, "jobs", "list", *words), capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    assert listed() == ["no job waits or runs"]
    assert listed("--state", "dead") == ["there is none"]
    ada = hub.user("ada").repository("notes")
    history = History()
    ada.push_main(history, history.commit_files({"a.py": b"1\n"}))
    assert {line.split()[-1] for line in listed("--state", "all")} == {"ada/notes"}
    Jobs(hub).execute("DELETE FROM refs")
    Jobs(hub).execute("UPDATE outbox SET repository_id = 7")
    assert all(line.endswith("repository 7, which is gone") for line in listed("--state", "all"))
