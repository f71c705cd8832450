"""Celery beat's scheduler: enqueue periodic tasks, but none while their queue is full, and make beat's heartbeats.

`celeryconfig` names it.
"""

from typing import Any

from celery.beat import ScheduleEntry, Scheduler

from vimeo_api.core import broker
from vimeo_api.core.monitoring.heartbeats import Heart


class SkippingScheduler(Scheduler):  # type: ignore[misc]
    """Keeps its state in memory: a schedule of seconds needs no file, and several beats would share that file."""

    _heart: Heart | None = None  # from the first tick on: Celery also makes schedulers that it only prints

    def tick(self, *args: Any, **options: Any) -> float:
        """Enqueue the next task if it is due; return the seconds until the one after it."""
        seconds: float = super().tick(*args, **options)
        self._heart = self._heart or Heart(self.app.conf.heartbeats_dir, "beat")
        self._heart.beat()
        return seconds

    def apply_async(self, entry: ScheduleEntry, *args: Any, **kwargs: Any) -> object:
        """Enqueue a task; skip one that expires while its queue is full, as the next one follows soon."""
        if "expires" in entry.options and not broker.room(self.app, broker.queue(self.app, entry.task)):
            return None
        return super().apply_async(entry, *args, **kwargs)
