"""What deploy/ tells musehub is what musehub understands, and every command of it starts."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.deployment import BINARIES, is_ready, read_compose, read_unit, read_variables, started
from tests.musehub.postgresql import PostgreSQL
from tests.musehub.seaweedfs import free_ports, remove_sockets

from musehub.cli.context import read_settings
from musehub.cli.main import build_parser
from musehub.settings import PREFIX, Settings

FILES = ("compose.yaml", "musehub.service", "musehub-worker.service")
UNITS = ("musehub.service", "musehub-worker.service")
INSTALLED = "/opt/musehub/bin"
STATE = "/var/lib/musehub"


@pytest.fixture
def deploy(repository_root: Path) -> Path:
    return repository_root / "deploy"


@pytest.mark.parametrize("name", FILES)
def test_every_setting_and_every_command_exists(deploy: Path, name: str) -> None:
    text = (deploy / name).read_text()
    named = {match.lower() for match in re.findall(rf"\b{PREFIX}([A-Z_]+)\b", text)}
    assert named
    assert named <= set(Settings.__struct_fields__)
    for command in re.findall(r"(?:\[musehub, |bin/musehub )(\w+)", text):
        assert build_parser().parse_args([command]).command == command


def test_every_secret_of_the_compose_file_is_in_the_example(deploy: Path) -> None:
    needed = set(re.findall(r"\$\{(\w+):\?", (deploy / "compose.yaml").read_text()))
    assert needed <= set(read_variables(deploy / "env.example"))


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_no_fault_with_a_unit(deploy: Path, tmp_path: Path, name: str) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    (tmp_path / name).write_text((deploy / name).read_text().replace(INSTALLED, str(BINARIES)))
    command = [program, "verify", "--man=no", tmp_path / name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_units_start_a_hub_and_a_worker(deploy: Path, tmp_path: Path) -> None:
    settings = f"{PREFIX}WORKERS=0\n{PREFIX}PORT=0"
    folder = tmp_path / "state"
    folder.mkdir()
    for name in UNITS:
        (tmp_path / name).write_text(
            (deploy / name).read_text().replace(INSTALLED, str(BINARIES)).replace(STATE, str(folder))
        )
    hub, worker = (read_unit(tmp_path / name, settings) for name in UNITS)
    for command in hub.before:
        subprocess.run(command, env=hub.environment, check=True, capture_output=True)
    with started(hub.command, hub.environment, tmp_path) as (_process, announced):
        assert is_ready(announced)
        with started(worker.command, worker.environment, tmp_path) as (_process, line):
            assert "is at work" in line


def test_the_worker_has_its_own_number_of_jobs(deploy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of settings, which the hub's unit reads as well, says 0."""
    unit = read_unit(deploy / "musehub-worker.service", f"{PREFIX}WORKERS=0")
    for name, value in unit.environment.items():
        monkeypatch.setenv(name, value)
    assert read_settings(build_parser().parse_args(unit.command[1:])).workers == 2


def test_the_services_wait_for_what_there_is(deploy: Path) -> None:
    services = read_compose(deploy / "compose.yaml", read_variables(deploy / "env.example"))
    for service in services.values():
        waits = service.get("depends_on", [])
        assert set(waits) <= set(services)
        for name, how in waits.items() if isinstance(waits, Mapping) else ():
            assert "healthcheck" in services[name] or how["condition"] != "service_healthy"


def test_the_services_start(deploy: Path, tmp_path: Path, postgresql: PostgreSQL) -> None:
    """Every command of the compose file, with other addresses, ports and folders."""
    weed = shutil.which("weed", path=str(BINARIES))
    if weed is None:
        pytest.skip("no S3 server: the program `weed` of the development extra is not installed")
    services = read_compose(deploy / "compose.yaml", read_variables(deploy / "env.example"))
    s3, master, volume, filer = free_ports(4)
    path = f"{BINARIES}{os.pathsep}{os.environ['PATH']}"
    data = tmp_path / "data"
    data.mkdir()

    def elsewhere(text: str) -> str:
        text = text.replace("store:8333", f"127.0.0.1:{s3}").replace("s3.port=8333", f"s3.port={s3}")
        text = text.replace("store:9333", f"127.0.0.1:{master}").replace("store:8888", f"127.0.0.1:{filer}")
        return text.replace("/data", str(data))

    def environment(name: str) -> dict[str, str]:
        given = {key: elsewhere(str(value)) for key, value in services[name].get("environment", {}).items()}
        return {"PATH": path, "HOME": str(tmp_path), **given}

    store = [weed, *elsewhere(services["store"]["command"]).split()]
    store += ["-ip=127.0.0.1", f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}"]
    with (tmp_path / "store.log").open("w") as log:
        process = subprocess.Popen(store, env=environment("store"), stdout=log, stderr=log, cwd=tmp_path)
    try:
        bucket = [*services["bucket"]["entrypoint"][:-1], elsewhere(services["bucket"]["entrypoint"][-1])]
        deadline = time.monotonic() + 60
        while run(bucket, environment("bucket")):  # `restart: on-failure`
            assert time.monotonic() < deadline, (tmp_path / "store.log").read_text()[-2000:]
        assert not run(bucket, environment("bucket")), "a second start of everything finds the bucket there"

        ours = {
            f"{PREFIX}DATABASE_URL": postgresql.url(asyncio.run(postgresql.create_database())),
            f"{PREFIX}DATA_DIR": str(tmp_path / "hub"),
            f"{PREFIX}HOST": "127.0.0.1",
            f"{PREFIX}PORT": "0",
        }
        migrate, hub, worker = (
            ([str(BINARIES / name), *rest], environment(service) | ours)
            for service in ("migrate", "hub-a", "worker")
            for name, *rest in [services[service]["command"]]
        )
        assert not run(*migrate)
        with started(*hub, tmp_path) as (_process, announced):
            assert is_ready(announced)
            port = announced.strip().rpartition(":")[2]
            _kind, _python, *check = services["hub-a"]["healthcheck"]["test"]
            check = [argument.replace(":1337", f":{port}") for argument in check]
            assert not run([sys.executable, *check], hub[1])
            with started(*worker, tmp_path) as (_process, line):
                assert "is at work" in line
    finally:
        process.kill()
        process.wait()
        remove_sockets([s3, master, volume, filer])


def run(command: list[str], environment: Mapping[str, str]) -> int:
    return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60).returncode
