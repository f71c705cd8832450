"""What uWSGI serves: `module = vimeo_api.wsgi`."""

import logging

from vimeo_api.app import create_app

application = create_app()
logging.basicConfig(level=application.config["SETTINGS"].log_level, format="%(levelname)s %(name)s: %(message)s")
