"""The program through which long output is read on a terminal: MUSE_PAGER, PAGER, or less."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping

from muse.errors import UsageError


def start_pager(environment: Mapping[str, str]) -> subprocess.Popen[str] | None:
    """Start the pager with a pipe as its stdin; None when it is switched off or cannot be started."""
    command = environment.get("MUSE_PAGER", environment.get("PAGER", "less"))
    if command in ("", "cat"):
        return None
    settings = {"LESS": "FRX", "LV": "-c", **environment}
    try:
        return subprocess.Popen(
            shlex.split(command),
            stdin=subprocess.PIPE,
            env=settings,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
        )
    except (OSError, ValueError):
        return None


def finish_pager(pager: subprocess.Popen[str]) -> None:
    """End its input and wait until the reader leaves; Ctrl-C belongs to the pager meanwhile."""
    try:
        if pager.stdin is not None:
            pager.stdin.close()
    except OSError:
        pass
    while True:
        try:
            pager.wait()
            return
        except KeyboardInterrupt:
            continue


def edit_text(path: str, environment: Mapping[str, str]) -> int:
    """Let the user edit a file in MUSE_EDITOR, VISUAL, EDITOR or vi; return the editor's exit code.

    Ctrl-C belongs to the editor meanwhile.
    """
    import signal

    command = environment.get("MUSE_EDITOR") or environment.get("VISUAL") or environment.get("EDITOR") or "vi"
    try:
        started = subprocess.Popen([*shlex.split(command), path], env={**os.environ, **environment})
    except (OSError, ValueError) as error:
        raise UsageError(
            "bad-setting",
            f'the editor "{command}" cannot be started: {error}',
            hint="set MUSE_EDITOR, or use -m",
        ) from None
    with started as editor:
        before = signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # after the start: the editor must not inherit it
        try:
            return editor.wait()
        finally:
            signal.signal(signal.SIGINT, before)
