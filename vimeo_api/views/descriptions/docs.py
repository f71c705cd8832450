"""The description of the documentation itself."""

from vimeo_api.web.openapi import HTML, JSON, STRING, VERSION, Answer, Body, Operation, Section

_RETRY = {"Retry-After": "Seconds after which to ask again."}


def _error(description: str, text: str, headers: dict[str, str] | None = None) -> Answer:
    schema = {"title": "Error", "type": "object", "properties": {"error": STRING}, "required": ["error"]}
    return Answer(description, {JSON: Body(schema, {"error": text})}, headers or {})


SECTION = Section(
    "docs",
    "This documentation",
    "The description of the service, for programs and for people. Errors are JSON.",
    errors={
        400: _error("The request cannot be understood.", "Bad Request"),
        405: _error("The path is there, the method is not.", "Method Not Allowed", {"Allow": "The methods it has."}),
        414: _error("The address is too long.", "Request-URI Too Long"),
        503: _error("The service is away for a moment.", "Service Unavailable", _RETRY),
    },
    everywhere=frozenset({400, 405, 414, 503}),
)

DOCUMENT = Operation(
    SECTION,
    curl="curl http://localhost:8080/openapi.json",
    description="For generators of clients, tests and mocks.",
    answers={
        200: Answer(
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
    answers={200: Answer("The page.", {HTML: Body(STRING, "<!doctype html>\n<title>API</title>\n…")})},
)
