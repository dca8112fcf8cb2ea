"""The first request after the start is as fast as the next: it imports nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import json, sys
sys.path[:0] = [{root!r}, {root!r} + "/src"]
from pathlib import Path
from tests.musehub.hub import History, RunningHub
from musehub.settings import load_settings
import asyncio, time
from musehub.app.opening import prepare_database
from musehub.db.opening import open_database

settings = load_settings(
    {{"data_dir": Path({data!r}), "workers": {workers}, "public_url": "http://hub.test"}}, environ={{}}
)

async def prepare():
    database = open_database(settings)
    await prepare_database(settings, database)
    await database.close()

asyncio.run(prepare())
hub = RunningHub(settings)
# The client's side of the scene, and whatever the warming thread still does.
history = History()
head = history.commit_files({{"README.md": b"# Hi", "a.py": b"x = 1"}})
user = hub.user("ada")
hub.call(hub.app.warmed.wait())
before = set(sys.modules)
after = {{}}
def step(name, answer):
    global before
    now = set(sys.modules)
    after[name] = sorted(now - before)
    before = now

step("health", hub.nobody().request("GET", "/health"))
step("ready", hub.nobody().request("GET", "/ready"))
step("push", user.repository("notes").push_main(history, head))
step("fetch", user.repository("notes").fetch())
step("api", user.request("GET", "/api/v1/repositories/ada/notes/insights"))
step("page", user.request("GET", "/ada/notes", headers={{"Accept": "text/html"}}))
step("file", user.request("GET", "/ada/notes/blob/main/a.py", headers={{"Accept": "text/html"}}))
step("home", hub.nobody().request("GET", "/", headers={{"Accept": "text/html"}}))
step("metrics", hub.nobody().request("GET", "/metrics"))
hub.stop()
print(json.dumps(after))
"""


@pytest.mark.parametrize("workers", [0, 1])
def test_no_request_imports_anything(tmp_path: Path, repository_root: Path, workers: int) -> None:
    program = _PROGRAM.format(root=str(repository_root), data=str(tmp_path), workers=workers)
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert {name: modules for name, modules in json.loads(result.stdout).items() if modules} == {}
