"""The description of the surface `manage`."""

from vimeo_api.views.descriptions import errors
from vimeo_api.web.openapi import HTML, JSON, STRING, Body, Operation, Parameter, Response, Schema, Section, closed

_KEY = "0b9d4a6a7c1f4e4f9a3a52c8f1d0e7b6"
_MOMENT: Schema = {"type": ["string", "null"], "format": "date-time"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_STATES = ("waiting", "downloading", "in doubt", "downloaded", "removed", "expired", "fetching", "failed")
_ATTEMPT = closed(
    "Attempt",
    began_at=_MOMENT,
    ended_at=_MOMENT,
    first_byte=_COUNT,
    bytes=_COUNT,
    complete={"type": "boolean", "description": "All that the request asked for was sent."},
    slot={
        "type": ["integer", "null"],
        "minimum": 1,
        "description": "Which of the downloads it belongs to, if that is known.",
    },
)
_RECEIPT = closed(
    "Receipt",
    event={"enum": ["file.downloaded", "file.used_up", "file.expired", "file.removed"]},
    at=_MOMENT,
    state={
        "enum": ["waiting", "delivered", "unwanted", "failed"],
        "description": "`unwanted`: the receiver answered 410. `failed`: given up after a day.",
    },
    attempts=_COUNT,
    tried_at=_MOMENT,
    next_try_at=_MOMENT,
    error={"type": ["string", "null"], "description": "Of the last try."},
)
_FILE: Schema = {
    "title": "Managed",
    "type": "object",
    "properties": {
        "state": {"enum": list(_STATES)},
        "name": STRING,
        "size": _COUNT,
        "created_at": _MOMENT,
        "expires_at": _MOMENT,
        "removed_at": _MOMENT,
        "downloads": {
            "type": "integer",
            "minimum": 1,
            "description": "Only of one-time files, as are the fields below.",
        },
        "downloads_left": _COUNT,
        "downloaded_at": {**_MOMENT, "description": "When the last of its downloads was complete."},
        "attempts": {"type": "array", "items": _ATTEMPT},
        "id": {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "What receipts call the file."},
        "receipts": {"type": "array", "items": _RECEIPT},
    },
    "required": ["state", "name", "size", "created_at", "expires_at", "removed_at"],
    "additionalProperties": False,
}
_SHOWN = {
    "state": "downloaded",
    "name": "report.xls",
    "size": 18,
    "created_at": "2026-02-03T04:05:06Z",
    "expires_at": "2026-02-10T04:05:06Z",
    "removed_at": None,
    "downloads": 1,
    "downloads_left": 0,
    "downloaded_at": "2026-02-03T09:00:02Z",
    "attempts": [
        {
            "began_at": "2026-02-03T09:00:01Z",
            "ended_at": "2026-02-03T09:00:02Z",
            "first_byte": 0,
            "bytes": 18,
            "complete": True,
            "slot": 1,
        }
    ],
    "id": "4dff4ea340f0a823f15d3f4f01ab62ea",
    "receipts": [
        {
            "event": "file.downloaded",
            "at": "2026-02-03T09:00:02Z",
            "state": "delivered",
            "attempts": 1,
            "tried_at": "2026-02-03T09:00:04Z",
            "next_try_at": None,
            "error": None,
        }
    ],
}

_error = errors.with_message


SECTION = Section(
    "manage",
    "What became of an upload",
    "Every upload to `vimeo`, `named` and `transfer` comes with a manage URL, which is shown once. Anyone who has it "
    "sees what became of the file and can delete it, without a token. Keep it secret; it is not the link to share.",
    errors={
        **errors.common(_error),
        400: _error("The request cannot be understood.", "Bad Request"),
        404: _error("There is no file with this manage URL.", "Not Found"),
        405: _error("The path does not have this method.", "Method Not Allowed", errors.ALLOW),
        409: _error("The file is not in doubt.", "Conflict"),
        410: _error(
            "The file is gone already; the message says why.",
            "Gone",
            message="The file is gone already: it was downloaded.",
        ),
    },
    everywhere=errors.EVERYWHERE,
)
_PARAMETERS = (Parameter("key", "The last segment of the manage URL.", _KEY),)
_RESPONSE = Response(
    "What became of the file.", {JSON: Body(_FILE, _SHOWN), HTML: errors.PAGE}, {"Cache-Control": "`no-store`"}
)

SHOW = Operation(
    SECTION,
    curl=f"curl http://localhost:8080/manage/{_KEY}",
    description="`waiting` for its download; `downloading` right now; `in doubt`: it may have been downloaded before a "
    "failure, and you decide; `downloaded`, `removed` or `expired`: gone; `fetching` or `failed`, for an upload from a "
    "URL. Each attempt at a one-time file has its time and bytes. A file of `named` or `transfer` that is gone is 404.",
    parameters=_PARAMETERS,
    responses={200: _RESPONSE},
    errors=frozenset({404}),
)

REMOVE = Operation(
    SECTION,
    curl=f"curl -X DELETE http://localhost:8080/manage/{_KEY}",
    description="Its link says so from then on. A running download may finish.",
    parameters=_PARAMETERS,
    responses={
        200: Response(
            "The file is gone.",
            {JSON: Body(closed("Removed", state={"const": "removed"}), {"state": "removed"})},
            {"Cache-Control": "`no-store`"},
        )
    },
    errors=frozenset({403, 404, 410}),
)

_SEEN = Response("The page of the file.", {HTML: Body(STRING, "<a href=…>")}, {"Location": "The manage URL."})

REMOVE_FORM = Operation(
    SECTION,
    curl=f"curl -i -X POST http://localhost:8080/manage/{_KEY}/delete",
    description="What the page's button sends. Programs use DELETE.",
    parameters=_PARAMETERS,
    responses={303: _SEEN},
    errors=frozenset({403, 404, 410}),
)

RELEASE = Operation(
    SECTION,
    curl=f"curl -X POST http://localhost:8080/manage/{_KEY}/release",
    description="For a file in doubt: it can be downloaded again, perhaps for a second time. DELETE decides otherwise.",
    parameters=_PARAMETERS,
    responses={200: _RESPONSE, 303: _SEEN},
    errors=frozenset({403, 404, 409}),
)
