"""The description of health, readiness and metrics."""

from vimeo_api.views.descriptions import errors
from vimeo_api.web.openapi import JSON, PLAIN_TEXT, STRING, Body, Operation, Response, Section


def _error(description: str, text: str, headers: dict[str, str] | None = None) -> Response:
    schema = {"title": "Error", "type": "object", "properties": {"error": STRING}, "required": ["error"]}
    return Response(description, {JSON: Body(schema, {"error": text})}, headers or {})


SECTION = Section(
    "operations",
    "Operations",
    "Whether the service is alive and ready, and its metrics. Errors are JSON.",
    errors={
        400: _error("The request cannot be understood.", "Bad Request"),
        403: _error("`METRICS_FROM` does not allow the client's address.", "Forbidden"),
        405: _error("The path does not have this method.", "Method Not Allowed", errors.ALLOW),
        414: _error("The address is too long.", "Request-URI Too Long"),
        421: _error("`HOSTS` does not name the host of the URL.", "Misdirected Request"),
        503: _error("The service is unavailable for a moment.", "Service Unavailable", errors.RETRY_AFTER),
    },
    everywhere=errors.EVERYWHERE,
)

HEALTH = Operation(
    SECTION,
    curl="curl http://localhost:8080/healthz",
    description="Uses no database, no cache and no disk. Restart the service if this does not answer.",
    responses={
        200: Response(
            "The process answers.",
            {
                JSON: Body(
                    {"type": "object", "properties": {"status": STRING}, "required": ["status"]}, {"status": "alive"}
                )
            },
        )
    },
)

_DEPENDENCY = {
    "type": "object",
    "properties": {
        "ok": {"type": "boolean"},
        "needed": {"type": "boolean", "description": "Without it the service is not ready."},
        "ms": {"type": "number", "description": "Milliseconds until it answered or timed out."},
        "trouble": {"type": "string"},
    },
    "required": ["ok", "needed", "ms"],
}
_READINESS = {
    "type": "object",
    "properties": {
        "status": {"enum": ["ready", "unready"]},
        "dependencies": {"type": "object", "additionalProperties": _DEPENDENCY},
    },
    "required": ["status"],
}
# From nginx, when the service is down.
_AWAY = {"type": "object", "properties": {"error": STRING}, "required": ["error"]}


def _example(status: str, database: dict[str, object]) -> dict[str, object]:
    broker = {"ok": True, "needed": False, "ms": 3.4}
    return {"status": status, "dependencies": {"database": database, "broker": broker}}


READINESS = Operation(
    SECTION,
    curl="curl http://localhost:8080/readyz",
    description=(
        "Checks all dependencies at once, each for two seconds at most. The database, the journal, the spool and the "
        "store are needed. An object store, the cache, the broker, the workers and free disk space are not: without "
        "them most requests still work, and uploads that cannot are refused. `dependencies` is shown only to clients "
        "that `METRICS_FROM` allows."
    ),
    responses={
        200: Response("Ready.", {JSON: Body(_READINESS, _example("ready", {"ok": True, "needed": True, "ms": 1.2}))}),
        503: Response(
            "Not ready.",
            {
                JSON: Body(
                    {"anyOf": [_READINESS, _AWAY]},
                    _example("unready", {"ok": False, "needed": True, "ms": 2000.0, "trouble": "no answer within 2 s"}),
                )
            },
        ),
    },
)

METRICS = Operation(
    SECTION,
    curl="curl http://localhost:8080/metrics",
    description="The text format of Prometheus, or OpenMetrics if asked for. For clients that `METRICS_FROM` allows.",
    responses={
        200: Response(
            "The metrics.",
            {PLAIN_TEXT: Body(STRING, '# TYPE vimeo_api_leases gauge\nvimeo_api_leases{surface="vimeo"} 0.0\n')},
        )
    },
    errors=frozenset({403}),
)
