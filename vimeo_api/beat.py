"""Beat: it asks for what is due periodically, and stops asking while nobody comes to do it. `celeryconfig` names it."""

from typing import Any

from celery.beat import ScheduleEntry, Scheduler

from vimeo_api.core import broker


class PoliteScheduler(Scheduler):  # type: ignore[misc]
    """In memory, for a schedule of seconds needs no file, and several beats would share it."""

    def apply_async(self, entry: ScheduleEntry, *args: Any, **kwargs: Any) -> object:
        """Ask for a task, unless it is one that expires and as many wait in its queue as may: it has successors."""
        if "expires" in entry.options and not broker.room(self.app, entry.task):
            return None
        return super().apply_async(entry, *args, **kwargs)
