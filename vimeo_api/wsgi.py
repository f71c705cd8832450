"""What uWSGI serves: `module = vimeo_api.wsgi`."""

import gc

from vimeo_api import startup

startup.begin()

from vimeo_api import logs
from vimeo_api.app import create_app
from vimeo_api.config import ConfigError, Settings
from vimeo_api.core.deliveries import journal
from vimeo_api.core.monitoring.readiness import check_object_store
from vimeo_api.core.storage import spool_watch


def check_journal(settings: Settings) -> None:
    """Raise ConfigError unless space for the journal can be allocated ahead, so that a full disk loses no line."""
    if settings.journal is not None:
        try:
            journal.check_allocation(settings.journal)
        except OSError as error:
            raise ConfigError(
                f"JOURNAL ({settings.journal}): this user cannot allocate disk space in its folder ({error.strerror}). "
                "Use ext4, XFS, Btrfs or tmpfs, and a folder that belongs to the service."
            ) from None


application = create_app()
settings = application.config["SETTINGS"]
logs.configure(settings)
check_journal(settings)
with application.app_context():
    check_object_store()
spool_watch.start(application.extensions["reservations"], settings.data_dir / "locks" / "spool-watch")
# What is loaded by now stays, so the garbage collector need not scan it again and again.
gc.collect()
gc.freeze()
startup.end()
