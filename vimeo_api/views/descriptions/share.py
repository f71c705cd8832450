"""The description of the page at /share."""

from vimeo_api.views.descriptions import errors, files
from vimeo_api.web.openapi import HTML, STRING, URLENCODED, Body, Operation, Response, Section

_KEY = "0b9d4a6a7c1f4e4f9a3a52c8f1d0e7b6"
_PAGE = {HTML: Body(STRING, "<!doctype html>\n<title>Your link is ready</title>\n…")}


def _error(description: str, text: str, headers: dict[str, str] | None = None) -> Response:
    return Response(description, {HTML: Body(STRING, f"<!doctype html>\n<h1>{text}</h1>\n…")}, headers or {})


SECTION = Section(
    "share",
    "The page that makes links",
    "For people: choose a file in the browser, and get its one-time link with a QR code. Programs use the surface "
    "`vimeo`, whose tokens and limits apply here, too. Errors are pages.",
    errors={
        **errors.common(_error),
        400: _error("The form cannot be understood; the page says why.", "This request cannot be understood"),
        404: _error("There is no file with this manage key.", "There is no such page"),
        413: _error("The file is larger than the limit, 16 MiB by default.", "This file is too large"),
    },
    everywhere=errors.EVERYWHERE,
)

PAGE = Operation(
    SECTION,
    curl="curl http://localhost:8080/share",
    description="Its script uploads to `/uploads/vimeo`.",
    responses={200: Response("The page.", _PAGE)},
)

UPLOAD_FORM = Operation(
    SECTION,
    curl="curl -F file=@report.xls -F password='hello world' http://localhost:8080/share",
    description="For browsers without a script. Empty fields are ignored.",
    body=files.form(
        "report.xls",
        {"file": "quarterly numbers\n", "password": "hello world"},
        password={"type": "string", "minLength": 1, "maxLength": 256},
    ),
    responses={201: Response("The page with the link, its QR code and the manage URL.", _PAGE)},
    errors=frozenset({413, 507}),
)

LINK = Operation(
    SECTION,
    curl=f"curl -d manage={_KEY} http://localhost:8080/share/link",
    description="For the script of the page.",
    body={
        URLENCODED: Body(
            {
                "type": "object",
                "properties": {"manage": {"type": "string", "pattern": "^[0-9a-f]{32}$"}},
                "required": ["manage"],
            },
            {"manage": _KEY},
        )
    },
    responses={200: Response("The page with the link.", _PAGE)},
    errors=frozenset({404, 413}),
)
