"""What a command may know of the world: environment, folder, clock, terminal, repository, settings, identity.

The only reader of the environment and of the clock in the client; everything below takes arguments.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from muse.cli.output import Output
from muse.errors import Environment, NotFound, UsageError

if TYPE_CHECKING:
    from muse.objects.commit import Agent, Person
    from muse.remote.address import Origin
    from muse.remote.client import HubClient
    from muse.store.progress import Progress
    from muse.store.repository import Repository
    from muse.store.settings import UserSettings

MAX_OPERATION_CHARS = 200


class Context:
    """One command line's surroundings; closing it closes the repository."""

    def __init__(
        self,
        options: Namespace,
        output: Output,
        environment: Mapping[str, str],
        now: Callable[[], float],
        command_line: list[str],
    ) -> None:
        self.options = options
        self.output = output
        self.environment = environment
        self.now = now
        self._command_line = command_line
        self.token_is_given = False
        """Whether a hub was asked with the token of MUSE_TOKEN, which wins over every login."""
        self._repository: Repository | None = None
        try:
            self.directory = Path(os.path.abspath(options.start_folder or os.curdir))
        except FileNotFoundError:
            raise Environment("io-error", "the current folder does not exist any more") from None
        if options.start_folder is not None and not self.directory.is_dir():
            raise NotFound("unknown-path", f'"{options.start_folder}" is not a folder')

    def __enter__(self) -> Context:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._repository is not None:
            self._repository.close()

    # ---- repository and settings

    @property
    def repository(self) -> Repository:
        """The repository of the current folder; raises `not-a-repository`."""
        if self._repository is None:
            from muse.store.repository import Repository

            self._repository = Repository.find(self.directory, user_config=self.config_path)
            self._repository.clock = self.now
        return self._repository

    def adopt(self, repository: Repository) -> Repository:
        """Work in a repository that the command has just made."""
        repository.clock = self.now
        self._repository = repository
        return repository

    def find_work_dir(self) -> Path:
        """Return where the repository of this folder is, without opening it: it may be damaged."""
        for path in (self.directory, *self.directory.parents):
            if (path / ".muse").is_dir():
                return path
        raise NotFound("not-a-repository", f'"{self.directory}" is not in a repository')

    @property
    def config_path(self) -> Path:
        """The file of the user's own settings."""
        from muse.store.settings import user_config_path

        return user_config_path(self.environment)

    @property
    def user_settings(self) -> UserSettings:
        from muse.store.settings import UserSettings

        return UserSettings(self.config_path)

    def setting(self, key: str) -> str | None:
        """Return a setting of the repository, else of the user; works outside of any repository."""
        try:
            return self.repository.settings.get(key)
        except NotFound as error:
            if error.code != "not-a-repository":
                raise
        return self.user_settings.load().get(key)

    @property
    def operation(self) -> str:
        """The command line, for the operation log."""
        text = " ".join(quote(word) for word in self._command_line)
        return text if len(text) <= MAX_OPERATION_CHARS else text[: MAX_OPERATION_CHARS - 1] + "…"

    def source(self, text: str) -> str:
        """Return an address as it is, and a path as seen from the folder of the command line."""
        if "://" in text or (":" in text.split("/", 1)[0] and not (self.directory / text).exists()):
            return text
        return str(self.directory / text)

    # ---- hub

    def hub(self, origin: Origin) -> HubClient:
        """Return a client with the user's token: MUSE_TOKEN, else what `muse auth login` kept."""
        from muse.remote.client import HubClient
        from muse.remote.credentials import CredentialFile, credentials_path

        token = self.environment.get("MUSE_TOKEN")
        self.token_is_given = bool(token)
        if not token:
            credential = CredentialFile(credentials_path(self.config_path)).find(origin)
            token = credential.token if credential is not None else None
        return HubClient(origin, token)

    @property
    def host_name(self) -> str:
        """The name of this machine, to tell logins apart."""
        return os.uname().nodename

    # ---- terminal

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Give a progress callable; what it drew is removed at the end."""
        from muse.cli.progress import make_progress
        from muse.store.progress import silent

        wanted = self.options.progress and not self.options.quiet
        line = make_progress(self.environment.get("TERM", "dumb")) if wanted else None
        if line is None:
            yield silent
            return
        try:
            yield line
        finally:
            line.close()

    # ---- who and when

    def moment(self, date: str | None = None) -> tuple[int, int]:
        """Return now, or the given date or MUSE_DATE, as seconds since 1970 and offset in minutes."""
        from muse.cli.dates import local_offset_min, parse_date

        now = self.now()
        text = date or self.environment.get("MUSE_DATE")
        return parse_date(text, now) if text else (int(now), local_offset_min(now))

    def person(self, role: str = "COMMITTER", date: str | None = None) -> Person:
        """Return who acts: MUSE_<role>_NAME and _EMAIL, else user.name and user.email.

        Raises `no-identity`.
        """
        from muse.objects.commit import Person

        name = self.environment.get(f"MUSE_{role}_NAME") or self.setting("user.name")
        email = self.environment.get(f"MUSE_{role}_EMAIL") or self.setting("user.email")
        if not name or not email:
            missing = [word for word, value in (("name", name), ("e-mail address", email)) if not value]
            commands = ['muse config set --global user.name "Your Name"'] if not name else []
            commands += ["muse config set --global user.email you@example.org"] if not email else []
            verb = "are" if len(missing) > 1 else "is"
            raise UsageError(
                "no-identity", f"your {' and '.join(missing)} {verb} not known", hint=" && ".join(commands)
            )
        return Person(name, email, *self.moment(date))

    def agent(self, option: str | None = None) -> Agent | None:
        """Return the agent that works here: `NAME[:MODEL[:TOOL]]` or MUSE_AGENT_NAME, _MODEL and _TOOL."""
        from muse.objects.commit import Agent

        if option:
            return Agent(*option.split(":", 2))
        name = self.environment.get("MUSE_AGENT_NAME")
        if not name:
            return None
        return Agent(
            name, self.environment.get("MUSE_AGENT_MODEL", ""), self.environment.get("MUSE_AGENT_TOOL", "")
        )


def quote(word: str) -> str:
    """Write a word of a command line so that a person can read and copy it."""
    plain = word and all(c.isalnum() or c in "@%+=:,./-_~^{}" for c in word)
    return word if plain else "'" + word.replace("'", "'\\''") + "'"
