"""Everything about a hub that its operator may decide, in one frozen object.

A value comes from, first one wins: a flag of the command line, the environment (`MUSEHUB_` and the
field's name in capitals), a TOML file (`--config`, `MUSEHUB_CONFIG`, or `musehub.toml` in the data
folder), the default below. Nothing else in the hub reads the environment.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta

from muse.errors import UsageError

PREFIX = "MUSEHUB_"
KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
SECRETS = ("store_access_key", "store_secret_key")
_USUAL_NAMES = {"store_access_key": "AWS_ACCESS_KEY_ID", "store_secret_key": "AWS_SECRET_ACCESS_KEY"}
"""Variables that other programs read as well; they count where this hub's own are not set."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hub's settings; each field's description is its documentation in docs/settings.md."""

    # where things are
    data_dir: Annotated[Path, Meta(description="folder of the embedded database and store")]
    host: Annotated[str, Meta(min_length=1, description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="port to listen on; 0 picks a free one")] = 1337
    public_url: Annotated[
        str,
        Meta(
            description="address under which clients reach this hub, without a trailing slash; "
            "empty: http://HOST:PORT"
        ),
    ] = ""
    database_url: Annotated[
        str,
        Meta(
            description="`sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST:PORT/NAME`; "
            "empty: `musehub.sqlite` in the data folder"
        ),
    ] = ""
    store_url: Annotated[
        str,
        Meta(
            description="where packs are kept: `file:///PATH` or "
            "`s3://BUCKET/PREFIX?endpoint=URL&region=NAME`, with `&public_endpoint=URL` "
            "if clients reach the store by another name; "
            "empty: the folder `store` in the data folder"
        ),
    ] = ""
    store_access_key: Annotated[
        str, Meta(description="key of an S3 store; empty: `AWS_ACCESS_KEY_ID` of the environment")
    ] = ""
    store_secret_key: Annotated[
        str, Meta(description="its secret; empty: `AWS_SECRET_ACCESS_KEY` of the environment")
    ] = ""
    store_put_max_bytes: Annotated[
        int,
        Meta(
            ge=5 * MIB,
            description="larger packs are uploaded in parts of so many bytes; "
            "S3 takes parts of 5 MiB to 5 GiB",
        ),
    ] = GIB
    store_idle_timeout_s: Annotated[
        int,
        Meta(ge=1, description="a transfer to or from an S3 store is given up after so much silence"),
    ] = 60
    store_retry_timeout_s: Annotated[
        int, Meta(ge=1, description="how long a request that an S3 store fails is tried again")
    ] = 30

    # the database
    database_pool_size: Annotated[int, Meta(ge=1, description="connections held open at most")] = 10
    database_acquire_timeout_s: Annotated[
        float, Meta(gt=0, description="wait for a free connection before the answer is `busy`")
    ] = 10.0
    statement_timeout_s: Annotated[float, Meta(gt=0, description="longest single statement (PostgreSQL)")] = (
        60.0
    )
    idle_transaction_timeout_s: Annotated[
        float, Meta(gt=0, description="a transaction in which nothing happens is ended (PostgreSQL)")
    ] = 60.0
    keepalive_s: Annotated[
        int, Meta(ge=1, description="idle time before TCP keep-alive probes on database connections")
    ] = 30
    busy_timeout_s: Annotated[
        float, Meta(gt=0, description="wait for another writer of the embedded database (SQLite)")
    ] = 30.0

    # push and fetch
    heartbeat_s: Annotated[
        float, Meta(gt=0, description="longest silence between progress frames while work goes on")
    ] = 10.0
    stream_max_objects: Annotated[
        int, Meta(ge=0, description="from this many objects on a client uploads packs to the store")
    ] = 500
    stream_max_size_bytes: Annotated[
        int, Meta(ge=0, description="from this many bytes on a client uploads packs to the store")
    ] = 50_000_000
    frame_max_bytes: Annotated[int, Meta(ge=64 * KIB, description="largest frame of the wire protocol")] = (
        18 * MIB
    )
    header_max_bytes: Annotated[
        int,
        Meta(ge=64 * KIB, description="largest frame that says what a push changes; 10,000 refs take 3 MiB"),
    ] = 4 * MIB
    body_buffers_max_bytes: Annotated[
        int,
        Meta(
            ge=1 * MIB,
            description="what pushes and fetches that are still arriving may hold in memory together; beyond "
            "it the answer is `busy`, for requests without a login at half of it",
        ),
    ] = 64 * MIB
    pack_max_bytes: Annotated[
        int,
        Meta(ge=64 * KIB, le=1024 * MIB, description="largest pack; the hub maps a whole one into memory"),
    ] = 64 * MIB
    object_max_bytes: Annotated[
        int, Meta(ge=64 * KIB, le=16 * MIB, description="largest single object, inflated")
    ] = 16 * MIB
    push_idle_timeout_s: Annotated[
        float, Meta(gt=0, description="a push from which nothing arrives for so long is given up")
    ] = 60.0
    presign_ttl_s: Annotated[
        int, Meta(ge=1, description="how long an upload or download address is valid")
    ] = 900

    # room and upkeep
    quota_repository_bytes: Annotated[
        int, Meta(ge=0, description="bytes that a repository may hold unless told otherwise; 0: any number")
    ] = 0
    quota_repository_objects: Annotated[
        int, Meta(ge=0, description="objects that a repository may hold unless told otherwise; 0: any number")
    ] = 0
    quota_user_bytes: Annotated[
        int, Meta(ge=0, description="bytes that all repositories of a user may hold; 0: any number")
    ] = 0
    quota_user_objects: Annotated[
        int, Meta(ge=0, description="objects that all repositories of a user may hold; 0: any number")
    ] = 0
    gc_grace_hours: Annotated[
        float,
        Meta(ge=0, description="what was recorded or uploaded since is not collected: longer than any push"),
    ] = 24.0
    gc_every_hours: Annotated[
        float,
        Meta(ge=0, le=8760, description="a worker runs `musehub gc` so often; 0: only when it is asked for"),
    ] = 24.0
    push_keep_days: Annotated[
        int, Meta(ge=1, description="receipts and timelines of pushes are forgotten after so many days")
    ] = 365

    # requests
    request_max_bytes: Annotated[
        int, Meta(ge=KIB, description="largest body of a request that is neither push nor upload")
    ] = 1 * MIB
    web_text_max_bytes: Annotated[
        int, Meta(ge=0, description="largest file that pages show or compare as text")
    ] = 1 * MIB
    web_diff_max_lines: Annotated[
        int, Meta(ge=0, description="most lines of differences on the page of a commit")
    ] = 5_000
    web_max_directories: Annotated[
        int, Meta(ge=1, description="most directories that a page looks into for what a commit changed")
    ] = 20_000
    shutdown_grace_s: Annotated[
        float, Meta(ge=0, description="time that running requests get when the hub is asked to stop")
    ] = 10.0
    trusted_proxies: Annotated[
        str,
        Meta(description="comma-separated addresses of proxies whose `X-Forwarded-For` is believed"),
    ] = ""

    # jobs
    workers: Annotated[
        int,
        Meta(
            ge=0,
            le=64,
            description="jobs that `musehub serve` runs at a time; 0 leaves them to `musehub worker`",
        ),
    ] = 1
    job_poll_s: Annotated[
        float, Meta(gt=0, description="a worker looks so often for jobs that other processes made")
    ] = 2.0
    job_lease_s: Annotated[
        float, Meta(gt=0, description="a job whose worker died is taken over after this time")
    ] = 60.0
    job_timeout_s: Annotated[float, Meta(gt=0, description="longest run of one job")] = 1800.0
    job_quiet_s: Annotated[
        float,
        Meta(ge=0, description="analyses begin once nobody has pushed or fetched for so long; 0: at once"),
    ] = 1.0
    job_quiet_wait_s: Annotated[
        float, Meta(ge=0, description="on a hub that is never quiet they wait no longer than this")
    ] = 60.0
    job_max_attempts: Annotated[
        int, Meta(ge=1, description="runs of a failing job before it is put on the list of dead ones")
    ] = 8
    job_max_directories: Annotated[
        int, Meta(ge=1, description="a tree of more directories is too large to be analysed")
    ] = 200_000
    job_keep_days: Annotated[
        int, Meta(ge=1, description="how long jobs done and deliveries made are remembered")
    ] = 7
    webhook_timeout_s: Annotated[
        float, Meta(gt=0, description="time for one delivery, from looking up the name to the answer")
    ] = 10.0
    webhook_allowed_networks: Annotated[
        str,
        Meta(
            description="comma-separated networks, such as `10.1.0.0/16`, that webhooks may reach although "
            "they are private"
        ),
    ] = ""

    # watching
    log_format: Annotated[
        Literal["text", "json"], Meta(description="`text` for people or `json`, one object per line")
    ] = "text"
    metrics_token: Annotated[
        str,
        Meta(description="bearer token for `/metrics`; empty: only from the machine itself, without a proxy"),
    ] = ""

    # accounts
    token_ttl_days: Annotated[int, Meta(ge=1, description="how long a token lasts unless told otherwise")] = (
        90
    )
    login_token_ttl_days: Annotated[int, Meta(ge=1, description="how long a token from a login lasts")] = 90
    challenge_ttl_s: Annotated[int, Meta(ge=1, description="time to answer a key login's challenge")] = 60
    login_window_s: Annotated[int, Meta(ge=1, description="span over which failed logins are counted")] = 900
    login_max_failures_per_user: Annotated[
        int,
        Meta(
            ge=1, description="failed logins for one name from one address in that span before it must wait"
        ),
    ] = 10
    login_max_failures_per_user_anywhere: Annotated[
        int,
        Meta(
            ge=1,
            description="failed logins for one name from all addresses before it must wait; much more than "
            "from one address, or a stranger could lock its owner out",
        ),
    ] = 100
    login_max_failures_per_address: Annotated[
        int, Meta(ge=1, description="failed logins from one address in that span before it must wait")
    ] = 50
    password_min_length: Annotated[int, Meta(ge=1, description="fewest characters of a password")] = 10

    def __repr__(self) -> str:
        """Everything but secrets: settings end up in logs."""
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        shown |= {name: "***" for name in SECRETS if shown[name]}
        shown["database_url"] = without_password(self.database_url)
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def embedded_database(self) -> bool:
        """Whether the database is a file of this hub, which it may create and migrate by itself."""
        return self.database_url.startswith("sqlite")


