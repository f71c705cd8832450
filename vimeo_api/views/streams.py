"""The surface `streams`: so far only its sign of life, `GET /ping`."""

from flask import Blueprint, Response, jsonify

from vimeo_api.web.problems import Problem
from vimeo_api.web.surface import Surface

blueprint = Blueprint("streams", __name__)


def render(problem: Problem) -> Response:
    """Word a problem as the original's server does."""
    response = Response("404 page not found\n" if problem.status == 404 else f"{problem.phrase}\n")  # noqa: PLR2004
    response.content_type = "text/plain; charset=utf-8"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


surface = Surface("streams", frozenset({"v1", "ping"}), blueprint, render)


@blueprint.get("/ping")
def ping() -> Response:
    """Answer that the service is there."""
    return jsonify(message="pong", status="ok")
