"""What waits at Celery's broker; `readiness` and `web.metrics` look."""

from celery import Celery
from flask import current_app


def depths() -> dict[str, int]:
    """Return how many messages wait in each queue; those that a worker has taken are no longer there.

    Raises what the broker's client raises when it does not answer.
    """
    celery: Celery = current_app.extensions["celery"]
    with celery.connection_or_acquire() as connection:
        connection.ensure_connection(max_retries=0)
        channel = connection.default_channel
        return {queue.name: channel.queue_declare(queue.name).message_count for queue in celery.conf.task_queues}
