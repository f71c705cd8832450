"""What Celery runs: `celery -A vimeo_api.worker worker`, and `beat`."""

from vimeo_api import logs
from vimeo_api.app import create_app
from vimeo_api.core.monitoring.heartbeat_step import add_heartbeats

_app = create_app()
logs.configure(_app.config["SETTINGS"])
celery = _app.extensions["celery"]
add_heartbeats(celery)
if celery.conf.broker_transport_options:
    # A worker has time: it waits for a slow broker where a request must not.
    celery.conf.broker_transport_options = {"socket_timeout": 10, "socket_connect_timeout": 5}
