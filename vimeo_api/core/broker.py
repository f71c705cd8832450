"""What waits at Celery's broker; `readiness` and `web.metrics` look, `tasks` and beat keep it short."""

from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

from vimeo_api.extensions import celery

MOST = 200  # messages in a queue, which a sweep fills up: rows remember the rest, so nothing grows here without workers


def depths() -> dict[str, int]:
    """Return how many messages wait in each queue; those that a worker has taken are no longer there.

    Raises what the broker's client raises when it does not answer.
    """
    with celery.connection_or_acquire() as connection:
        connection.ensure_connection(max_retries=0)
        return {queue.name: _waiting(connection, queue.name) for queue in celery.conf.task_queues}


def room(celery: Celery, task: str) -> int:
    """Return how many more calls of a task its queue takes. Raises OperationalError when the broker does not answer."""
    with celery.connection_or_acquire() as connection:
        try:
            connection.ensure_connection(max_retries=0)
            return max(0, MOST - _waiting(connection, celery.conf.task_routes[task]["queue"]))
        except (*connection.connection_errors, *connection.channel_errors) as error:
            raise OperationalError(str(error)) from error


def _waiting(connection: Any, queue: str) -> int:
    return int(connection.default_channel.queue_declare(queue).message_count)
