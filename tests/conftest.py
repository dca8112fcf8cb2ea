"""What every test stands on: a wiped environment, loopback only, reproducible examples."""

from __future__ import annotations

import ipaddress
import itertools
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.musehub.postgresql import PostgreSQL
    from tests.musehub.seaweedfs import SeaweedFS

REPOSITORY_ROOT = Path(__file__).resolve().parent.parent

_COMMON = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow],
}
settings.register_profile("dev", max_examples=30, **_COMMON)
settings.register_profile("ci", max_examples=50, derandomize=True, database=None, **_COMMON)
settings.register_profile("thorough", max_examples=2000, **_COMMON)


# ---- environment

_CLEARED_PREFIXES = ("MUSE_", "MUSEHUB_", "GIT_", "XDG_", "LC_", "SSH_")
_CLEARED = {
    *(
        "ALL_PROXY",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "all_proxy",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    ),
    *("COLUMNS", "LINES", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "NO_COLOR"),
    *("EDITOR", "VISUAL", "PAGER", "LESS", "LANG", "LANGUAGE", "EMAIL", "SOURCE_DATE_EPOCH"),
}
_FIXED = {
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "TERM": "dumb",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
}
_KEPT_PREFIX = "MUSE_TEST_"
"""Tells tests of servers and programs that somebody provides: set but broken fails, it does not skip."""
_home_numbers = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    """Wipe the environment before anything of a test is imported, also for servers shared by many tests."""
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))
    if "HOME" in os.environ:  # a browser that playwright installed stays in reach
        browsers = Path(os.environ["HOME"], ".cache", "ms-playwright")
        os.environ.setdefault("PLAYWRIGHT_BROWSERS_PATH", str(browsers))
    for name in list(os.environ):
        if not name.startswith(_KEPT_PREFIX) and (name in _CLEARED or name.startswith(_CLEARED_PREFIXES)):
            del os.environ[name]
    home = tempfile.TemporaryDirectory(prefix="muse-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(home.cleanup)
    os.environ.update(_FIXED, HOME=home.name, XDG_RUNTIME_DIR=home.name)
    time.tzset()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One more than there are processors: much of a test run is waiting for servers."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # what pytest-xdist itself makes of it
    return len(os.sched_getaffinity(0)) + 1


@pytest.fixture(autouse=True)
def own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """HOME is an empty folder of this test's own; environment and current folder are put back after it."""
    before = dict(os.environ)
    folder = Path.cwd()
    home = tmp_path_factory.getbasetemp() / f"home-{next(_home_numbers)}"
    home.mkdir()
    os.environ["HOME"] = str(home)
    try:
        yield
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(before)
        time.tzset()


# ---- network

_LOCAL_NAMES = {None, "", "localhost"}


def _is_loopback(host: Any) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


def _check_address(family: int, address: Any) -> None:
    if family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
        raise AssertionError(f'a test tried to reach "{address[0]}"; only loopback is allowed')


def _looks_up_nothing(host: Any) -> bool:
    """Addresses in digits are looked up without any traffic."""
    try:
        ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host))
    except ValueError:
        return _is_loopback(host)
    return True


_lookup = socket.getaddrinfo
_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex


def _loopback_connect(self: socket.socket, address: Any) -> None:
    _check_address(self.family, address)
    _connect(self, address)


def _loopback_connect_ex(self: socket.socket, address: Any) -> int:
    _check_address(self.family, address)
    return _connect_ex(self, address)


def _loopback_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
    if not _looks_up_nothing(host):
        raise AssertionError(f'a test tried to look up "{host!r}"; only loopback is allowed')
    return _lookup(host, *args, **kwargs)


@pytest.fixture(autouse=True, scope="session")
def loopback_only() -> Iterator[None]:
    """Connecting to, or looking up, anything but this machine fails the test, whoever here does it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _loopback_connect)
        patch.setattr(socket.socket, "connect_ex", _loopback_connect_ex)
        patch.setattr(socket, "getaddrinfo", _loopback_lookup)
        yield


# ---- servers, shared by all processes of a test run


@pytest.fixture(scope="session")
def postgresql(testrun_uid: str) -> Iterator[PostgreSQL]:
    """The PostgreSQL server of this test run, started when the first test asks for it."""
    from tests.musehub.postgresql import PostgreSQL

    # Not below pytest's own folder: that is as deep as a socket's path may be long, and closed to others.
    server = PostgreSQL(Path(tempfile.gettempdir(), f"muse-postgresql-{testrun_uid[:12]}"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def seaweedfs(testrun_uid: str) -> Iterator[SeaweedFS]:
    """The S3 server of this test run, started when the first test asks; no test stops it."""
    from tests.musehub.seaweedfs import shared_seaweedfs

    with shared_seaweedfs(Path(tempfile.gettempdir(), f"muse-seaweedfs-{testrun_uid[:12]}")) as server:
        yield server


# ---- places


@pytest.fixture(scope="session")
def repository_root() -> Path:
    """The folder of this project's checkout."""
    return REPOSITORY_ROOT
