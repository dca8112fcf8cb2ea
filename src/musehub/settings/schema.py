"""Every setting with its type, bounds, default and meaning."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
SECRETS = ("store_access_key", "store_secret_key")


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


def setting_types() -> dict[str, Any]:
    """The annotated type of each setting."""
    return get_type_hints(Settings, include_extras=True)