def without_password(url: str) -> str:
    """A database address that may be shown."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """`$XDG_DATA_HOME/musehub`, or `~/.local/share/musehub`."""
    base = environ.get("XDG_DATA_HOME") or ""
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "share") / "musehub"


def load_settings(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    config_file: Path | None = None,
) -> Settings:
    """Put the settings together; `flags` whose value is None count as not given.

    Raises `UsageError("bad-setting")` naming the setting, where it came from and what is allowed.
    """
    environ = os.environ if environ is None else environ
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    known = set(Settings.__struct_fields__)
    from_environ: dict[str, Any] = {
        name: environ[variable] for name, variable in _USUAL_NAMES.items() if environ.get(variable)
    }
    for variable, value in environ.items():
        if variable.startswith(PREFIX) and variable != PREFIX + "CONFIG":
            from_environ[variable.removeprefix(PREFIX).lower()] = value
    _refuse_unknown(from_environ, known, lambda name: f"environment variable {PREFIX}{name.upper()}")
    _refuse_unknown(given, known, lambda name: f"flag {name}")

    data_dir = Path(given.get("data_dir") or from_environ.get("data_dir") or default_data_dir(environ))
    from_file: dict[str, Any] = {}
    if config_file is None and environ.get(PREFIX + "CONFIG"):
        config_file = Path(environ[PREFIX + "CONFIG"])
    implicit = data_dir / "musehub.toml"
    if config_file is not None or implicit.is_file():
        from_file = _read_toml(config_file or implicit)
        _refuse_unknown(from_file, known, lambda name: f"{config_file or implicit}: {name}")
    if "data_dir" not in given and "data_dir" not in from_environ and "data_dir" in from_file:
        data_dir = Path(str(from_file["data_dir"]))

    merged: dict[str, Any] = {**from_file, **from_environ, **given}
    merged["data_dir"] = str(data_dir.expanduser().absolute())
    for name in merged:
        _check_one(name, merged[name])
    settings = msgspec.convert(merged, Settings, strict=False, dec_hook=_convert_path)
    return _fill_in(settings)


def settings_reference() -> str:
    """docs/settings.md: one row per setting, made from the struct."""
    lines = [
        "# Settings of the hub",
        "",
        "Made from `src/musehub/settings.py`. A flag of `musehub serve` wins over the environment, the",
        "environment over the TOML file (`--config`, `MUSEHUB_CONFIG` or `musehub.toml` in the data folder),",
        "the file over the default. In the file a setting has the name of its first column.",
        "",
        "| setting | environment | type | default | meaning |",
        "|---|---|---|---|---|",
    ]
    for field in msgspec.structs.fields(Settings):
        kind, meta = get_args(_hints()[field.name])
        if field.default is msgspec.NODEFAULT:
            default = "`$XDG_DATA_HOME/musehub`, or `~/.local/share/musehub`"
        else:
            default = f"`{field.default}`" if field.default != "" else ""
        type_name = "path" if kind is Path else getattr(kind, "__name__", "str")
        variable = f"{PREFIX}{field.name.upper()}"
        lines.append(f"| `{field.name}` | `{variable}` | {type_name} | {default} | {meta.description} |")
    return "\n".join(lines) + "\n"


def _hints() -> dict[str, Any]:
    return get_type_hints(Settings, include_extras=True)


def _refuse_unknown(values: Mapping[str, Any], known: set[str], place: Any) -> None:
    for name in values:
        if name not in known:
            raise UsageError(
                "bad-setting",
                f'there is no setting "{name}" ({place(name)})',
                hint=_nearest(name, known),
            )


def _nearest(name: str, known: set[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f'did you mean "{close[0]}"?' if close else "docs/settings.md lists all settings"


def _check_one(name: str, value: Any) -> None:
    kind = _hints()[name]
    try:
        msgspec.convert(value, kind, strict=False, dec_hook=_convert_path)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise UsageError(
            "bad-setting",
            f'setting "{name}" cannot be {"what it is" if name in SECRETS else repr(value)}',
            hint=str(error).lower(),
        ) from None


def _convert_path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, (str, Path)):
        return Path(value)
    raise TypeError(f"expected {kind.__name__}")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError("bad-setting", f'cannot read the settings file "{path}": {error.strerror}') from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError("bad-setting", f'"{path}" is not valid TOML: {error}') from None


def _fill_in(settings: Settings) -> Settings:
    url = settings.database_url or f"sqlite:///{settings.data_dir / 'musehub.sqlite'}"
    if not url.startswith(("sqlite:", "postgresql:", "postgres:")):
        raise UsageError(
            "bad-setting",
            f'setting "database_url" names a database that is not supported: "{url.split(":")[0]}"',
            hint="use sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME",
        )
    public_url = settings.public_url.rstrip("/")
    if public_url and not public_url.startswith(("http://", "https://")):
        raise UsageError(
            "bad-setting",
            f'setting "public_url" must begin with http:// or https://, not "{public_url}"',
        )
    return msgspec.structs.replace(
        settings,
        database_url=url,
        store_url=settings.store_url or (settings.data_dir / "store").as_uri(),
        public_url=public_url,
    )
