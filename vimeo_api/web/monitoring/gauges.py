"""Metrics that are read when Prometheus scrapes: from the database, the broker, the disk and nginx.

A source that does not answer in time is left out, and `vimeo_api_figures_up` says so. Metrics from the database are
the same whichever process is scraped, and include what the workers do. `metrics` registers the collector.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vimeo_api.core import broker
from vimeo_api.core.database import counters
from vimeo_api.core.database.counters import Counted
from vimeo_api.core.database.models import Status
from vimeo_api.core.deliveries import journal
from vimeo_api.core.monitoring import file_stats, probes, readiness
from vimeo_api.core.monitoring.file_stats import FileStats, Group
from vimeo_api.core.monitoring.probes import Probe
from vimeo_api.core.monitoring.readiness import Check
from vimeo_api.extensions import blobs, settings
from vimeo_api.version import VERSION
from vimeo_api.web.monitoring import nginx_status
from vimeo_api.web.monitoring.nginx_status import NginxStatus

Labels = tuple[str, ...]
Samples = Iterable[tuple[Sequence[str], float]]  # labels and value
Counters = Mapping[str, tuple[int, datetime]]


def _lag() -> int | None:
    return journal.lag(settings.journal) if settings.journal else None


def _disk_space() -> dict[str, tuple[int, int]]:
    return {"spool": readiness.room(settings.spool_dir), "store": readiness.room(settings.store_dir)}


# At most two seconds, after two for the dependencies; Prometheus waits for ten by default.
_PROBES: Mapping[str, Probe[Any]] = {
    "files": Probe(file_stats.read, seconds=2),
    "journal": Probe(_lag, seconds=2),
    "nginx": Probe(nginx_status.ask, seconds=1),
    "queues": Probe(broker.depths, seconds=1),
    "rooms": Probe(_disk_space, seconds=1),
    "counters": Probe(counters.read, seconds=2),
}


class Figures(Collector):
    """The collector that prometheus_client calls at each scrape."""

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of every source that answers."""
        yield _gauge("info", "The version of the service.", ["version"], [((VERSION,), 1)])
        yield from _dependencies(readiness.checks())
        found = probes.ask(_PROBES)
        up = {(name,): float(finding.ok) for name, finding in found.items()}
        yield _gauge("figures_up", "Whether a source of metrics answered in time.", ["figures"], up.items())
        for name, metrics in _METRICS_BY_SOURCE.items():
            if found[name].value is not None:
                yield from metrics(found[name].value)


def _dependencies(checks: list[Check]) -> Iterator[Metric]:
    up = {(check.name, str(check.needed).lower()): float(check.finding.ok) for check in checks}
    took = {(check.name,): check.finding.seconds for check in checks}
    yield _gauge("dependency_up", "Whether a dependency answers in time.", ["dependency", "needed"], up.items())
    yield _gauge("dependency_seconds", "Seconds that a dependency took to answer.", ["dependency"], took.items())


def _files(stats: FileStats) -> Iterator[Metric]:
    files, stored, fetches = (Counter[Labels]() for _ in range(3))
    for group in stats.groups:
        files[group.surface, group.status] += group.files
        stored[(group.surface,)] += group.stored
        if group.fetched:
            fetches[_state(group), group.failure or ""] += group.files
    leases = {(surface,): number for surface, number in stats.leases.items()}
    waiting = {(work,): seconds for work, seconds in stats.waiting.items()}
    yield _gauge(
        "files",
        "Files by state, including those that are gone, when last counted.",
        ["surface", "status"],
        files.items(),
    )
    yield _gauge(
        "stored_bytes", "Bytes of all files that are not purged, when last counted.", ["surface"], stored.items()
    )
    tokens = stats.tokens
    quotas = [((token.name,), float(token.quota)) for token in tokens if token.quota is not None]
    yield _gauge(
        "token_files",
        "Files that an API token has stored, when last counted.",
        ["token"],
        [((token.name,), token.files) for token in tokens],
    )
    yield _gauge(
        "token_used_bytes",
        "Bytes that count for the quota of an API token, when last counted.",
        ["token"],
        [((token.name,), token.charged) for token in tokens],
    )
    yield _gauge("token_quota_bytes", "Bytes that may be stored with an API token that has a quota.", ["token"], quotas)
    yield _gauge("leases", "Running downloads of one-time files, and taken streams.", ["surface"], leases.items())
    opened = {(surface,): count for surface, (count, _) in stats.uploads.items()}
    arrived = {(surface,): size for surface, (_, size) in stats.uploads.items()}
    yield _gauge("resumable_uploads_open", "Unfinished resumable uploads.", ["surface"], opened.items())
    yield _gauge("resumable_open_bytes", "Bytes of unfinished resumable uploads so far.", ["surface"], arrived.items())
    unplaced, size = stats.unplaced
    yield _gauge("unplaced_files", "Files that wait in the spool to be placed in the store.", [], [((), unplaced)])
    yield _gauge("unplaced_bytes", "Bytes of files that wait in the spool to be placed.", [], [((), size)])
    yield _gauge("receipts_waiting", "Receipts that wait for their next try.", [], [((), stats.receipts)])
    seen = {(name,): seconds for name, seconds in stats.hosts.items()}
    yield _gauge("host_silent_seconds", "Seconds since the last sweep of a host.", ["host"], seen.items())
    yield _gauge("fetches", "URL uploads by state, when last counted.", ["state", "failure"], fetches.items())
    yield _gauge(
        "oldest_waiting_seconds", "Seconds that the oldest row has waited, by kind of work.", ["work"], waiting.items()
    )


