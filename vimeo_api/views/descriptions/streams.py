"""The description of the surface `streams`; its queues are in `queues`."""

from vimeo_api.views.descriptions import errors, files
from vimeo_api.web.openapi import (
    ANY,
    BINARY_STRING,
    JSON,
    OCTET_STREAM,
    PLAIN_TEXT,
    STRING,
    Body,
    Operation,
    Parameter,
    Response,
    Schema,
    Section,
    closed,
)

ID = "20ef43f7-4bfd-4b86-9204-7c857a09a940"
NEXT_ID = "55763224-c834-4c11-8966-1511512b4b4e"
UUID: Schema = {"type": "string", "format": "uuid"}

_KEY = Parameter("key", "The id of a stream.", ID, UUID)


def error(description: str, text: str, headers: dict[str, str] | None = None) -> Response:
    """Return an error in the surface's dialect."""
    return Response(
        description,
        {PLAIN_TEXT: Body({"type": "string", "pattern": "\n$"}, f"{text}\n")},
        {"X-Content-Type-Options": "`nosniff`", **(headers or {})},
    )


SECTION = Section(
    "streams",
    "Streams and queues",
    "A body of any type is a stream with an id. It can be read any number of times, by many clients at once, until it "
    "is deleted. Streams can be put in queues, in the order of creation, and be joined. Errors are a line of text.",
    errors={
        **errors.common(error),
        400: error("The request cannot be understood; the line says why.", "Bad Request"),
        404: error("There is no such stream or path.", "404 page not found"),
        409: error("Another client has taken the stream since.", "Another client has taken the stream."),
        413: error("The stream is larger than the limit; there is none by default.", "Request Entity Too Large"),
    },
    everywhere=errors.EVERYWHERE,
)

STORED = {
    201: Response(
        "The stream is stored and durable.",
        {JSON: Body(closed("Created", id=UUID, status={"const": "created"}), {"id": ID, "status": "created"})},
    )
}
RAW = {
    OCTET_STREAM: Body(BINARY_STRING, "some data"),
    ANY: Body(BINARY_STRING, "some data"),
}
DELETED = {
    200: Response(
        "The stream is gone.",
        {JSON: Body(closed("Deleted", id=UUID, status={"const": "deleted"}), {"id": ID, "status": "deleted"})},
    ),
    404: Response(
        "There is no such stream.",
        {
            JSON: Body(
                closed(
                    "NotDeleted",
                    error=closed("RemoveError", Op={"const": "remove"}, Path=dict(STRING), Err={"const": 2}),
                    status={"const": "error"},
                ),
                {"error": {"Op": "remove", "Path": f"DATA/{ID}.data", "Err": 2}, "status": "error"},
            ),
        },
    ),
}
PING = Operation(
    SECTION,
    curl="curl http://localhost:8080/ping",
    description="Uses neither the database nor the disk.",
    responses={
        200: Response(
            "The service answers.",
            {
                JSON: Body(
                    closed("Pong", message={"const": "pong"}, status={"const": "ok"}),
                    {"message": "pong", "status": "ok"},
                )
            },
        )
    },
)

CREATE = Operation(
    SECTION,
    curl='curl -d "some data" http://localhost:8080/v1/streams',
    description="The body is stored as it is, whatever its `Content-Type` says. It may be empty or chunked.",
    parameters=(files.EXPIRES_IN,),
    body=RAW,
    body_required=False,
    responses=STORED,
    errors=frozenset({413, 507}),
)

READ = Operation(
    SECTION,
    curl=f"curl http://localhost:8080/v1/streams/{ID}",
    description="Reading deletes nothing.",
    parameters=(_KEY, *files.CONDITIONS),
    responses=files.sent("sniffed from the first 512 bytes", "some data", {"Cache-Control": "`no-cache`"}),
    errors=files.CONDITION_ERRORS | {404},
)

DELETE = Operation(
    SECTION,
    curl=f"curl -X DELETE http://localhost:8080/v1/streams/{ID}",
    description="Running downloads finish.",
    parameters=(_KEY,),
    responses=DELETED,
)

_URI: Schema = {"type": "string", "format": "uri"}
_NUMBER: Schema = {"type": ["integer", "null"]}
_TEXT: Schema = {"type": ["string", "null"]}
_PROGRESS = Body(
    closed(
        "Progress",
        id=UUID,
        state={"enum": ["fetching", "available", "failed", "gone"]},
        bytes={"type": "integer"},
        total=_NUMBER,
        rate=_NUMBER,
        seconds_left=_NUMBER,
        failure=_TEXT,
        error=_TEXT,
    ),
    {
        "id": ID,
        "state": "fetching",
        "bytes": 1048576,
        "total": 4194304,
        "rate": 1048576,
        "seconds_left": 3,
        "failure": None,
        "error": None,
    },
)

JOIN = Operation(
    SECTION,
    curl=f'curl -d \'{{"streams":["{ID}","{NEXT_ID}"]}}\' http://localhost:8080/v1/streams:join',
    description="The joined streams stay as they are. A stream may be listed more than once. Workers write the new "
    "stream; if that takes longer than a few seconds, the response is 202.",
    body={
        JSON: Body(
            {
                "title": "Join",
                "type": "object",
                "properties": {
                    "streams": {"type": "array", "items": UUID, "minItems": 1, "maxItems": 10_000},
                    "queue": {
                        "type": ["string", "null"],
                        "minLength": 1,
                        "maxLength": 128,
                        "description": "A queue to put the new stream at the end of.",
                    },
                },
                "required": ["streams"],
            },
            {"streams": [ID, NEXT_ID]},
        )
    },
    responses={
        **STORED,
        202: Response(
            "The stream is still being written; until then, reading it is 425.",
            {
                JSON: Body(
                    closed("Joining", id=UUID, status={"const": "joining"}, status_url=_URI),
                    {"id": ID, "status": "joining", "status_url": f"http://localhost:8080/v1/joins/{ID}"},
                )
            },
            {"Location": "The `status_url`."},
        ),
        400: error("The body does not have this form.", 'The body must be {"streams": [id, …]}.'),
    },
    errors=frozenset({404, 413, 507}),
)

JOIN_STATUS = Operation(
    SECTION,
    curl=f"curl http://localhost:8080/v1/joins/{ID}",
    description="Only for streams that were made by joining.",
    parameters=(_KEY,),
    responses={200: Response("The progress of the join.", {JSON: _PROGRESS})},
    errors=frozenset({404}),
)

JOIN_CANCEL = Operation(
    SECTION,
    curl=f"curl -X DELETE http://localhost:8080/v1/joins/{ID}",
    description="A join that has ended is not changed.",
    parameters=(_KEY,),
    responses={200: Response("The join after the request.", {JSON: _PROGRESS})},
    errors=frozenset({404}),
)
