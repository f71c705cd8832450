"""The description of the queues of the surface `streams`."""

from vimeo_api.views.descriptions import files
from vimeo_api.views.descriptions.streams import DELETED, ID, NEXT_ID, RAW, SECTION, STORED, UUID, error
from vimeo_api.web.openapi import JSON, STRING, Body, Operation, Parameter, Response, Schema, closed

_RECEIPT = "5b0c4d6a7f1e4f0f8a55f2f1f3b6e2c9"
_QUEUE = Parameter(
    "queue",
    "The name of a queue, 1 to 128 printable characters. A queue exists once it has a stream.",
    "invoices",
    {"type": "string", "minLength": 1, "maxLength": 128},
)
_ENTRY: dict[str, Schema] = {
    "id": UUID,
    "size": {"type": "integer", "minimum": 0, "description": "Bytes."},
    "type": {"type": ["string", "null"], "description": "Media type, sniffed from the first 512 bytes."},
    "created_at": {"type": "string", "format": "date-time"},
    "taken": {"type": "boolean", "description": "Whether a client has taken it."},
}
_STREAM: dict[str, object] = {
    "id": ID,
    "size": 9,
    "type": "text/plain; charset=utf-8",
    "created_at": "2017-06-02T12:27:05+00:00",
    "taken": False,
}
_ONE = {200: Response("The stream.", {JSON: Body(closed("Stream", **_ENTRY), _STREAM)})}

ENQUEUE = Operation(
    SECTION,
    curl='curl -d "some data" http://localhost:8080/v1/queues/invoices/streams',
    description="Like any new stream, it can also be read and deleted by its id alone.",
    parameters=(_QUEUE, files.EXPIRES_IN),
    body=RAW,
    body_required=False,
    responses=STORED,
    errors=frozenset({413, 507}),
)

LISTING = Operation(
    SECTION,
    curl="curl 'http://localhost:8080/v1/queues/invoices/streams?limit=2'",
    description="An unknown queue is an empty one.",
    parameters=(
        _QUEUE,
        Parameter(
            "after",
            "Begin after this stream: the `next` of the page before. If empty, begin with the first.",
            ID,
            {"type": "string", "pattern": "^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$"},
        ),
        Parameter(
            "limit",
            "Length of the page; 100 by default.",
            2,
            {"type": "integer", "minimum": 1, "maximum": 1000},
        ),
    ),
    responses={
        200: Response(
            "A page of the queue; `next` is null on the last one.",
            {
                JSON: Body(
                    closed(
                        "Page",
                        streams={"type": "array", "items": closed("Stream", **_ENTRY)},
                        next={"type": ["string", "null"], "format": "uuid"},
                    ),
                    {"streams": [_STREAM, {**_STREAM, "id": NEXT_ID, "size": 5877}], "next": NEXT_ID},
                )
            },
        ),
        400: error("The limit or the queue's name is not valid.", "limit must be a number from 1 to 1000."),
        404: error("The stream `after` is not in the queue.", "404 page not found"),
    },
)

FIRST = Operation(
    SECTION,
    curl="curl http://localhost:8080/v1/queues/invoices/first",
    description="Taken or not.",
    parameters=(_QUEUE,),
    responses={**_ONE, 404: error("The queue is empty.", "404 page not found")},
)

_BESIDE = Parameter("key", "The id of a stream in the queue.", ID, UUID)

NEXT = Operation(
    SECTION,
    curl=f"curl http://localhost:8080/v1/queues/invoices/streams/{ID}/next",
    description="In the order of creation.",
    parameters=(_QUEUE, _BESIDE),
    responses={**_ONE, 404: error("It is the last one, or not in the queue.", "404 page not found")},
)

PREVIOUS = Operation(
    SECTION,
    curl=f"curl http://localhost:8080/v1/queues/invoices/streams/{NEXT_ID}/previous",
    description="In the order of creation.",
    parameters=(_QUEUE, _BESIDE),
    responses={**_ONE, 404: error("It is the first one, or not in the queue.", "404 page not found")},
)

TAKE = Operation(
    SECTION,
    curl="curl -X POST 'http://localhost:8080/v1/queues/invoices/take?seconds=60'",
    description="No two clients get the same stream. Read it by its id, and confirm with the receipt before the lease "
    "ends. Otherwise the stream returns to its place; the receipt works until another client takes the stream.",
    parameters=(
        _QUEUE,
        Parameter(
            "seconds",
            "How long the lease lasts; 30 by default.",
            60,
            {"type": "integer", "minimum": 1, "maximum": 43_200},
        ),
    ),
    responses={
        200: Response(
            "The stream, and the receipt.",
            {
                JSON: Body(
                    closed("Taken", **_ENTRY, receipt=dict(STRING)),
                    {**_STREAM, "taken": True, "receipt": _RECEIPT},
                )
            },
        ),
        400: error("The number or the queue's name is not valid.", "seconds must be a number from 1 to 43200."),
        404: error("No stream is free.", "404 page not found"),
    },
)

CONFIRM = Operation(
    SECTION,
    curl=f"curl -X DELETE 'http://localhost:8080/v1/queues/invoices/streams/{ID}?receipt={_RECEIPT}'",
    description="Send this once the work with the stream is done.",
    parameters=(
        _QUEUE,
        _BESIDE,
        Parameter("receipt", "What `take` answered.", _RECEIPT, required=True),
    ),
    responses={**DELETED, 400: error("There is no receipt.", "The receipt is missing.")},
    errors=frozenset({409}),
)