def _state(group: Group) -> str:
    if group.status == Status.FETCHING:
        return "running" if group.claimed else "waiting"
    return group.status


def _counters(counted: Counters) -> Iterator[Metric]:
    def counts(names: Mapping[Counted, str]) -> Samples:
        return [((word,), counted[name][0] if name in counted else 0) for name, word in names.items()]

    runs = {
        (task,): counted[task][1].timestamp()
        for task in (Counted.SWEEP, Counted.COUNT, Counted.RECONCILE)
        if task in counted
    }
    removed = counted[Counted.RECONCILED][0] if Counted.RECONCILED in counted else 0
    yield _counter("deliveries", "How leases ended.", ["outcome"], counts(_OUTCOMES))
    yield _counter("resumable_uploads", "Resumable uploads, by event.", ["event"], counts(_UPLOADS))
    kept = counted[Counted.ADOPTED_BYTES][0] if Counted.ADOPTED_BYTES in counted else 0
    yield _counter("resumable_kept_bytes", "Bytes kept of requests that broke off.", [], [((), kept)])
    yield _counter("receipts", "Receipts, by how they ended.", ["outcome"], counts(_RECEIPTS))
    failed = counted[Counted.RECEIPT_TRIES_FAILED][0] if Counted.RECEIPT_TRIES_FAILED in counted else 0
    yield _counter("receipt_tries_failed", "Tries to send a receipt that failed.", [], [((), failed)])
    for name, (metric, text) in _PLACED.items():
        placed = counted[name][0] if name in counted else 0
        yield _counter(metric, text, ["store"], [((blobs.target.name,), placed)])
    yield _counter("sweep_found", "Rows that sweeps found due, by kind of work.", ["work"], counts(_WORKS))
    yield _counter("reconciled_files", "Files that belonged to nothing and were removed.", [], [((), removed)])
    yield _gauge("last_run_timestamp_seconds", "When a periodic task last ran.", ["task"], runs.items())


_OUTCOMES = {
    Counted.CONFIRMED: "confirmed",
    Counted.GIVEN_BACK: "given_back",
    Counted.LAPSED: "lapsed",
    Counted.DOUBTED: "in_doubt",
}
_UPLOADS = {
    Counted.UPLOADS_STARTED: "started",
    Counted.UPLOADS_INTERRUPTED: "interrupted",
    Counted.UPLOADS_FINISHED: "finished",
    Counted.UPLOADS_EXPIRED: "expired",
}
_RECEIPTS = {
    Counted.RECEIPTS_DELIVERED: "delivered",
    Counted.RECEIPTS_UNWANTED: "unwanted",
    Counted.RECEIPTS_FAILED: "failed",
}
_PLACED = {
    Counted.PLACED: ("placed_files", "Files that were copied from the spool into the store."),
    Counted.PLACED_BYTES: ("placed_bytes", "Bytes of these files."),
    Counted.PLACE_FAILURES: ("place_failures", "Copies that the store did not take; they are made again."),
}
_WORKS = {Counted.PURGES: "purge", Counted.FETCHES: "fetch", Counted.PLACEMENTS: "place"}


def _journal(lag: int) -> Iterator[Metric]:
    yield _gauge("journal_lag_bytes", "Bytes of nginx's journal that are not processed yet.", [], [((), lag)])


def _queues(depths: Mapping[str, int]) -> Iterator[Metric]:
    waiting = {(queue,): depth for queue, depth in depths.items()}
    yield _gauge("queue_messages", "Messages that no worker has taken yet.", ["queue"], waiting.items())


def _rooms(rooms: Mapping[str, tuple[int, int]]) -> Iterator[Metric]:
    free = {(place,): room[0] for place, room in rooms.items()}
    whole = {(place,): room[1] for place, room in rooms.items()}
    yield _gauge("free_bytes", "Free bytes on the filesystem of the spool or the store.", ["place"], free.items())
    yield _gauge(
        "capacity_bytes", "Size in bytes of the filesystem of the spool or the store.", ["place"], whole.items()
    )


def _nginx(status: NginxStatus) -> Iterator[Metric]:
    connections = {(state,): getattr(status, state) for state in ("active", "reading", "writing", "waiting")}
    requests = "Requests to nginx, including those to its second server and this scrape."
    yield _gauge("nginx_connections", "Connections to nginx, its own included.", ["state"], connections.items())
    yield _counter("nginx_requests", requests, [], [((), status.requests)])
    yield _counter("nginx_connections_accepted", "Connections that nginx has accepted.", [], [((), status.accepted)])
    yield _counter(
        "nginx_connections_handled", "Connections that nginx had the resources to handle.", [], [((), status.handled)]
    )


_METRICS_BY_SOURCE: Mapping[str, Callable[[Any], Iterator[Metric]]] = {
    "files": _files,
    "journal": _journal,
    "nginx": _nginx,
    "queues": _queues,
    "rooms": _rooms,
    "counters": _counters,
}


def _gauge(name: str, text: str, labels: Sequence[str], samples: Samples) -> Metric:
    return _filled(GaugeMetricFamily(f"vimeo_api_{name}", text, labels=labels), samples)


def _counter(name: str, text: str, labels: Sequence[str], samples: Samples) -> Metric:
    return _filled(CounterMetricFamily(f"vimeo_api_{name}", text, labels=labels), samples)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, samples: Samples) -> Metric:
    for labels, value in samples:
        family.add_metric(labels, value)
    return family
