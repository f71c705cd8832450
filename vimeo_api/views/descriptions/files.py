"""What is the same wherever a file comes and goes: forms, conditions, ranges and headers."""

from collections.abc import Mapping

from vimeo_api.web.openapi import ANY, BINARY_STRING, FORM, Body, Content, Parameter, Response, Schema

CONDITIONS = (
    Parameter(
        "Range",
        "One range of bytes; several at once are answered by the whole file.",
        "bytes=0-3",
        place="header",
    ),
    Parameter(
        "If-None-Match",
        "ETags that the client has; `If-Modified-Since`, `If-Match` and `If-Range` are understood too.",
        '"6b01695a-12"',
        place="header",
    ),
)
# What a request with conditions may meet besides.
CONDITION_ERRORS = frozenset({412, 416})

# How long a new file lives, where its surface lets the owner say so.
LIFE: Schema = {
    "type": "integer",
    "minimum": 1,
    "maximum": 999_999_999,
    "description": "Seconds after which the file is gone.",
}
EXPIRES_IN = Parameter("expires_in", "Seconds after which the file is gone.", 3600, LIFE)


def form(filename: str, example: Mapping[str, str], *, closed: bool = False, **fields: Schema) -> Content:
    """Return the form of an upload: the file, and the fields that may stand beside it, no others if it is closed."""
    properties = {
        "file": {**BINARY_STRING, "description": "The file, with its name."},
        **fields,
        "expires_in": LIFE,
    }
    schema = {"type": "object", "properties": properties, "required": ["file"], "additionalProperties": not closed}
    return {FORM: Body(schema, example, filename=filename)}


def sent(kind: str, example: str, headers: Mapping[str, str]) -> dict[int, Response]:
    """Return the answers that carry a file: whole, in part, and not again."""
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
        304: Response("The client has it already.", headers=validators),
    }
