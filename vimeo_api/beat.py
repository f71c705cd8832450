"""Celery beat's scheduler: enqueue periodic tasks, but none while their queue is full. `celeryconfig` names it."""

from typing import Any

from celery.beat import ScheduleEntry, Scheduler

from vimeo_api.core import broker


class PoliteScheduler(Scheduler):  # type: ignore[misc]
    """Keeps its state in memory: a schedule of seconds needs no file, and several beats would share that file."""

    def apply_async(self, entry: ScheduleEntry, *args: Any, **kwargs: Any) -> object:
        """Enqueue a task; skip one that expires while its queue is full, as the next one follows soon."""
        if "expires" in entry.options and not broker.room(self.app, entry.task):
            return None
        return super().apply_async(entry, *args, **kwargs)
