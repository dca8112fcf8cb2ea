"""The metrics of one hub process, fed by what other rooms report."""

from __future__ import annotations

import platform
import time

import muse
from musehub.db.engine import Database
from musehub.db.outbox import QueueState
from musehub.db.transaction import TransactionRecord
from musehub.fetch.service import FetchEvent
from musehub.jobs.attempt import JobRecord
from musehub.jobs.worker import Worker
from musehub.push.event import PushEvent
from musehub.storage.metering import MeteredStore, StoreCall
from musehub.telemetry.registry import Counter, Gauge, Histogram, Metric, render

BYTES = tuple(float(1 << power) for power in range(10, 36, 4))


class HubMetrics:
    """Every attribute is a metric; `docs/metrics.md` lists them with these texts."""

    def __init__(self) -> None:
        self.info = Gauge("musehub_build_info", "Version of the hub; always 1.", ("version", "python"))
        self.info.set(1, muse.__version__, platform.python_version())
        self.started = Gauge("musehub_start_time_seconds", "When this process started, since 1970.")
        self.started.set(time.time())
        self.requests = Counter(
            "musehub_http_requests_total",
            "Requests answered, by method and status class.",
            ("method", "status"),
        )
        self.request_seconds = Histogram(
            "musehub_http_request_seconds", "Time from a request to the end of its answer.", ("method",)
        )
        self.pushes = Counter("musehub_pushes_total", "Pushes that ended, by outcome.", ("outcome",))
        self.push_seconds = Histogram(
            "musehub_push_seconds", "Time of a push's stream, from request to receipt.", ("outcome",)
        )
        self.push_phase_seconds = Histogram(
            "musehub_push_phase_seconds", "Time that a push spent in each phase; they add up.", ("phase",)
        )
        self.push_upload_phase_seconds = Histogram(
            "musehub_push_upload_phase_seconds",
            "Time that verifying the packs of a push took by phase, while others were uploaded.",
            ("phase",),
        )
        self.push_objects = Counter("musehub_push_objects_total", "Objects of pushes that landed.", ("kind",))
        self.push_bytes = Counter("musehub_push_bytes_total", "Bytes received by pushes that landed.")
        self.push_size = Histogram("musehub_push_size_bytes", "Bytes of a push that landed.", (), BYTES)
        self.finalise_seconds = Histogram(
            "musehub_push_finalise_transaction_seconds", "The transaction that moves the branches of a push."
        )
        self.longest_transaction = Histogram(
            "musehub_push_longest_transaction_seconds", "The longest transaction of a push."
        )
        self.fetches = Counter("musehub_fetches_total", "Fetches that ended, by outcome.", ("outcome",))
        self.fetch_seconds = Histogram("musehub_fetch_seconds", "Time of a fetch, without its packs.")
        self.transactions = Counter(
            "musehub_database_transactions_total", "Transactions that ended, by outcome.", ("outcome",)
        )
        self.transaction_seconds = Histogram(
            "musehub_database_transaction_seconds", "Time that a transaction held its connection.", ("name",)
        )
        self.connection_wait = Histogram(
            "musehub_database_connection_wait_seconds", "Time that transactions waited for a connection."
        )
        self.connections = Gauge(
            "musehub_database_connections_held", "Database connections in use right now."
        )
        self.held_seconds = Counter(
            "musehub_database_connection_held_seconds_total", "Sum of the times that connections were held."
        )
        self.statements = Counter("musehub_database_statements_total", "SQL statements sent.")
        self.database_up = Gauge("musehub_database_up", "Whether the database answered this request.")
        self.store_calls = Counter(
            "musehub_store_calls_total",
            "Calls to the object store, by method and outcome.",
            ("method", "outcome"),
        )
        self.store_seconds = Histogram(
            "musehub_store_call_seconds", "Time of calls to the object store.", ("method",)
        )
        self.store_bytes = Counter("musehub_store_bytes_total", "Bytes that those calls moved.", ("method",))
        self.jobs = Counter("musehub_jobs_total", "Jobs run in this process.", ("kind", "outcome"))
        self.job_seconds = Histogram("musehub_job_seconds", "Time of one run of a job.", ("kind",))
        self.queue_depth = Gauge("musehub_job_queue_depth", "Jobs that wait or run, of all processes.")
        self.queue_dead = Gauge("musehub_job_queue_dead", "Jobs given up that wait for an administrator.")
        self.queue_age = Gauge(
            "musehub_job_queue_oldest_seconds", "Age of the oldest job not done; 0 if none."
        )
        self.login_failures = Counter("musehub_login_failures_total", "Logins with wrong credentials.")

    @property
    def all(self) -> list[Metric]:
        return [value for value in vars(self).values() if isinstance(value, Metric)]

    def render(self) -> str:
        return render(self.all)

    # ---- what other rooms report

    def watch(self, database: Database, store: MeteredStore, worker: Worker) -> None:
        """Count what every process of a hub has, whether it serves or only works."""
        self.connections.read = lambda: database.checked_out
        database.observers.append(self.on_transaction)
        store.observers.append(self.on_store_call)
        worker.observers.append(self.on_job)

    def on_transaction(self, record: TransactionRecord) -> None:
        self.transactions.add(1, "committed" if record.committed else "rolled_back")
        self.transaction_seconds.observe(record.held_s, record.name)
        self.connection_wait.observe(record.waited_s)
        self.held_seconds.add(record.held_s)
        self.statements.add(record.statements)

    def on_store_call(self, call: StoreCall) -> None:
        self.store_calls.add(1, call.method, "failed" if call.failed else "ok")
        self.store_seconds.observe(call.seconds, call.method)
        self.store_bytes.add(call.size_bytes, call.method)

    def on_push(self, event: PushEvent) -> None:
        self.pushes.add(1, event.outcome)
        timeline = event.timeline
        self.push_seconds.observe(float(timeline.get("total_s", 0.0)), event.outcome)
        for phase in timeline.get("phases", ()):
            self.push_phase_seconds.observe(float(phase["s"]), phase["name"])
        if event.outcome != "landed":
            return
        for phase in (timeline.get("uploads") or {}).get("phases", ()):
            self.push_upload_phase_seconds.observe(float(phase["s"]), phase["name"])
        for kind in ("commits", "trees", "blobs"):
            self.push_objects.add(int(event.counts.get(kind, 0)), kind)
        received = int(event.counts.get("received_bytes", 0))
        self.push_bytes.add(received)
        self.push_size.observe(received)
        if timeline.get("finalise_transaction_s") is not None:
            self.finalise_seconds.observe(float(timeline["finalise_transaction_s"]))
        self.longest_transaction.observe(float(timeline.get("longest_transaction_s", 0.0)))

    def on_fetch(self, event: FetchEvent) -> None:
        self.fetches.add(1, event.outcome)
        self.fetch_seconds.observe(event.seconds)

    def on_job(self, record: JobRecord) -> None:
        self.jobs.add(record.jobs, record.kind, record.outcome)
        self.job_seconds.observe(record.seconds, record.kind)

    def on_login_failure(self) -> None:
        self.login_failures.add(1)

    def on_request(self, method: str, status: int, seconds: float) -> None:
        self.requests.add(1, method, f"{status // 100}xx" if status else "none")
        self.request_seconds.observe(seconds, method)

    def on_queue(self, state: QueueState | None, age_s: float) -> None:
        """What the queue was like just now; None when the database did not answer."""
        self.database_up.set(0 if state is None else 1)
        for gauge in (self.queue_depth, self.queue_dead, self.queue_age):
            gauge.forget()
        if state is not None:
            self.queue_depth.set(state.open)
            self.queue_dead.set(state.dead)
            self.queue_age.set(age_s)


def metrics_table() -> str:
    """The table of docs/metrics.md."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for metric in HubMetrics().all:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.type} | {labels} | {metric.meaning} |")
    return "\n".join(lines) + "\n"
