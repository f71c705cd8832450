"""What uWSGI serves: `module = vimeo_api.wsgi`."""

from vimeo_api import logs
from vimeo_api.app import create_app

application = create_app()
logs.configure(application.config["SETTINGS"])
