"""A real hub in a process of its own, for scenes with a real client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from muse.remote.address import Origin, parse_hub_url
from muse.remote.auth import log_in_with_password
from muse.remote.client import HubClient

MUSEHUB = Path(sys.executable).with_name("musehub")


class HubProcess:
    """Serves `folder`; stopped and started again it keeps its data and its port. `token` is its
    administrator's. `prefix` is a command that runs it in its own process.
    """

    user = "admin"

    def __init__(self, folder: Path, *, prefix: Sequence[str | Path] = (), **settings: object) -> None:
        self._folder = folder
        self._prefix = prefix
        self.data = folder / "data"
        self._settings = {f"MUSEHUB_{name.upper()}": str(value) for name, value in settings.items()}
        self._port = 0
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "hub.log"
        password = self.start()
        try:
            assert password is not None
            self.password = password
            with HubClient(self.origin) as hub:
                self.token = log_in_with_password(hub, self.user, self.password).token
        except BaseException:
            self.kill()
            raise

    def start(self, **settings: object) -> str | None:
        """Start it; returns the administrator's password if this start made one."""
        environment = {
            **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
            "HOME": str(self._folder),
            **self._settings,
            **{f"MUSEHUB_{name.upper()}": str(value) for name, value in settings.items()},
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, MUSEHUB, "serve", "--data", self.data, "--port", str(self._port), "--json"],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the hub did not start: {self.log.read_text()}"
        started = json.loads(line)
        self.origin: Origin = parse_hub_url(started["url"])
        self._port = self.origin.port
        return started["admin"]["password"] if started["admin"] else None

    def client(self, origin: Origin | None = None, token: str | None = None) -> HubClient:
        """A client of the administrator, by way of `origin` if it stands for a proxy."""
        return HubClient(origin or self.origin, token or self.token)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        self.stop(signal.SIGKILL)

    @property
    def pid(self) -> int:
        return self._process.pid
