"""What uWSGI serves: `module = vimeo_api.wsgi`."""

import gc

from vimeo_api import logs
from vimeo_api.app import create_app

application = create_app()
logs.configure(application.config["SETTINGS"])
# What is loaded by now stays, so the garbage collector need not scan it again and again.
gc.collect()
gc.freeze()
