"""The description of the surface `transfer`."""

from dataclasses import replace

from vimeo_api.views.descriptions import errors, files
from vimeo_api.web.openapi import (
    FORM,
    JSON,
    STRING,
    URLENCODED,
    Body,
    Operation,
    Parameter,
    Response,
    Schema,
    Section,
    closed,
)

_FILE_ID = (
    "8350294637461029384:gAAAAABrAWlWIfA18iaxguaKUI1GIUYKOxQpzpkNybp4_t10DwcufHmIPKQQ384wBdgdvm8OLBy7-5g_vNk3W7LTZRhz4"
    "Z63xyORGL6WRKfgDZRaE08pTGE="
)
_SEALED_ID = {"type": "string", "pattern": "^[0-9]{1,20}:[A-Za-z0-9_=-]+$"}
_QUESTION = Body(
    {"title": "Question", "type": "object", "properties": {"file_id": _SEALED_ID}, "required": ["file_id"]},
    {"file_id": _FILE_ID},
)
_STATE: Schema = {
    "type": "object",
    "properties": {
        "state": {"enum": ["fetching", "available", "failed", "gone"]},
        "bytes": {"type": "integer", "minimum": 0},
        "total": {"type": ["integer", "null"], "minimum": 0},
        "rate": {"type": ["integer", "null"], "minimum": 0, "description": "Bytes per second."},
        "seconds_left": {"type": ["integer", "null"]},
        "failure": {"type": ["string", "null"]},
        "error": {"type": ["string", "null"]},
    },
}
_error = errors.in_json

SECTION = Section(
    "transfer",
    "Files by sealed ids",
    "An id is a random 64-bit number and the encrypted name of the file, bound to each other. Anyone who has it may "
    "download the file any number of times. Errors are JSON with a sentence.",
    errors={
        **errors.common(_error),
        400: _error("The request cannot be understood; the sentence says why.", "Bad Request"),
        403: _error(
            f"URL uploads are turned off, or the address of the URL is not allowed. {errors.NO_SCOPE}",
            "URL uploads are turned off.",
        ),
        404: _error("The id is unknown or was tampered with.", "There is no file with this id."),
        410: _error("The fetch of this file was cancelled.", "Cancelled."),
        413: _error("The body is larger than the limit; files have none by default.", "Request Entity Too Large"),
        425: Response(
            "The file is still being fetched; the progress is beside the error.",
            {JSON: Body({**_STATE, "required": ["error"]}, {"error": "The file is still being fetched."})},
            errors.RETRY_AFTER,
        ),
        502: _error("The origin of the URL is at fault.", "example.org answers 404 (Not Found)."),
        504: _error("The origin of the URL is too slow.", "The fetch takes longer than 21600 seconds."),
    },
    everywhere=errors.EVERYWHERE,
)

UPLOAD = Operation(
    SECTION,
    curl="curl -F file=@report.xls http://localhost:8080/uploadFile",
    description="The file of a form is the part `file`, or else its only file part. JSON gives a URL from which a "
    "worker fetches the file; with `Prefer: respond-async` the response does not wait for it. A form cannot give a "
    "URL, because any site could submit one.",
    body={
        **files.form("report.xls", {"file": "quarterly numbers\n"}),
        JSON: Body(
            {
                "title": "Source",
                "type": "object",
                "properties": {
                    "file": {"type": "string", "minLength": 1, "description": "An http or https URL."},
                    "sha256": {"type": "string", "pattern": "^[0-9A-Fa-f]{64}$", "description": "The file's SHA-256."},
                    "expires_in": files.LIFE,
                },
                "required": ["file"],
            },
            {"file": "https://example.org/report.xls"},
        ),
    },
    responses={
        200: Response(
            "The file is stored.",
            {JSON: Body(closed("Uploaded", file_id=_SEALED_ID), {"file_id": _FILE_ID})},
            files.MANAGE_URL,
        ),
        202: Response(
            "The file is still being fetched.",
            {
                JSON: Body(
                    closed("Begun", file_id=_SEALED_ID, status_url=STRING),
                    {"file_id": _FILE_ID, "status_url": f"http://localhost:8080/uploadFile/{_FILE_ID}"},
                )
            },
            {"Location": "The same as `status_url`.", **files.MANAGE_URL},
        ),
        400: _error("There is no file in the body, or the body is broken.", "The body holds no file."),
    },
    errors=frozenset({403, 413, 502, 504, 507}),
)

