"""The surface `operations`: is the service alive, is it ready, and its metrics.

    GET  /healthz    200 as long as the process answers; touches nothing else
    GET  /readyz     200 or 503: every dependency is asked, each with its own timeout
    GET  /metrics    for Prometheus

Anyone may ask whether the service is alive and ready. Details and metrics are only for requests from the networks in
the setting `METRICS_FROM`.
"""

from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import Forbidden

from vimeo_api.core.monitoring import readiness
from vimeo_api.core.monitoring.readiness import Check
from vimeo_api.views.descriptions import operations as described_as
from vimeo_api.web.hooks import operators
from vimeo_api.web.monitoring import metrics
from vimeo_api.web.openapi import described
from vimeo_api.web.problems import Problem
from vimeo_api.web.surface import Surface

blueprint = Blueprint("operations", __name__)


def render(problem: Problem) -> Response:
    """Word a problem as `{"error": "Forbidden"}`."""
    return jsonify(error=problem.phrase)


# Refusals depend on the client's address, which is not in the cache key; and `/healthz` must not need the cache.
surface = Surface("operations", frozenset({"healthz", "readyz", "metrics"}), blueprint, render, remembers=False)


@blueprint.after_request
def never_kept(response: Response) -> Response:
    """Keep caches on the way from answering for us."""
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.get("/healthz")
@described(described_as.HEALTH)
def health() -> Response:
    """Report that the service is alive."""
    return jsonify(status="alive")


@blueprint.get("/readyz")
@described(described_as.READINESS)
def ready() -> tuple[Response, HTTPStatus]:
    """Report whether the service is ready."""
    checks = readiness.checks()
    is_ready = readiness.ready(checks)
    answer: dict[str, Any] = {"status": "ready" if is_ready else "unready"}
    if operators.is_operator():
        answer["dependencies"] = {check.name: _worded(check) for check in checks}
    return jsonify(answer), HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE


def _worded(check: Check) -> dict[str, Any]:
    worded = {"ok": check.finding.ok, "needed": check.needed, "ms": round(check.finding.seconds * 1000, 1)}
    return worded if check.finding.ok else {**worded, "trouble": check.finding.trouble}


@blueprint.get("/metrics")
@described(described_as.METRICS)
def numbers() -> Response:
    """Report metrics to Prometheus."""
    if not operators.is_operator():
        raise Forbidden
    body, media_type = metrics.exposed(request.headers.get("Accept", ""))
    return Response(body, content_type=media_type)
