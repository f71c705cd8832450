"""Refuse requests for other hosts than ours: 400 for what is not a host, 421 for one that HOSTS does not name.

The second is against DNS rebinding: a page of another site whose own name suddenly leads to our address may otherwise
read and change everything here, and its browser says that the page is ours. Links are made from the host, too. A
literal address is no name that could be rebound. Source: RFC 9110 section 15.5.20 (421).
"""

from http import HTTPStatus

from flask import Request
from werkzeug.exceptions import HTTPException

from vimeo_api.config.values import listed
from vimeo_api.core.errors import Malformed
from vimeo_api.web import hosts
from vimeo_api.web.pipeline import Pipeline
from vimeo_api.web.receiving import bodies


class OddHost(Malformed):
    """The Host header is not a valid host. Not cached, as the same request with another Host may succeed."""

    lasting = False


class OtherHost(HTTPException):
    """The setting HOSTS does not name the host: 421, which no cache may keep."""

    code = HTTPStatus.MISDIRECTED_REQUEST
    description = "This service does not answer to this host name; the setting HOSTS lists those it answers to."

    def get_headers(self, *_: object) -> list[tuple[str, str]]:
        """Return the headers of the answer."""
        return [("Cache-Control", "no-store")]


def init_app(app: Pipeline) -> None:
    """Wire the hook."""
    names = listed(app.config["SETTINGS"].hosts)

    @app.before
    def refuse_other_hosts(request: Request) -> None:
        host = hosts.of(request.environ)
        if host is None:
            raise OddHost("The Host header is not a valid host.")
        if not hosts.is_ours(host, names):
            bodies.drain()
            raise OtherHost
