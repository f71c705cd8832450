"""The part of a Celery worker that makes its heartbeats; `worker` and the embedded worker add it.

Source: https://docs.celeryq.dev/en/stable/userguide/extending.html
"""

from typing import Any

from celery import Celery, bootsteps

from vimeo_api.core.monitoring import heartbeats
from vimeo_api.core.monitoring.heartbeats import Heart


def add_heartbeats(celery: Celery) -> None:
    """Have the workers of this app make a heartbeat for each queue that they take messages from."""
    celery.steps["consumer"].add(HeartbeatStep)


class HeartbeatStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Makes heartbeats while the worker is connected to the broker."""

    requires = ("celery.worker.consumer.tasks:Tasks",)  # starts once messages can be taken

    def __init__(self, consumer: Any, **options: Any) -> None:
        """Wait for the first start; Celery calls this once per process."""
        super().__init__(consumer, **options)
        self._hearts: list[Heart] = []
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """Begin once the worker is connected to the broker, and again whenever it has reconnected."""
        if not self._hearts:  # to reconnect is not to start
            folder = consumer.app.conf.heartbeats_dir
            parts = {queue.partition(".")[0] for queue in consumer.app.amqp.queues.consume_from}  # `core.broker`
            self._hearts = [Heart(folder, part) for part in sorted(parts)]
        self._timer = consumer.timer.call_repeatedly(heartbeats.INTERVAL / 2, self._beat)

    def stop(self, consumer: Any) -> None:
        """End with the connection."""
        del consumer
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    shutdown = stop

    def _beat(self) -> None:
        for heart in self._hearts:
            heart.beat()
