"""The description of the surface `named`."""

from vimeo_api.views.descriptions import errors, files
from vimeo_api.web.openapi import (
    ANY,
    BINARY_STRING,
    HTML,
    JSON,
    OCTET_STREAM,
    PLAIN_TEXT,
    STRING,
    Body,
    Content,
    Operation,
    Parameter,
    Response,
    Section,
    closed,
)

_PAGE = {HTML: Body(STRING, "<!doctype html>\n<title>Files</title>\n…")}
_ACCEPT = Parameter(
    "Accept",
    "Whether `application/json` or `text/html` is preferred.",
    JSON,
    place="header",
)


def _said(title: str, name: str, text: str) -> Body:
    return Body(closed(title, **{name: STRING}), {name: text})


def _in_both(text: str) -> Content:
    page = f"<!doctype html>\n<h1>Upload file error</h1>\n<p>{text}</p>\n…"
    return {JSON: _said("Error", "error", text), HTML: Body(STRING, page)}


def _error(description: str, text: str, headers: dict[str, str] | None = None) -> Response:
    return Response(description, _in_both(text), headers or {})


SECTION = Section(
    "named",
    "Files by their names",
    "Files for a team: uploaded in the browser or by a program, listed, and downloaded by name. No two have the same "
    "name. Errors are JSON for clients that prefer it. Otherwise they are a page under `/upload` and JSON under "
    "`/download`.",
    errors={
        **errors.common(_error),
        400: _error("The request cannot be understood.", "Bad Request"),
        404: _error("There is no such file or path.", "Not Found"),
        409: _error("There is already a file with this name.", "sample.pdf exists"),
        413: _error("The file is larger than the limit, if there is one.", "The file is larger than 16.0 MiB."),
    },
    everywhere=errors.EVERYWHERE,
)
_NO_DELETE = f"Deleting is turned off. {errors.NO_SCOPE}"
_REFUSED = _error("There is no file in the body, or its extension is not allowed.", "png file not allowed")

PAGE = Operation(
    SECTION,
    curl="curl http://localhost:8080/upload",
    description="For people. A page number out of range shows the nearest page.",
    parameters=(
        Parameter("q", "Only files whose names contain this, in upper or lower case.", "sample"),
        Parameter(
            "sort",
            "The order of the files; `newest` by default.",
            "name",
            {"enum": ["newest", "oldest", "name", "largest", "smallest"]},
        ),
        Parameter("page", "The number of the page, of 50 files each.", 1, {"type": "integer", "minimum": 1}),
    ),
    responses={200: Response("The page.", _PAGE)},
)

UPLOAD_FORM = Operation(
    SECTION,
    curl="curl -i -F file=@sample.pdf http://localhost:8080/upload",
    description="Each is stored under its own name.",
    parameters=(_ACCEPT,),
    body=files.form("sample.pdf", {"file": "%PDF-1.7\n…"}),
    responses={
        302: Response(
            "The file is stored.",
            {HTML: Body(STRING, '<a href="/download">/download</a>')},
            {"Location": "`/download`", **files.MANAGE_URL},
        ),
        400: _REFUSED,
    },
    errors=frozenset({409, 413, 507}),
)

UPLOAD_RAW = Operation(
    SECTION,
    curl="curl --data-binary @sample.pdf -H 'Content-Type: application/json' http://localhost:8080/upload/my_upload.pdf",
    description="The body is the file, whatever its `Content-Type` says.",
    parameters=(
        Parameter(
            "key",
            "The name to store the file under, with an extension that is allowed.",
            "my_upload.pdf",
            {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,100}\\.(pdf|txt|csv|PNG)$"},
        ),
        files.EXPIRES_IN,
        _ACCEPT,
    ),
    body={OCTET_STREAM: Body(BINARY_STRING, "%PDF-1.7\n…"), ANY: Body(BINARY_STRING, "%PDF-1.7\n…")},
    body_required=False,
    responses={
        201: Response(
            "The file is stored.",
            {
                PLAIN_TEXT: Body(STRING, "my_upload.pdf uploaded"),
                JSON: _said("Uploaded", "status", "my_upload.pdf uploaded"),
            },
            files.MANAGE_URL,
        ),
        400: _REFUSED,
    },
    errors=frozenset({409, 413, 507}),
)

LISTING = Operation(
    SECTION,
    curl="curl http://localhost:8080/download",
    description="Sorted by name. Browsers, which prefer HTML, are redirected to the page. With `limit` or `after` the "
    "response is a page of the list.",
    parameters=(
        Parameter("limit", "Most files in a page.", 100, {"type": "integer", "minimum": 1, "maximum": 1000}),
        Parameter("after", "The name after which the page begins, as the link to it says.", "sample.pdf"),
        _ACCEPT,
    ),
    responses={
        200: Response(
            "All files, or a page of them.",
            {
                JSON: Body(
                    {
                        "type": "array",
                        "items": closed("Listed", filename=STRING, url={"type": "string", "format": "uri"}),
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
            {"Link": 'Where the next page is, as `<…>; rel="next"` (RFC 8288), unless this is the last one.'},
        ),
        302: Response(
            "The client prefers HTML.",
            {HTML: Body(STRING, '<a href="/upload">/upload</a>')},
            {"Location": "`/upload`"},
        ),
        400: _error("`limit` is not a number from 1 to 1000.", "limit must be a number from 1 to 1000."),
    },
)

DELETE = Operation(
    SECTION,
    curl="curl -X DELETE http://localhost:8080/download/sample.pdf",
    description="Running downloads finish. Without API tokens this is 403, unless the operator allows it.",
    parameters=(Parameter("key", "The name of the file.", "sample.pdf"), _ACCEPT),
    responses={
        200: Response("The file is gone.", {JSON: _said("Deleted", "status", "sample.pdf deleted")}),
        403: _error(_NO_DELETE, "Deleting is turned off; the operator of this service can delete files."),
    },
    errors=frozenset({404}),
)

DELETE_PAGE = Operation(
    SECTION,
    curl="curl http://localhost:8080/download/sample.pdf/delete",
    description="For people.",
    parameters=(Parameter("key", "The name of the file.", "sample.pdf"), _ACCEPT),
    responses={200: Response("The page.", _PAGE), 403: DELETE.responses[403]},
    errors=frozenset({404}),
)

DELETE_FORM = Operation(
    SECTION,
    curl="curl -i -X POST http://localhost:8080/download/sample.pdf/delete",
    description="What the page's form sends. Programs use DELETE.",
    parameters=DELETE_PAGE.parameters,
    responses={
        303: Response(
            "The file is gone.", {HTML: Body(STRING, '<a href="/upload">/upload</a>')}, {"Location": "`/upload`"}
        ),
        403: DELETE.responses[403],
    },
    errors=frozenset({404}),
)

DOWNLOAD = Operation(
    SECTION,
    curl="curl -O http://localhost:8080/download/sample.pdf",
    description="Any number of times.",
    parameters=(Parameter("key", "The name of the file.", "sample.pdf"), _ACCEPT, *files.CONDITIONS),
    responses=files.sent(
        "guessed from the name",
        "%PDF-1.7\n…",
        {"Content-Disposition": '`attachment; filename="sample.pdf"`', "Cache-Control": "`no-cache`"},
    ),
    errors=files.CONDITION_ERRORS | {404},
)
