"""The description of the surface `vimeo`."""

from vimeo_api.core.files.slots import MOST
from vimeo_api.views.descriptions import errors, files
from vimeo_api.web.openapi import (
    HTML,
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

_HASH = "d1c5b168e5782c80fe36f601a9df3b47"
_PASSWORD: Schema = {"type": "string", "minLength": 1, "maxLength": 1024}
_VISIBLE: Schema = {"type": "string", "pattern": "^[!-~]{1,100}$"}
_BASIC = {"WWW-Authenticate": '`Basic realm="file", charset="UTF-8"`'}

_error = errors.with_message


SECTION = Section(
    "vimeo",
    "One-time files",
    "A file is uploaded, optionally protected by a password, and downloaded once. The link cannot be guessed. "
    "Errors are JSON with the name of the status and a sentence.",
    errors={
        **errors.common(_error),
        400: _error("The request cannot be understood.", "Bad Request"),
        401: _error("The file is protected; the password is missing or wrong.", "Unauthorized", _BASIC),
        403: _error(errors.NO_SCOPE, "Forbidden"),
        404: _error("There never was such a file, or there is no such path.", "Not Found"),
        405: _error("The path does not have this method.", "Method not Allowed", errors.ALLOW),
        410: _error("The file was downloaded as often as allowed, was removed, or has expired.", "Gone"),
        413: _error("The file is larger than the limit, 16 MiB by default.", "Request Entity too Large"),
        416: _error(errors.BEYOND, "Requested Range Not Satisfiable", errors.RANGE),
        423: _error(
            "Other clients are downloading the file right now, and no download is left for this one. Without "
            "`Retry-After`: nobody knows whether it was downloaded before a failure, and its owner has to decide.",
            "Locked",
            errors.RETRY_AFTER,
        ),
        429: _error(errors.TOO_OFTEN, "Too Many Requests", errors.RETRY_AFTER),
    },
    everywhere=errors.EVERYWHERE,
    security={
        "filePassword": {
            "type": "http",
            "scheme": "basic",
            "description": "The password of the file, with any user name.",
        }
    },
)

UPLOAD = Operation(
    SECTION,
    curl="curl -X PUT -F file=@report.xls -F password='hello world' http://localhost:8080/vimeo/api/v1.0/file",
    description="The file is the file part of the form, whatever its field is called; several become one zip. The "
    "password is a field of the form, or comes by Basic authentication, as `X-File-Password` or in the query. The "
    "response is sent once the file and its record are on disk.",
    parameters=(
        Parameter("password", "The password; the form field keeps it out of addresses and logs.", "sesame", _VISIBLE),
        Parameter("X-File-Password", "The password, in UTF-8.", "sesame", _VISIBLE, place="header"),
    ),
    body=files.form(
        "report.xls",
        {"file": "quarterly numbers\n", "password": "hello world"},
        closed=True,
        password={**_PASSWORD, "description": "At most 1024 bytes of UTF-8."},
        downloads={
            "type": "string",
            "pattern": "^0*([1-9][0-9]{0,3}|10000)$",
            "maxLength": 9,
            "description": f"How often the file can be downloaded, 1 to {MOST}; by default once.",
        },
        notify={
            "type": "string",
            "format": "uri",
            "maxLength": 8000,
            "description": "A URL that gets a signed POST when the file was downloaded, used up, expired or removed, "
            "in the form of Standard Webhooks.",
        },
    ),
    responses={
        201: Response(
            "The file is stored; the link works as often as `downloads` says. `manage_url` is for the uploader alone, "
            "and shown only here.",
            {
                JSON: Body(
                    closed(
                        "Uploaded",
                        status={"const": "File Uploaded Successfully"},
                        url={"type": "string", "format": "uri", "pattern": "/vimeo/api/v1\\.0/file/[0-9a-f]{32}$"},
                        manage_url={"type": "string", "format": "uri", "pattern": "/manage/[0-9a-f]{32}$"},
                        size={"type": "integer", "minimum": 0, "description": "Bytes."},
                        downloads={"type": "integer", "minimum": 1, "maximum": MOST},
                        expires_at={"type": ["string", "null"], "format": "date-time"},
                    ),
                    {
                        "status": "File Uploaded Successfully",
                        "url": f"http://localhost:8080/vimeo/api/v1.0/file/{_HASH}",
                        "manage_url": "http://localhost:8080/manage/0b9d4a6a7c1f4e4f9a3a52c8f1d0e7b6",
                        "size": 18,
                        "downloads": 1,
                        "expires_at": "2026-02-10T04:05:06Z",
                    },
                )
            },
        ),
        400: _error(
            "There is no file in the body; the body is broken; the password is empty, too long, or sent twice with "
            "different values; or the request has an unknown field.",
            "Bad Request",
            message="The body holds no file.",
        ),
        401: _error(errors.NO_TOKEN, "Unauthorized", errors.BEARER),
    },
    errors=frozenset({413, 507}),
)

DOWNLOAD = Operation(
    SECTION,
    curl=f"curl -OJ -H 'X-File-Password: hello world' http://localhost:8080/vimeo/api/v1.0/file/{_HASH}",
    description="The first complete download uses the file up; an interrupted one, HEAD, 304 and single ranges do not. "
    "Of several clients at once, one gets the file. A file for several downloads is used up by the last of them; as "
    "many clients at once get it as downloads are left. The password may come by Basic authentication, as "
    "`X-File-Password` or in the query; an unprotected file needs none and ignores it. A request that names "
    "`text/html` in `Accept`, as browsers do, and makers of previews get a page instead, which uses nothing up.",
    parameters=(
        Parameter("key", "The last segment of the link.", _HASH, {"type": "string", "pattern": "^[0-9a-f]{32}$"}),
        Parameter("password", "The password; the header keeps it out of addresses and logs.", "hello world"),
        Parameter("X-File-Password", "The password, in UTF-8.", "hello world", place="header"),
        Parameter(
            "X-Download-Grant",
            "The value from an earlier response to this client; it resumes that download.",
            "8d0ee5f5f7a94e3f9a1c4f2f6f0a7b21",
            place="header",
        ),
        *files.CONDITIONS,
    ),
    responses=files.sent(
        "guessed from the name",
        "quarterly numbers\n",
        {
            "Content-Disposition": '`attachment; filename="report.xls"`',
            "X-Download-Grant": "Resumes this download.",
            "Cache-Control": "`private, no-store`",
        },
    ),
    errors=files.CONDITION_ERRORS | {401, 404, 410, 423, 429},
    secured=True,
)

_KEY = DOWNLOAD.parameters[0]
_GRANT = Parameter(
    "grant",
    "What `POST …/download` made.",
    "8d0ee5f5f7a94e3f9a1c4f2f6f0a7b210b9d4a6a7c1f4e4f9a3a52c8f1d0e7b6",
    {"type": "string", "pattern": "^[0-9a-f]{64}$"},
)

BEGIN = Operation(
    SECTION,
    curl=f"curl -i -d 'password=hello world' http://localhost:8080/vimeo/api/v1.0/file/{_HASH}/download",
    description="What the page's button sends. It uses nothing up. The response leads to an address that starts the "
    "download and needs no password. Programs GET the link.",
    parameters=(_KEY,),
    body={
        URLENCODED: Body(
            {"title": "Password", "type": "object", "properties": {"password": STRING}}, {"password": "hello world"}
        )
    },
    body_required=False,
    responses={
        303: Response(
            "The password is right, or none is needed.",
            {HTML: Body(STRING, "<a href=…>")},
            {"Location": "`…/download/<grant>`", "Cache-Control": "`no-store`"},
        )
    },
    errors=frozenset({401, 403, 404, 410, 413, 423, 429}),
)

GRANTED = Operation(
    SECTION,
    curl=f"curl http://localhost:8080/vimeo/api/v1.0/file/{_HASH}/download/{_GRANT.example}",
    description="For people. The page reloads itself until the download is over.",
    parameters=(_KEY, _GRANT),
    responses={200: Response("The page.", {HTML: errors.PAGE}, {"Cache-Control": "`no-store`"})},
    errors=frozenset({404, 410, 423}),
)

GRANTED_FILE = Operation(
    SECTION,
    curl=f"curl -OJ http://localhost:8080/vimeo/api/v1.0/file/{_HASH}/download/{_GRANT.example}/file",
    description="The bytes, for the holder of the grant; a browser resumes its download here.",
    parameters=(_KEY, _GRANT, *files.CONDITIONS),
    responses=DOWNLOAD.responses,
    errors=files.CONDITION_ERRORS | {404, 410, 423},
)
