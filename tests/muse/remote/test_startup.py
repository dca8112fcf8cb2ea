"""What a push of nothing may load: the whole of it takes less than a tenth of a second."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "asyncio",
    "concurrent.futures",
    "cryptography",
    "dataclasses",
    "email",
    "http",
    "inspect",
    "logging",
    "mmap",
    "random",
    "ssl",
    "tempfile",
    "urllib.request",
    "urllib3",
}


@pytest.mark.parametrize("module", ["muse.remote.push", "muse.remote.fetch"])
def test_nothing_heavy_is_loaded_before_it_is_needed(module: str) -> None:
    code = f"import sys; before = set(sys.modules); import {module}; print(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert HEAVY.isdisjoint(done.stdout.split())
