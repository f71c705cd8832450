"""The documentation of all surfaces: for programs at `/openapi.json`, for people at `/docs`; made from the code."""

import json
from http import HTTPStatus

from flask import Blueprint, Response, current_app, jsonify, request

from vimeo_api.views.descriptions import docs as described_as
from vimeo_api.web import openapi, pages
from vimeo_api.web.openapi import described
from vimeo_api.web.problems import Problem
from vimeo_api.web.surface import Surface

blueprint = Blueprint("docs", __name__, template_folder="../templates")


def render(problem: Problem) -> Response:
    """Word a problem as `{"error": "Method Not Allowed"}`, or as a page for a browser."""
    if pages.wants_json(default=True):
        return jsonify(error=problem.phrase)
    return pages.error(problem.status, pages.NOWHERE if problem.status == HTTPStatus.NOT_FOUND else problem.reason)


surface = Surface("docs", frozenset({"openapi.json", "docs"}), blueprint, render)


@blueprint.get("/openapi.json")
@described(described_as.DOCUMENT)
def document() -> Response:
    """Describe the API for programs."""
    return jsonify(openapi.document(current_app, request.script_root))


@blueprint.get("/docs", strict_slashes=False)
@described(described_as.PAGE)
def page() -> Response:
    """Describe the API for people."""
    # The examples use the reader's own host, so that they can be copied and run.
    root = request.url_root.rstrip("/")
    api = openapi.document(current_app, request.script_root)
    return pages.page("docs.html", pages.PLAIN_POLICY, api=api, root=root, written=_written)


def _written(value: object) -> str:
    """Return indented JSON, its keys in the order of the document."""
    return json.dumps(value, indent=2, ensure_ascii=False)
