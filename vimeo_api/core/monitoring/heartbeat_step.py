"""The part of a Celery worker that makes its heartbeats; `worker` and the embedded worker add it.

Source: https://docs.celeryq.dev/en/stable/userguide/extending.html
"""

from typing import Any

from celery import Celery, bootsteps

from vimeo_api.core.monitoring import heartbeats
from vimeo_api.core.monitoring.heartbeats import Heart


def add_heartbeats(celery: Celery) -> None:
    """Have the workers of this app make a heartbeat for each queue that they take messages from."""
    celery.steps["consumer"].add(_HeartbeatStep)


class _HeartbeatStep(bootsteps.StartStopStep):  # type: ignore[misc]
    requires = ("celery.worker.consumer.tasks:Tasks",)  # starts once messages can be taken

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """Begin once the worker is connected to the broker, and again after each time that it was not."""
        folder = consumer.app.conf.heartbeats_dir
        hearts = [Heart(folder, queue) for queue in consumer.app.amqp.queues.consume_from]
        self._timer = consumer.timer.call_repeatedly(heartbeats.INTERVAL / 2, _beat_all, (hearts,))

    def stop(self, consumer: Any) -> None:
        """End with the connection."""
        del consumer
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    shutdown = stop


def _beat_all(hearts: list[Heart]) -> None:
    for heart in hearts:
        heart.beat()
