"""The `muse` command: finds the command's module, runs it, and turns every outcome into an exit code.

`muse --version` must stay cheap, so this module imports nothing but `sys`; everything else is imported by the
function that needs it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def main(
    arguments: list[str] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    now: Callable[[], float] | None = None,
) -> int:
    """Run one command line and return its exit code; `environment` and `now` default to the process's own."""
    whole_process = arguments is None
    if arguments is None:
        arguments = sys.argv[1:]
        _collect_rarely()
    if sys.stdout is None or sys.stderr is None:  # started with a closed stdout or stderr
        _open_closed_streams()
    try:
        if arguments in (["--version"], ["-V"]):
            from muse import __version__

            sys.stdout.write(f"muse {__version__}\n")
            sys.stdout.flush()
            return 0
        from muse.cli.run import run

        code = run(arguments, environment, now)
        if whole_process:
            _forget_garbage()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _forget_stdout()
        return 141


def _collect_rarely() -> None:
    """Look for circular garbage less often: a plan or a tree is a hundred thousand tuples and no circle."""
    import gc

    gc.set_threshold(20_000, 20, 20)


def _forget_garbage() -> None:
    """Let the interpreter end without looking through all modules for circular garbage: a fifth of the time
    that a push of nothing takes.
    """
    import gc

    gc.freeze()


def _open_closed_streams() -> None:
    import os

    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for the whole process


def _forget_stdout() -> None:
    """Keep the interpreter from complaining, at its end, about output that nobody reads."""
    import os

    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        pass


if __name__ == "__main__":
    sys.exit(main())
