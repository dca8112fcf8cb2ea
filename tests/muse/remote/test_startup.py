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


def test_connecting_to_an_address_in_plain_letters_needs_no_codec() -> None:
    code = """
import socket, sys
from muse.remote.address import Origin
from muse.remote.channel import Timeouts
from muse.remote.http import Connection
with socket.create_server(("127.0.0.1", 0)) as server:
    connection = Connection(Origin("http", "127.0.0.1", server.getsockname()[1]), Timeouts())
    connection.open()
    connection.close()
print(*sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "encodings.idna" not in done.stdout.split()
