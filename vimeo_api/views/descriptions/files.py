"""What uploads and downloads share on all surfaces: forms, conditions, ranges and headers."""

from collections.abc import Mapping

from vimeo_api.web.openapi import ANY, BINARY_STRING, FORM, Body, Content, Parameter, Response, Schema

CONDITIONS = (
    Parameter(
        "Range",
        "One range of bytes; a request for several gets the whole file.",
        "bytes=0-3",
        place="header",
    ),
    Parameter(
        "If-None-Match",
        "ETags that the client has; `If-Modified-Since`, `If-Match` and `If-Range` work too.",
        '"6b01695a-12"',
        place="header",
    ),
)
# The errors of requests with conditions and ranges.
CONDITION_ERRORS = frozenset({412, 416})

# Of uploads.
MANAGE_URL = {"X-Manage-Url": "For the uploader alone: GET says what became of the file, DELETE deletes it."}

# The lifetime of a new file, on surfaces where the owner may set it.
LIFE: Schema = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": 999_999_999},
        {"type": "string", "pattern": "^[1-9][0-9]{0,3}[smhd]$"},
    ],
    "description": "Seconds after which the file is gone, or a duration such as `7d`, `12h` or `30m`.",
}
EXPIRES_IN = Parameter("expires_in", LIFE["description"], 3600, LIFE)


def form(filename: str, example: Mapping[str, str], *, closed: bool = False, **fields: Schema) -> Content:
    """Return the form of an upload: the file and its optional fields; a closed form takes no others."""
    properties = {
        "file": {**BINARY_STRING, "description": "The file, with its name."},
        **fields,
        "expires_in": {**LIFE, "description": f"{LIFE['description']} It may also come in the query."},
    }
    schema = {"type": "object", "properties": properties, "required": ["file"], "additionalProperties": not closed}
    return {FORM: Body(schema, example, filename=filename)}


def sent(kind: str, example: str, headers: Mapping[str, str]) -> dict[int, Response]:
    """Return the responses of a download: the whole file, a part of it, or 304."""
    content = {ANY: Body(BINARY_STRING, example)}
    validators = {"ETag": "Changes with the content.", "Last-Modified": "When the file was stored."}
    common = {**validators, "Accept-Ranges": "`bytes`", "X-Content-Type-Options": "`nosniff`"}
    return {
        200: Response(f"The file. `Content-Type` is {kind}.", content, {**headers, **common}),
        206: Response(
            "The part of the file that `Range` asked for.",
            {ANY: Body(BINARY_STRING, example[:4])},
            {**headers, **common, "Content-Range": "`bytes 0-3/18`: first byte, last byte, size."},
        ),
        304: Response("The client has this version already.", headers=validators),
    }
