"""The description of the surface `named`."""

from vimeo_api.views.descriptions import files
from vimeo_api.web.openapi import (
    ANY,
    BINARY,
    BYTES,
    FORM,
    HTML,
    JSON,
    STRING,
    TEXT,
    Answer,
    Body,
    Content,
    Operation,
    Parameter,
    Section,
)

_PAGE = {HTML: Body(STRING, "<!doctype html>\n<title>Files</title>\n…")}
_ACCEPT = Parameter(
    "Accept",
    "Which is preferred, `application/json` or `text/html`.",
    JSON,
    place="header",
)


def _said(title: str, name: str, text: str) -> Body:
    schema = {
        "title": title,
        "type": "object",
        "properties": {name: STRING},
        "required": [name],
        "additionalProperties": False,
    }
    return Body(schema, {name: text})


def _in_both(text: str) -> Content:
    page = f"<!doctype html>\n<h1>Upload file error</h1>\n<p>{text}</p>\n…"
    return {JSON: _said("Error", "error", text), HTML: Body(STRING, page)}


def _error(description: str, text: str, headers: dict[str, str] | None = None) -> Answer:
    return Answer(description, _in_both(text), headers or {})


SECTION = Section(
    "named",
    "Files by their names",
    "Files for a team: uploaded in the browser or by a program, listed, and fetched by their names, each of which is "
    "given once. Errors are JSON for clients that prefer it. Else they are a page under `/upload` and JSON under "
    "`/download`.",
    errors={
        400: _error("The request cannot be understood.", "Bad Request"),
        401: _error(files.NO_TOKEN, "This needs an API token, as `Authorization: Bearer …`.", files.BEARER),
        403: _error(files.NO_SCOPE, "This API token does not allow named:write."),
        404: _error("There is no such file or path.", "Not Found"),
        405: _error(
            "The path is there, the method is not.",
            "The method is not allowed for the requested URL.",
            {"Allow": "The methods it has."},
        ),
        409: _error("There is a file of that name.", "sample.pdf exists"),
        412: _error(files.REFUSED_CONDITION, "Precondition Failed"),
        413: _error("The file is larger than the limit, if there is one.", "The file is larger than 16.0 MiB."),
        414: _error("The address is too long.", "Request-URI Too Long"),
        416: _error(files.REFUSED_RANGE, "The server cannot provide the requested range.", files.RANGE_HEADERS),
        429: _error(files.TOO_OFTEN, "Too many attempts; try again later.", files.RETRY),
        503: _error("The service or its database is away for a moment.", "Service Unavailable", files.RETRY),
        507: _error("The disk is full; nothing was stored.", "Insufficient Storage"),
    },
    everywhere=frozenset({400, 405, 414, 503}),
)
_REFUSED = _error("There is no file in the body, or its name has no extension that is taken.", "png file not allowed")

PAGE = Operation(
    SECTION,
    curl="curl http://localhost:8080/upload",
    description="For people. A number that is no page shows the nearest one.",
    parameters=(
        Parameter("q", "Only files whose names contain this, in any case.", "sample"),
        Parameter("page", "The number of the page, of 50 files each.", 1, {"type": "integer", "minimum": 1}),
    ),
    answers={200: Answer("The page.", _PAGE)},
)

UPLOAD_FORM = Operation(
    SECTION,
    curl="curl -i -F file=@sample.pdf http://localhost:8080/upload",
    description="The file is the part `file`, else the first file part. It keeps its name.",
    parameters=(_ACCEPT,),
    body={
        FORM: Body(
            {
                "type": "object",
                "properties": {
                    "file": {**BINARY, "description": "The file, with its name."},
                    "expires_in": files.LIFE,
                },
                "required": ["file"],
            },
            {"file": "%PDF-1.7\n…"},
            filename="sample.pdf",
        )
    },
    answers={
        302: Answer(
            "The file is stored.",
            {HTML: Body(STRING, '<a href="/download">/download</a>')},
            {"Location": "`/download`"},
        ),
        400: _REFUSED,
    },
    errors=frozenset({409, 413, 507}),
)

UPLOAD_RAW = Operation(
    SECTION,
    curl="curl --data-binary @sample.pdf -H 'Content-Type: application/json' http://localhost:8080/upload/my_upload.pdf",
    description="The body is the file as it is, whatever its `Content-Type` says.",
    parameters=(
        Parameter(
            "key",
            "The name to store the file under, with an extension that is taken.",
            "my_upload.pdf",
            {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,100}\\.(pdf|txt|csv|PNG)$"},
        ),
        files.EXPIRES_IN,
        _ACCEPT,
    ),
    body={BYTES: Body(BINARY, "%PDF-1.7\n…"), ANY: Body(BINARY, "%PDF-1.7\n…")},
    body_required=False,
    answers={
        201: Answer(
            "The file is stored.",
            {
                TEXT: Body(STRING, "my_upload.pdf uploaded"),
                JSON: _said("Uploaded", "status", "my_upload.pdf uploaded"),
            },
        ),
        400: _REFUSED,
    },
    errors=frozenset({409, 413, 507}),
)

LISTING = Operation(
    SECTION,
    curl="curl http://localhost:8080/download",
    description="Sorted by name. Browsers, which prefer HTML, are led to the page.",
    parameters=(_ACCEPT,),
    answers={
        200: Answer(
            "All files.",
            {
                JSON: Body(
                    {
                        "type": "array",
                        "items": {
                            "title": "Listed",
                            "type": "object",
                            "properties": {"filename": STRING, "url": {"type": "string", "format": "uri"}},
                            "required": ["filename", "url"],
                            "additionalProperties": False,
                        },
                    },
                    [
                        {
                            "filename": "Austin-Jung_2019_resume.pdf",
                            "url": "http://localhost:8080/download/Austin-Jung_2019_resume.pdf",
                        },
                        {"filename": "sample.pdf", "url": "http://localhost:8080/download/sample.pdf"},
                    ],
                )
            },
        ),
        302: Answer(
            "The client prefers HTML.",
            {HTML: Body(STRING, '<a href="/upload">/upload</a>')},
            {"Location": "`/upload`"},
        ),
    },
)

DOWNLOAD = Operation(
    SECTION,
    curl="curl -O http://localhost:8080/download/sample.pdf",
    description="Any number of times.",
    parameters=(Parameter("key", "The name of the file.", "sample.pdf"), _ACCEPT, *files.CONDITIONS),
    answers=files.sent(
        "guessed from the name",
        "%PDF-1.7\n…",
        {"Content-Disposition": '`attachment; filename="sample.pdf"`', "Cache-Control": "`no-cache`"},
    ),
    errors=files.CONDITION_ERRORS | {404},
)
