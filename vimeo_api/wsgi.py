"""What uWSGI serves: `module = vimeo_api.wsgi`."""

import gc

from vimeo_api import logs
from vimeo_api.app import create_app

application = create_app()
logs.configure(application.config["SETTINGS"])
# What was loaded stays; the collector need not look through it again for every few requests.
gc.collect()
gc.freeze()
