"""Log what each request did, one line for each file: who, from where, what, how many bytes, how long.

What was done is noted where it is done (`logs.note`); the client and the duration are added here. A request that was
refused has a line, too. A download that nginx answers from its cache never comes here; access.log has it. `seconds` is
the time of the service without that of nginx, which access.log has under the same request id.
"""

import time
from http import HTTPStatus

from flask import Request, Response, g

from vimeo_api import logs
from vimeo_api.web.pipeline import Pipeline
from vimeo_api.web.surface import SurfaceOf


def init_app(app: Pipeline, surface_of: SurfaceOf) -> None:
    """Wire the hooks; `surface_of` names the surface that owns a path."""

    @app.before
    def begin(_request: Request) -> None:
        g.began = time.monotonic()
        logs.collect()

    @app.after
    def log(request: Request, response: Response) -> Response:
        events = logs.collected()
        if not events:
            if response.status_code < HTTPStatus.BAD_REQUEST:
                return response
            surface = surface_of(request.path)
            events = [{"action": "refused", "surface": surface.name if surface else None}]
        client = {
            "status": response.status_code,
            "address": request.remote_addr,
            "token": g.holder.name if "holder" in g else None,
            "seconds": round(time.monotonic() - g.began, 3),
        }
        for event in events:
            logs.log_event(event | client)
        return response

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        logs.collected()
