"""What deploy/ tells musehub is what musehub understands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from musehub.cli.main import build_parser
from musehub.settings import PREFIX, Settings

FILES = ("compose.yaml", "musehub.service", "musehub-worker.service")


@pytest.mark.parametrize("name", FILES)
def test_every_setting_and_every_command_exists(repository_root: Path, name: str) -> None:
    text = (repository_root / "deploy" / name).read_text()
    named = {match.lower() for match in re.findall(rf"\b{PREFIX}([A-Z_]+)\b", text)}
    assert named
    assert named <= set(Settings.__struct_fields__)
    for command in re.findall(r"(?:\[musehub, |bin/musehub )(\w+)", text):
        assert build_parser().parse_args([command]).command == command


def test_every_secret_of_the_compose_file_is_in_the_example(repository_root: Path) -> None:
    deploy = repository_root / "deploy"
    needed = set(re.findall(r"\$\{(\w+):\?", (deploy / "compose.yaml").read_text()))
    given = set(re.findall(r"^(\w+)=", (deploy / "env.example").read_text(), re.MULTILINE))
    assert needed <= given