DOWNLOAD = Operation(
    SECTION,
    curl=f"curl -OJ 'http://localhost:8080/downloadFile?file_id={_FILE_ID}'",
    description="Both parts of the id must match.",
    parameters=(
        Parameter("file_id", "What the upload answered.", _FILE_ID, _SEALED_ID, required=True),
        *files.CONDITIONS,
    ),
    responses={
        **files.sent(
            "guessed from the name",
            "quarterly numbers\n",
            {"Content-Disposition": '`attachment; filename="report.xls"`', "Cache-Control": "`no-cache`"},
        ),
        400: _error("There is no id in the request, or it cannot be understood.", "file_id is missing."),
    },
    errors=files.CONDITION_ERRORS | {403, 404, 410, 413, 425, 502, 504, 507},
)

DOWNLOAD_BY_POST = replace(
    DOWNLOAD,
    curl=f"curl -OJ -H 'Content-Type: application/json' -d '{{\"file_id\":\"{_FILE_ID}\"}}' "
    "http://localhost:8080/downloadFile",
    description="The id comes as JSON or in a form. Ranges and conditions work as with GET.",
    parameters=files.CONDITIONS,
    body={JSON: _QUESTION, URLENCODED: _QUESTION, FORM: _QUESTION},
    errors=DOWNLOAD.errors | {413},
)

DELETE = Operation(
    SECTION,
    curl=f"curl -X DELETE 'http://localhost:8080/downloadFile?file_id={_FILE_ID}'",
    description="The id comes in the query, as JSON or in a form. Running downloads finish, a running fetch is "
    "cancelled. Without API tokens this is 403, unless the operator allows it.",
    parameters=(Parameter("file_id", "What the upload answered, if not in the body.", _FILE_ID, _SEALED_ID),),
    body={JSON: _QUESTION, URLENCODED: _QUESTION, FORM: _QUESTION},
    body_required=False,
    responses={
        200: Response(
            "The file is gone.",
            {
                JSON: Body(
                    closed("Deleted", file_id=_SEALED_ID, status={"const": "deleted"}),
                    {"file_id": _FILE_ID, "status": "deleted"},
                )
            },
        ),
        400: _error("There is no id in the request, or it cannot be understood.", "file_id is missing."),
        403: _error(
            f"Deleting is turned off. {errors.NO_SCOPE}",
            "Deleting is turned off; the operator of this service can delete files.",
        ),
    },
    errors=frozenset({404, 413}),
)

_PROGRESS = Body(
    {
        **_STATE,
        "title": "Progress",
        "properties": {
            "file_id": _SEALED_ID,
            "name": {"type": "string", "description": "The URL's last segment, until the origin has sent a name."},
            **_STATE["properties"],
        },
        "required": ["file_id", "name", *_STATE["properties"]],
        "additionalProperties": False,
    },
    {
        "file_id": _FILE_ID,
        "name": "report.xls",
        "state": "fetching",
        "bytes": 73400320,
        "total": 104857600,
        "rate": 24466773,
        "seconds_left": 2,
        "failure": None,
        "error": None,
    },
)

STATUS = Operation(
    SECTION,
    curl=f"curl http://localhost:8080/uploadFile/{_FILE_ID}",
    description="Only for files that were uploaded by URL.",
    parameters=(Parameter("file_id", "What the upload answered.", _FILE_ID, _SEALED_ID, required=True),),
    responses={200: Response("The progress of the fetch.", {JSON: _PROGRESS})},
    errors=frozenset({404}),
)

CANCEL = replace(
    STATUS,
    curl=f"curl -X DELETE http://localhost:8080/uploadFile/{_FILE_ID}",
    description="A fetch that has ended is not changed.",
    responses={200: Response("The fetch after the request.", {JSON: _PROGRESS})},
)
