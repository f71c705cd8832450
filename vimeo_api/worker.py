"""What Celery runs: `celery -A vimeo_api.worker worker`, and `beat`. Tasks need no views, so none are imported."""

import gc
from typing import Any

from vimeo_api import startup

startup.begin()

from celery import signals
from flask import Flask

from vimeo_api import config, extensions, logs
from vimeo_api.core.monitoring.heartbeat_step import add_heartbeats

_settings = config.load()
_app = Flask("vimeo_api")
extensions.init_app(_app, _settings)
logs.configure(_settings)
celery = _app.extensions["celery"]
add_heartbeats(celery)
if celery.conf.broker_transport_options:
    # A worker has time: it waits for a slow broker where a request must not.
    celery.conf.broker_transport_options = {"socket_timeout": 10, "socket_connect_timeout": 5}
gc.freeze()  # as in `wsgi`
startup.end()


@signals.celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def _serve_own_host(instance: Any, **_: object) -> None:
    """Serve `place.HOST` of this host besides the queue `place` of `-Q`, and so on.

    Source: https://docs.celeryq.dev/en/stable/userguide/signals.html#celeryd-after-setup
    """
    queues = instance.app.amqp.queues
    for name in set(queues.consume_from) & set(celery.conf.host_queues):
        queues.select_add(queues[f"{name}.{_settings.host_name}"])
