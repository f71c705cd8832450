"""The factory: settings → extensions → hooks around every request → surfaces. `wsgi` and `cli` call it."""

from flask import Flask

from vimeo_api import config, extensions, views
from vimeo_api.config import Settings
from vimeo_api.config.values import listed
from vimeo_api.web.hooks import (
    admission,
    auth,
    cors,
    csrf,
    events,
    host_check,
    hygiene,
    rate_limits,
    refusal_cache,
    repeated_headers,
    request_ids,
)
from vimeo_api.web.monitoring import metrics
from vimeo_api.web.pipeline import Pipeline
from vimeo_api.web.proxies import Forwarded
from vimeo_api.web.sending import nginx_cache


def create_app(settings: Settings | None = None) -> Flask:
    """Build the app from the given settings, else from those in the environment.

    Raises config.ConfigError, with one sentence per mistake.
    """
    values = settings or config.load()
    app = Pipeline("vimeo_api")
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.merge_slashes = False  # `//` is a different path, which is not found

    extensions.init_app(app, values)
    if values.trusted_proxies or values.behind_nginx:
        trusted = listed(values.trusted_headers)
        app.wsgi_app = Forwarded(app.wsgi_app, values.trusted_proxies, trusted)  # type: ignore[method-assign]
    request_ids.init_app(app)
    cors.init_app(app)
    events.init_app(app, views.owner)
    admission.init_app(app)
    metrics.init_app(app, views.owner)
    host_check.init_app(app)
    repeated_headers.init_app(app)
    csrf.init_app(app)
    auth.init_app(app)
    rate_limits.init_app(app, views.owner)
    refusal_cache.init_app(app, views.file_of)
    nginx_cache.init_app(app, views.owner)
    hygiene.init_app(app)
    views.init_app(app)
    return app
