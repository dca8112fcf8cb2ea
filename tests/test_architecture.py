"""The import contracts of pyproject.toml hold, and files have names that say something."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_SAYS_NOTHING = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "base", "misc"}


def test_every_import_keeps_the_contracts(repository_root: Path) -> None:
    program = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [program, "--no-cache"], cwd=repository_root, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_module_is_named_after_nothing(repository_root: Path) -> None:
    named = {path.stem for path in (repository_root / "src").rglob("*.py")}
    named |= {path.parent.name for path in (repository_root / "src").rglob("*.py")}
    assert not named & _SAYS_NOTHING
