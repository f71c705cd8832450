"""What is the same wherever a file is sent: conditions, ranges and headers. The surfaces' descriptions build on it."""

from collections.abc import Mapping

from vimeo_api.web.openapi import ANY, BINARY, Answer, Body, Parameter, Schema

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
# What a request with conditions may meet besides; each surface words it.
CONDITION_ERRORS = frozenset({412, 416})

# Where the operator requires tokens or sets limits.
NO_TOKEN = "The operator requires an API token; there is none, or it is unknown, revoked or expired."  # noqa: S105 -- a sentence
NO_SCOPE = "The API token does not allow this, or its quota has no room for the file."
TOO_OFTEN = "Too many uploads or wrong passwords in a while."
BEARER = {"WWW-Authenticate": '`Bearer realm="vimeo_api"`'}
RETRY = {"Retry-After": "Seconds after which to ask again."}

REFUSED_CONDITION = "`If-Match` names another version."
REFUSED_RANGE = "The range begins after the last byte; `Content-Range` tells the size."
RANGE_HEADERS = {"Content-Range": "`bytes */18`: the size of the file."}


# How long a new file lives, where its surface lets the owner say so.
LIFE: Schema = {
    "type": "integer",
    "minimum": 1,
    "maximum": 999_999_999,
    "description": "Seconds after which the file is gone.",
}
EXPIRES_IN = Parameter("expires_in", "Seconds after which the file is gone.", 3600, LIFE)


def sent(kind: str, example: str, headers: Mapping[str, str]) -> dict[int, Answer]:
    """Return the answers that carry a file: whole, in part, and not again."""
    content = {ANY: Body(BINARY, example)}
    validators = {"ETag": "Changes with the content.", "Last-Modified": "When the file was stored."}
    common = {**validators, "Accept-Ranges": "`bytes`", "X-Content-Type-Options": "`nosniff`"}
    return {
        200: Answer(f"The file. `Content-Type` is {kind}.", content, {**headers, **common}),
        206: Answer(
            "The part of the file that `Range` asked for.",
            {ANY: Body(BINARY, example[:4])},
            {**headers, **common, "Content-Range": "`bytes 0-3/18`: first byte, last byte, size."},
        ),
        304: Answer("The client has it already.", headers=validators),
    }
