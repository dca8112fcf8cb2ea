"""Reads deploy/ as systemd and Compose would, as far as its files use them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

BINARIES = Path(sys.executable).parent


class Unit(NamedTuple):
    """A systemd unit: what it runs before, what it runs, and the environment that it gives."""

    before: list[list[str]]
    command: list[str]
    environment: dict[str, str]


def read_unit(path: Path, environment_file: str = "") -> Unit:
    """What the environment file says wins over `Environment=`."""
    commands: dict[str, list[list[str]]] = {}
    environment: dict[str, str] = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition("=")
        if name in ("ExecStartPre", "ExecStart"):
            commands.setdefault(name, []).append(shlex.split(value))
        elif name == "Environment":
            environment |= dict(word.split("=", 1) for word in shlex.split(value))
    environment |= dict(line.split("=", 1) for line in environment_file.splitlines())
    return Unit(commands.get("ExecStartPre", []), commands["ExecStart"][0], environment)


def read_compose(path: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """The services; raises KeyError for a variable that has to be given and is not."""

    def value(found: re.Match[str]) -> str:
        name, kind, text = found.groups()
        return variables.get(name) or text if kind == "-" else variables[name]

    text = re.sub(r"\$\{(\w+)(?::([?-])([^}]*))?\}", value, path.read_text())
    services: dict[str, Any] = yaml.safe_load(text)["services"]
    return services


def read_variables(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@contextmanager
def started(
    command: list[str], environment: Mapping[str, str], folder: Path
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the first line it prints; it has to end well when it is told to."""
    with (folder / "errors").open("a+") as errors:
        process = subprocess.Popen(
            command, env=dict(environment), stdout=subprocess.PIPE, stderr=errors, text=True, cwd=folder
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, (folder / "errors").read_text()
            yield process, line
            process.terminate()
            assert process.wait(30) == 0, (folder / "errors").read_text()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def is_ready(announced: str) -> bool:
    """Whether the hub that says where it listens answers that it can work."""
    url = announced.rpartition(" ")[2].strip()
    with urllib.request.urlopen(f"{url}/ready", timeout=30) as answer:
        return bool(answer.status == 200)
