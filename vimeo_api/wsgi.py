"""What uWSGI serves: `module = vimeo_api.wsgi`."""

import gc

from vimeo_api import logs
from vimeo_api.app import create_app
from vimeo_api.core.storage import spool_watch

application = create_app()
settings = application.config["SETTINGS"]
logs.configure(settings)
spool_watch.start(application.extensions["reservations"], settings.data_dir / "locks" / "spool-watch")
# What is loaded by now stays, so the garbage collector need not scan it again and again.
gc.collect()
gc.freeze()
