"""The queues at Celery's broker; `readiness` and `web.monitoring.gauges` read their lengths, `tasks` limits them."""

from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

from vimeo_api.extensions import celery

MAX_QUEUED = 200  # messages per queue; the rows hold the rest, so queues do not grow while no worker runs


def depths() -> dict[str, int]:
    """Return how many messages wait in each queue, without those that a worker has received.

    Raises what the broker's client raises when the broker does not answer.
    """
    with celery.connection_or_acquire() as connection:
        connection.ensure_connection(max_retries=0)
        return {queue.name: _waiting(connection, queue.name) for queue in celery.conf.task_queues}


def room(celery: Celery, task: str) -> int:
    """Return how many more messages fit in a task's queue. Raises OperationalError when the broker does not answer."""
    with celery.connection_or_acquire() as connection:
        try:
            connection.ensure_connection(max_retries=0)
            return max(0, MAX_QUEUED - _waiting(connection, celery.conf.task_routes[task]["queue"]))
        except (*connection.connection_errors, *connection.channel_errors) as error:
            raise OperationalError(str(error)) from error


def _waiting(connection: Any, queue: str) -> int:
    return int(connection.default_channel.queue_declare(queue).message_count)
