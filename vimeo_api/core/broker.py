"""The queues at Celery's broker; `readiness` and `web.monitoring.gauges` read their lengths, `tasks` limits them.

What only one host can do waits in a queue of that host. `names` and `depths` count it as part of the queue for the same
purpose, because one worker serves both.
"""

from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

from vimeo_api.extensions import celery

MAX_QUEUED = 200  # messages per queue; the rows hold the rest, so queues do not grow while no worker runs


def names() -> list[str]:
    """Return the name of the queue for each purpose."""
    return sorted({queue.name.partition(".")[0] for queue in celery.conf.task_queues})


def create() -> None:
    """Create all queues: where the broker is a file of SQLite, two processes that first use one at once would fail."""
    depths()


def depths() -> dict[str, int]:
    """Return how many messages wait for each purpose, here or anywhere, without those that a worker has received.

    Raises what the broker's client raises when the broker does not answer.
    """
    waiting = dict.fromkeys(names(), 0)
    with celery.connection_or_acquire() as connection:
        connection.ensure_connection(max_retries=0)
        for queue in celery.conf.task_queues:
            waiting[queue.name.partition(".")[0]] += _waiting(connection, queue.name)
    return waiting


def queue(celery: Celery, task: str, host: str | None = None) -> str:
    """Return the name of a task's queue, or of the one for what only a certain host can do."""
    name: str = celery.conf.task_routes[task]["queue"]
    return name if host is None else f"{name}.{host}"


def room(celery: Celery, queue: str) -> int:
    """Return how many more messages fit in a queue. Raises OperationalError when the broker does not answer."""
    with celery.connection_or_acquire() as connection:
        try:
            connection.ensure_connection(max_retries=0)
            return max(0, MAX_QUEUED - _waiting(connection, queue))
        except (*connection.connection_errors, *connection.channel_errors) as error:
            raise OperationalError(str(error)) from error


def _waiting(connection: Any, queue: str) -> int:
    return int(connection.default_channel.queue_declare(queue).message_count)
