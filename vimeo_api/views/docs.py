"""The documentation of all surfaces: for programs at `/openapi.json`, for people at `/docs`; made from the code."""

import json

from flask import Blueprint, Response, current_app, jsonify, request

from vimeo_api.views.descriptions import docs as described_as
from vimeo_api.web import openapi, pages
from vimeo_api.web.openapi import described
from vimeo_api.web.problems import Problem
from vimeo_api.web.surface import Surface

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)

blueprint = Blueprint("docs", __name__, template_folder="../templates")


def render(problem: Problem) -> Response:
    """Word a problem as `{"error": "Method Not Allowed"}`."""
    return jsonify(error=problem.phrase)


surface = Surface("docs", frozenset({"openapi.json", "docs"}), blueprint, render)


@blueprint.get("/openapi.json")
@described(described_as.DOCUMENT)
def document() -> Response:
    """Describe the API for programs."""
    return jsonify(openapi.document(current_app, request.script_root))


@blueprint.get("/docs")
@described(described_as.PAGE)
def page() -> Response:
    """Describe the API for people."""
    # The examples use the reader's own host, so that they can be copied and run.
    root = request.url_root.rstrip("/")
    api = openapi.document(current_app, request.script_root)
    return pages.page("docs.html", CONTENT_SECURITY_POLICY, api=api, root=root, written=_written)


def _written(value: object) -> str:
    """Return indented JSON, its keys in the order of the document."""
    return json.dumps(value, indent=2, ensure_ascii=False)
