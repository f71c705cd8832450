"""The description of the documentation itself."""

from vimeo_api.version import VERSION
from vimeo_api.views.descriptions import errors
from vimeo_api.web.openapi import HTML, JSON, STRING, Body, Operation, Response, Section

_error = errors.in_json

SECTION = Section(
    "docs",
    "This documentation",
    "The description of the API, for programs and for people. Errors are JSON.",
    errors={
        400: _error("The request cannot be understood.", "Bad Request"),
        405: _error("The path does not have this method.", "Method Not Allowed", errors.ALLOW),
        414: _error("The address is too long.", "Request-URI Too Long"),
        421: _error("`HOSTS` does not name the host of the URL.", "Misdirected Request"),
        503: _error("The service is unavailable for a moment.", "Service Unavailable", errors.RETRY_AFTER),
    },
    everywhere=errors.EVERYWHERE,
)

DOCUMENT = Operation(
    SECTION,
    curl="curl http://localhost:8080/openapi.json",
    description="For tools that generate clients, tests and mocks.",
    responses={
        200: Response(
            "OpenAPI 3.1.",
            {
                JSON: Body(
                    {
                        "type": "object",
                        "properties": {"openapi": {"type": "string", "pattern": "^3\\.1\\."}},
                        "required": ["openapi", "info", "paths"],
                    },
                    {"openapi": "3.1.1", "info": {"title": "vimeo_api", "version": VERSION}, "paths": {}},
                )
            },
        )
    },
)

PAGE = Operation(
    SECTION,
    curl="curl http://localhost:8080/docs",
    description="Made from `/openapi.json`.",
    responses={200: Response("The page.", {HTML: Body(STRING, "<!doctype html>\n<title>API</title>\n…")})},
)
