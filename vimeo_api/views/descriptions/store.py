"""The description of the surface `store`."""

from vimeo_api.views.descriptions import errors, files
from vimeo_api.web.openapi import (
    ANY,
    BINARY_STRING,
    FORM,
    HTML,
    OCTET_STREAM,
    PLAIN_TEXT,
    Body,
    Operation,
    Parameter,
    Response,
    Section,
)

_DIGEST = "4c694ad7a5ea27610e73d5dca732d67b51100682543877a8a882584667371a9d"
_HEX = {"type": "string", "pattern": "^[0-9a-f]{32,128}$"}
_ALIAS = "`hash` is another name of this parameter."


def _error(description: str, text: str, headers: dict[str, str] | None = None) -> Response:
    return Response(description, {PLAIN_TEXT: Body({"type": "string", "minLength": 1}, text)}, headers or {})


SECTION = Section(
    "store",
    "Files by their content",
    "A file is named by the hash of its content, so equal content is one file. Hashes are SHA-256 unless the operator "
    "chose another algorithm. Errors are a line of text.",
    errors={
        **errors.common(_error),
        400: _error("The request cannot be understood; the line says why.", "Bad Request"),
        404: _error("There is no such content.", "Not Found"),
        405: _error("The path has no such method.", "The method is not allowed for the requested URL.", errors.ALLOW),
        413: _error("The file is larger than the limit; there is none by default.", "Request Entity Too Large"),
    },
    everywhere=errors.EVERYWHERE,
)

UPLOAD = Operation(
    SECTION,
    curl="curl -F file=@report.xls http://localhost:8080/",
    description="The file of a form is the part `file`, or else its only file part; a body of any other type is the "
    "content itself. The same content gets the same hash.",
    body={
        FORM: Body(
            {
                "type": "object",
                "properties": {"file": {**BINARY_STRING, "description": "The file."}},
                "required": ["file"],
            },
            {"file": "quarterly numbers\n"},
            filename="report.xls",
        ),
        OCTET_STREAM: Body({**BINARY_STRING, "minLength": 1}, "quarterly numbers\n"),
        ANY: Body({**BINARY_STRING, "minLength": 1}, "quarterly numbers\n"),
    },
    responses={
        200: Response(
            "The hash, in lower-case hexadecimal digits, without a newline.", {PLAIN_TEXT: Body(_HEX, _DIGEST)}
        ),
        400: _error("The body is empty, or is a form without a file.", "The body is empty."),
    },
    errors=frozenset({413, 507}),
)

DOWNLOAD = Operation(
    SECTION,
    curl=f"curl -OJ 'http://localhost:8080/?file_hash={_DIGEST}'",
    description="Upper-case digits work too.",
    parameters=(
        Parameter("file_hash", f"The hash; without it, you are redirected to the file page. {_ALIAS}", _DIGEST, _HEX),
        *files.CONDITIONS,
    ),
    responses={
        **files.sent(
            "`application/octet-stream`",
            "quarterly numbers\n",
            {"Content-Disposition": "`attachment`, and the hash as the name", "Cache-Control": "`no-cache`"},
        ),
        302: Response(
            "The request has no hash.",
            {HTML: Body({"type": "string"}, '<a href="/upload">/upload</a>')},
            {"Location": "`/upload`"},
        ),
    },
    errors=files.CONDITION_ERRORS | {404},
)

DELETE = Operation(
    SECTION,
    curl=f"curl -X DELETE 'http://localhost:8080/?file_hash={_DIGEST}'",
    description="The content is gone for everyone who stored it; it can be stored again. Running downloads finish.",
    parameters=(Parameter("file_hash", f"The hash. {_ALIAS}", _DIGEST, _HEX, required=True),),
    responses={
        200: Response("The content is gone. The body is empty.", {PLAIN_TEXT: Body({"const": ""}, "")}),
        400: _error("The request has no hash.", "The parameter file_hash is missing."),
    },
    errors=frozenset({404}),
)
