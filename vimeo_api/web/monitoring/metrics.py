"""Metrics for Prometheus: requests are counted here as they are answered; `gauges` reads the rest at each scrape.

uWSGI's processes count in files of one folder, and the process that is scraped adds them up. The library reads the
folder from `PROMETHEUS_MULTIPROC_DIR` when it is imported; deploy/uwsgi sets that. What nginx answers from its cache
never gets here: `gauges` has nginx's own numbers. Source: https://prometheus.github.io/client_python/.
"""

import logging
import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from flask import Request, Response, g
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from vimeo_api.extensions import settings
from vimeo_api.web.monitoring.gauges import Figures
from vimeo_api.web.pipeline import Pipeline
from vimeo_api.web.surface import Surface

disable_created_metrics()  # type: ignore[no-untyped-call]

REQUESTS = Counter(
    "vimeo_api_requests",
    "Requests that the service itself has answered. nginx answers others from its cache.",
    ("surface", "status"),
    registry=None,
)
REQUEST_SECONDS = Histogram(
    "vimeo_api_request_seconds",
    "Seconds until the service had its response ready. nginx receives bodies before that and sends files after it.",
    ("surface",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
    registry=None,
)
_FILE_BYTES = 64 * 1024  # for each file of a process; our metrics take half of it at most

_log = logging.getLogger(__name__)


def init_app(app: Pipeline, surface_of: Callable[[str], Surface | None]) -> None:
    """Wire the hooks, unless the disk has no room for the counters; `surface_of` names the surface that owns a path."""
    folder: Path | None = app.config["SETTINGS"].prometheus_multiproc_dir
    if folder is not None and not _reserved(folder):
        return

    @app.after
    def count(request: Request, response: Response) -> Response:
        if request.environ.get("X_ADMIT"):
            return response  # nginx's question for `admission`, not a client's request
        surface = surface_of(request.path)
        name = surface.name if surface else "none"
        answered, seconds = _children(name, response.status_code)
        answered.inc()
        seconds.observe(time.monotonic() - g.began)
        return response


@cache
def _children(surface: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(surface, status), REQUEST_SECONDS.labels(surface)


def exposed(accept: str) -> tuple[bytes, str]:
    """Return all metrics and their media type, in the format that an `Accept` header prefers."""
    registry = CollectorRegistry()
    if settings.prometheus_multiproc_dir is not None:
        MultiProcessCollector(registry, str(settings.prometheus_multiproc_dir))  # type: ignore[no-untyped-call]
    else:
        registry.register(REQUESTS)
        registry.register(REQUEST_SECONDS)
    registry.register(Figures())
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


def _reserved(folder: Path) -> bool:
    """Allocate the blocks of this process's counter files; return whether the disk had room.

    The library maps sparse files into memory, and the kernel kills a process that writes there when the disk is full.
    """
    try:
        for kind in ("counter", "histogram"):
            with (folder / f"{kind}_{os.getpid()}.db").open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, _FILE_BYTES)
    except OSError as error:
        _log.warning("metrics: requests of this process are not counted: %s", error.strerror)
        return False
    return True
