"""What workers do. Each task takes ids, is safe to run twice and calls one function of the core."""

import logging
from collections import Counter

from celery import Task, shared_task
from kombu.exceptions import OperationalError

from vimeo_api import logs
from vimeo_api.core import fetching, lifecycle, placing, reconciliation, tallies, upkeep
from vimeo_api.core.breaker import Breaker
from vimeo_api.core.tallies import Counted

BATCH = 200  # files per message: a task costs a millisecond of Celery, a file a tenth of that

_log = logging.getLogger(__name__)
_broker = Breaker(seconds=5)


def enqueue(task: Task, *args: object) -> bool:
    """Hand work to a worker if the broker takes it at once; return whether it did.

    Never raises for a broker that is gone and never waits long for one that is frozen: the row states the
    intent already, and the sweep finds it.
    """
    if _broker.open:
        return False
    try:
        task.apply_async(args=args, headers={logs.HEADER: logs.request_id()})
    except (OperationalError, OSError) as error:
        _broker.trip()
        _log.warning("broker: %s not enqueued, the sweep will: %s", task.name, error)
        return False
    return True


@shared_task(name="vimeo_api.tasks.delete")  # type: ignore[untyped-decorator]
def delete(file_ids: list[int]) -> None:
    """Remove the bytes of files that are gone."""
    upkeep.purge(file_ids)


@shared_task(name="vimeo_api.tasks.fetch")  # type: ignore[untyped-decorator]
def fetch(file_id: int) -> None:
    """Fetch a file from its URL, or go on with it."""
    fetching.run(file_id)


@shared_task(name="vimeo_api.tasks.place")  # type: ignore[untyped-decorator]
def place(file_id: int) -> None:
    """Bring a file that has landed into the store."""
    placing.run(file_id)


@shared_task(name="vimeo_api.tasks.sweep")  # type: ignore[untyped-decorator]
def sweep() -> None:
    """Settle the leases, and enqueue what is due: purges, placements, and the fetches that nobody works on."""
    due = Counter({Counted.LAPSED: upkeep.settle_leases()})
    while batch := lifecycle.claim_purges(BATCH):
        enqueue(delete, list(batch))
        due[Counted.PURGES] += len(batch)
    for file_id in fetching.revive(BATCH):
        enqueue(fetch, file_id)
        due[Counted.FETCHES] += 1
    for file_id in placing.due(BATCH):
        enqueue(place, file_id)
        due[Counted.PLACEMENTS] += 1
    tallies.add(due)
    tallies.ran(Counted.SWEEP)


@shared_task(name="vimeo_api.tasks.reconcile")  # type: ignore[untyped-decorator]
def reconcile() -> None:
    """Remove what crashes have left behind."""
    removed = reconciliation.reconcile()
    _log.info("reconciliation: %d files removed that belonged to nobody", removed)
    tallies.add({Counted.RECONCILED: removed})
    tallies.ran(Counted.RECONCILE)
