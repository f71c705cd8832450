"""What workers do. Each task takes ids and is safe to run twice.

Most tasks call one function of the core; `sweep` puts the work together.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from celery import Task, shared_task, signals
from kombu.exceptions import OperationalError

from vimeo_api import logs
from vimeo_api.core import broker, hosts
from vimeo_api.core.breaker import Breaker
from vimeo_api.core.database import counters
from vimeo_api.core.database.counters import Counted
from vimeo_api.core.errors import Unavailable
from vimeo_api.core.fetching import claims, job, recovery, turns
from vimeo_api.core.files import copies, digests, placing
from vimeo_api.core.maintenance import dead_bodies, reconciliation
from vimeo_api.core.maintenance.reconciliation import Finding
from vimeo_api.core.maintenance.sweep import (
    Due,
    due_anywhere,
    due_here,
    look,
    purge,
    read_logs,
    settle_leases,
)
from vimeo_api.core.monitoring import file_stats
from vimeo_api.core.receipts import job as receipts
from vimeo_api.core.receipts import outbox
from vimeo_api.core.resumable import expiry, joining
from vimeo_api.core.storage.mount_check import NOT_MOUNTED
from vimeo_api.extensions import mount_check, queue_of_host, settings

SWEEP_BATCH = 200  # files per message: a task costs Celery a millisecond, a file a tenth of that
NOTIFY_SECONDS = 20  # per task, for the same reason
DIGEST_SECONDS = 5  # per task: its worker also has more urgent tasks, and a stopping worker waits for it

_log = logging.getLogger(__name__)
_broker = Breaker(seconds=5)


def enqueue(task: Task, *args: object, host: str | None = None) -> bool:
    """Enqueue a task, for any host or for a certain one, if the broker takes it at once; return whether it did.

    Never raises for a broker that is down and never waits long for a frozen one: the row already says what is due,
    and the sweep finds it.
    """
    return room(task, host) > 0 and _published(task, *args, host=host)


def room(task: Task, host: str | None = None) -> int:
    """Return how many more messages of a task the broker takes: 0 while it is down or the queue is full."""
    if _broker.open:
        return 0
    try:
        return broker.room(task.app, broker.queue(task.app, task.name, host))
    except (OperationalError, OSError) as error:
        _without_broker(task, error)
        return 0


def _published(task: Task, *args: object, host: str | None = None) -> bool:
    """Enqueue a task, for any host or for a certain one; return whether the broker took it."""
    if _broker.open:  # tripped since `room`: a sweep publishes hundreds and would wait for each of them
        return False
    where = {} if host is None else {"queue": queue_of_host(broker.queue(task.app, task.name), host)}
    try:
        task.apply_async(args=args, headers={logs.HEADER: logs.request_id()}, **where)
    except (OperationalError, OSError) as error:
        _without_broker(task, error)
        return False
    return True


def _for_the_others(task: Task) -> None:
    """Have every other host do a task, unless it has not yet begun the last one."""
    for host in hosts.others():
        if room(task, host) == broker.MAX_QUEUED:
            _published(task, host=host)


def _without_broker(task: Task, error: Exception) -> None:
    _broker.trip()
    _log.warning("broker: %s not enqueued, the sweep will: %s", task.name, error)


@shared_task(name="vimeo_api.tasks.delete")  # type: ignore[untyped-decorator]
def delete(file_ids: list[int]) -> None:
    """Delete the bytes of files that are gone."""
    purge(file_ids)


@shared_task(name="vimeo_api.tasks.fetch")  # type: ignore[untyped-decorator]
def fetch(file_id: int) -> None:
    """Fetch a file from its URL, or resume the fetch."""
    for following in job.run(file_id):
        _published(fetch, following)


@shared_task(name="vimeo_api.tasks.place")  # type: ignore[untyped-decorator]
def place(*_: int) -> None:  # messages of older versions name a file
    """Copy a batch of pending files into the store."""
    placing.run_due()


@shared_task(name="vimeo_api.tasks.join")  # type: ignore[untyped-decorator]
def join(key: str) -> None:
    """Join partial uploads into one file."""
    joining.run(key)


@shared_task(name="vimeo_api.tasks.digest")  # type: ignore[untyped-decorator]
def digest() -> None:
    """Record missing digests, for DIGEST_SECONDS at most."""
    digests.record(seconds=DIGEST_SECONDS)


@shared_task(name="vimeo_api.tasks.notify")  # type: ignore[untyped-decorator]
def notify() -> None:
    """Send the receipts that are due, for NOTIFY_SECONDS at most."""
    receipts.run(seconds=NOTIFY_SECONDS)


@shared_task(name="vimeo_api.tasks.sweep")  # type: ignore[untyped-decorator]
def sweep() -> None:
    """Do what is due here and anywhere: leases, purges, placements, digests, and fetches without a worker.

    The other hosts are asked to do what is due there.
    """
    due = _look()
    if due.work:
        _sweep_all()
    if due.count:
        enqueue(count)
    counters.ran(Counted.SWEEP)
    _for_the_others(sweep_host)


def _sweep_all() -> None:
    due = _sweep_host()
    turns.forget()
    _sweep_receipts()
    for file_id in claims.revive(min(SWEEP_BATCH, room(fetch))):
        _published(fetch, file_id)
        due[Counted.FETCHES] += 1
    if mount_check.is_mounted():
        due[Counted.PURGES] += _delete(due_anywhere)
        if digests.due():
            enqueue(digest)
    counters.add(due)


@shared_task(name="vimeo_api.tasks.sweep_host")  # type: ignore[untyped-decorator]
def sweep_host() -> None:
    """Do what is due on this host: its journal and leases, its spool, its pending area."""
    if _look().work:
        counters.add(_sweep_host())


def _look() -> Due:
    """Take over what nginx and killed processes have left on this host; return whether there is anything to do."""
    read_logs()
    counters.add({Counted.RECONCILED: dead_bodies.remove()})
    recovery.settle()
    return look()


def _sweep_host() -> Counter[Counted]:
    due = Counter({Counted.LAPSED: settle_leases()})
    due[Counted.UPLOADS_EXPIRED] = expiry.sweep()
    here = settings.host_name
    for key in joining.due(min(SWEEP_BATCH, room(join, here))):
        _published(join, key, host=here)
    if not mount_check.is_mounted():
        _log.warning("not placing, removing or digesting files: %s", NOT_MOUNTED)
        return due
    due[Counted.PURGES] = _delete(due_here, here)
    _place(here)
    return due


def _place(host: str) -> None:
    """Enqueue a task for each batch of files to be placed, unless enough of them wait already."""
    if not (free := room(place, host)):
        return
    batches = -(-placing.waiting(free * copies.BATCH) // copies.BATCH)
    if batches > 1 and placing.failing():
        batches = 1  # to see whether the store works again
    for _ in range(batches - (broker.MAX_QUEUED - free)):
        _published(place, host=host)


def _delete(find: Callable[[int], Sequence[int]], host: str | None = None) -> int:
    """Enqueue the removal of bytes, on this host or on any; what does not fit into the broker stays due."""
    removed = 0
    while room(delete, host) and (batch := find(SWEEP_BATCH)):
        _published(delete, list(batch), host=host)
        removed += len(batch)
    return removed


def _sweep_receipts() -> None:
    outbox.forget()
    outbox.note()
    if outbox.is_due():
        enqueue(notify)


@shared_task(name="vimeo_api.tasks.count")  # type: ignore[untyped-decorator]
def count() -> None:
    """Count all files, if a count is due."""
    if file_stats.count():
        counters.ran(Counted.COUNT)


@shared_task(name="vimeo_api.tasks.resume")  # type: ignore[untyped-decorator]
def resume() -> None:
    """Sweep after a restart: the previous worker may have died with tasks in hand."""
    claims.revive_all()
    sweep()


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def _resume(**_: object) -> None:
    """Resume what the previous worker of this host may have left, even if the queue is full."""
    _published(resume, host=resume.app.conf.host_name)


@shared_task(name="vimeo_api.tasks.reconcile")  # type: ignore[untyped-decorator]
def reconcile() -> None:
    """Remove what crashes left behind here and in the store, and report what is missing or damaged; ask the others."""
    _for_the_others(reconcile_host)
    if not mount_check.is_mounted():
        _log.warning("not reconciling: %s", NOT_MOUNTED)
        return
    try:
        _repair(reconciliation.findings())
    except Unavailable as error:  # an object store
        _log.warning("not reconciling further: %s", error)
        return
    counters.ran(Counted.RECONCILE)


@shared_task(name="vimeo_api.tasks.reconcile_host")  # type: ignore[untyped-decorator]
def reconcile_host() -> None:
    """Remove what crashes left behind in the spool and the pending area of this host."""
    _repair(reconciliation.findings_here())


def _repair(found: Iterable[Finding]) -> None:
    repaired, remaining = reconciliation.repair(_logged(found))
    _log.info("reconciliation: %d findings repaired, %d remain", repaired, remaining)
    counters.add({Counted.RECONCILED: repaired})


def _logged(found: Iterable[Finding]) -> Iterator[Finding]:
    for finding in found:
        _log.log(logging.INFO if finding.repair else logging.ERROR, "%s: %s", finding.kind, finding.about)
        yield finding
