"""A file system of a few MiB that a hub runs on: a tmpfs in a mount namespace that ends with the process."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_MOUNT = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@"'
_ROOT = os.geteuid() == 0
_UNSHARE = ["unshare", "--mount"] if _ROOT else ["unshare", "--user", "--map-root-user", "--mount"]
_ENTER = ["nsenter", "--mount"] if _ROOT else ["nsenter", "--user", "--preserve-credentials", "--mount"]


class SmallDisk:
    """Mounted over `folder` for the program that runs behind `prefix`, and for nobody else.

    Skips the test where the machine does not let its user mount.
    """

    def __init__(self, folder: Path, size_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.prefix: list[str | Path] = [*_UNSHARE, "sh", "-c", _MOUNT, "sh", str(size_bytes), folder]
        if shutil.which("unshare") is None or subprocess.run([*self.prefix, "true"], check=False).returncode:
            pytest.skip("a full disk needs a mount namespace, which this machine does not give its user")

    def resize(self, pid: int, size_bytes: int) -> None:
        """Give the disk of a running program another size."""
        self.run(pid, "mount", "-o", f"remount,size={size_bytes}", self.folder)

    def run(self, pid: int, *command: str | Path) -> str:
        """Run a command that sees the disk of a running program; returns what it prints."""
        entered = [*_ENTER, f"--target={pid}", *command]
        return subprocess.run(entered, check=True, capture_output=True, text=True).stdout
