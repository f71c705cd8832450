"""The description of the surface `uploads`."""

from vimeo_api.core.policy import POLICIES
from vimeo_api.views.descriptions import errors
from vimeo_api.web.openapi import (
    ANY,
    BINARY_STRING,
    JSON,
    Body,
    Operation,
    Parameter,
    Response,
    Schema,
    Section,
)
from vimeo_api.web.resumable import draft, tus

SURFACE = "streams"
KEY = "1b7c4d6ea5f14b52a3d0c8b2f7e6a901"
URL = f"http://localhost:8080/uploads/{SURFACE}/{KEY}"
TUS = "-H 'Tus-Resumable: 1.0.0'"
NUMBER: Schema = {"type": "integer", "minimum": 0}

PROBLEM = "application/problem+json"


def _error_or_problem(description: str, text: str, headers: dict[str, str] | None = None) -> Response:
    """Return an error that may also be one of the draft's problem types (RFC 9457)."""
    schema: Schema = {"title": "ErrorOrProblem", "type": "object"}
    problem = {"type": f"{draft.PROBLEMS}mismatching-upload-offset", "expected-offset": 262144, "title": text}
    return Response(description, {JSON: Body(schema, {"error": text}), PROBLEM: Body(schema, problem)}, headers or {})


SECTION = Section(
    "uploads",
    "Resumable uploads",
    "An interrupted upload resumes where it was, by tus 1.0.0 (https://tus.io/protocols/resumable-upload) or by the "
    "IETF's draft of Resumable Uploads for HTTP (interop versions 5 to 8). Once its last byte is durable, it becomes a "
    "file of the surface in its path, under its rules; a token needs that surface's scope `write`. In the draft, a "
    "request to a surface's own path begins one, too: `Upload-Complete: ?0` with the file as the body.",
    errors={
        **errors.common(errors.in_json),
        400: _error_or_problem("A header cannot be understood; the sentence says which.", "Upload-Offset is missing."),
        403: errors.in_json(
            f"{errors.NO_SCOPE} Or the upload is joined from others and takes no bytes.",
            "The quota of this token has 0 bytes left.",
        ),
        404: errors.in_json("There is no such upload; it may have expired.", "There is no such upload."),
        409: _error_or_problem(
            "The upload continues at another byte, see `Upload-Offset`; or the file exists already.",
            "The next byte of this upload is 262144.",
            {"Upload-Offset": "Where the upload continues."},
        ),
        412: errors.in_json("The request has another version of tus.", "This service speaks tus 1.0.0."),
        413: errors.in_json("The upload is larger than the surface allows, or than announced.", "Content Too Large"),
        415: errors.in_json("The Content-Type of the body is wrong.", f"The Content-Type must be {tus.MEDIA_TYPE}."),
        423: errors.in_json(
            "Another request is still sending bytes of this upload.",
            "Another request is still sending bytes of this upload.",
            errors.RETRY_AFTER,
        ),
        460: errors.in_json(
            "The bytes do not have the checksum of the request.",
            "The bytes do not have the digest that the request says.",
        ),
    },
    everywhere=errors.EVERYWHERE | {404, 412},
)

_SURFACE = Parameter(
    "surface",
    "The surface of the finished file.",
    SURFACE,
    {"type": "string", "enum": [policy.surface for policy in POLICIES]},
)
_KEY = Parameter("key", "The random end of the upload's URL.", KEY)
_VERSION = Parameter("Tus-Resumable", "The version of tus.", tus.VERSION, {"const": tus.VERSION}, place="header")
_COMPLETE = Parameter(
    "Upload-Complete", "In the draft: whether this body is the last.", "?1", {"enum": ["?0", "?1"]}, place="header"
)
_LENGTH = Parameter("Upload-Length", "Bytes of the whole.", 9, NUMBER, place="header")
_OFFSET = Parameter("Upload-Offset", "Where the body goes.", 0, NUMBER, place="header")
_METADATA = Parameter(
    "Upload-Metadata",
    "`filename`, and what an upload to it takes: `password`, `expires_in`, `downloads`, `notify`, `queue`; in base64.",
    "filename cmVwb3J0LnBkZg==",
    place="header",
)
_CHECKSUM = Parameter(
    "Upload-Checksum",
    f"A digest of the body: {', '.join(tus.ALGORITHMS)}.",
    "sha1 jdM2HrOuz4BcMyqUh3Yj6A4kvQs=",
    place="header",
)
_CONCAT = Parameter(
    "Upload-Concat", "`partial`, or `final;` and the URLs of partial uploads, to be joined.", "partial", place="header"
)
_BODY = {tus.MEDIA_TYPE: Body(BINARY_STRING, "some data"), draft.MEDIA_TYPE: Body(BINARY_STRING, "some data")}
_PROGRESS = {
    "Upload-Offset": "Bytes that are durable.",
    "Upload-Expires": "When the upload is given up unless more bytes come.",
    "Upload-Result": "Once it is finished: what the surface answers to an upload, percent-encoded.",
    "X-Manage-Url": "Once it is finished, for `named` and `transfer`: the manage URL of the file.",
}
_STATE = {
    **_PROGRESS,
    "Upload-Length": "Bytes of the whole, once they are known.",
    "Upload-Complete": "`?1` once the file is stored.",
    "Upload-Limit": "`max-size` and `max-age` in seconds.",
}
_ANSWER = Body({}, "20ef43f7-4bfd-4b86-9204-7c857a09a940")
_OF_BODIES = frozenset({409, 413, 415, 423, 460, 507})

CREATE = Operation(
    SECTION,
    curl=f"curl -i -X POST {TUS} -H 'Upload-Length: 9' http://localhost:8080/uploads/{SURFACE}",
    description="With `Upload-Complete` it is the draft's creation: the body is the first bytes or all of them, the "
    "name comes in `Content-Disposition`, and the fields in the query. Otherwise it is that of tus. If large partial "
    "uploads are joined, the response may come before the file is stored, without `Upload-Offset`; HEAD says when.",
    parameters=(_SURFACE, _VERSION, _LENGTH, _METADATA, _CONCAT, _CHECKSUM, _COMPLETE),
    body={tus.MEDIA_TYPE: Body(BINARY_STRING, "some data"), ANY: Body(BINARY_STRING, "some data")},
    body_required=False,
    responses={
        201: Response("The upload has begun.", {ANY: _ANSWER}, {"Location": "The upload's own URL.", **_PROGRESS}),
        200: Response("In the draft: the file is stored, and its surface answers.", {ANY: _ANSWER}),
    },
    errors=_OF_BODIES,
)
APPEND = Operation(
    SECTION,
    curl=f"curl -i -X PATCH {TUS} -H 'Upload-Offset: 0' -H 'Content-Type: {tus.MEDIA_TYPE}' -d 'some data' {URL}",
    description="If the connection breaks, what has arrived is kept, unless the body has a checksum.",
    parameters=(_SURFACE, _KEY, _VERSION, _OFFSET, _LENGTH, _CHECKSUM, _COMPLETE),
    body=_BODY,
    body_required=False,
    responses={
        200: Response("In the draft: the file is stored, and its surface answers.", {ANY: _ANSWER}),
        201: Response("In the draft: the file is stored, and its surface answers.", {ANY: _ANSWER}),
        204: Response("The bytes are durable.", headers=_PROGRESS),
    },
    errors=_OF_BODIES,
)
STATE = Operation(
    SECTION,
    curl=f"curl -I {TUS} {URL}",
    description="HEAD is the usual way to ask. Once the upload is finished, GET returns what its surface answered. "
    "While partial uploads are being joined there is no `Upload-Offset`; if they cannot be joined, the response says "
    "why.",
    parameters=(_SURFACE, _KEY),
    responses={
        200: Response("The file is stored; this is what its surface answered.", {ANY: _ANSWER}, _STATE),
        201: Response("The file is stored; this is what its surface answered.", {ANY: _ANSWER}, _STATE),
        204: Response("The upload is not finished yet.", headers=_STATE),
    },
    errors=frozenset({409, 413, 423, 507}),
)
END = Operation(
    SECTION,
    curl=f"curl -X DELETE {TUS} {URL}",
    description="Its bytes are removed. The file of a finished upload stays.",
    parameters=(_SURFACE, _KEY),
    responses={204: Response("The upload is gone.")},
)
OVERRIDE = Operation(
    SECTION,
    curl=f"curl -X POST {TUS} -H 'X-HTTP-Method-Override: DELETE' {URL}",
    description="`X-HTTP-Method-Override` names the method.",
    parameters=(
        _SURFACE,
        _KEY,
        Parameter(
            "X-HTTP-Method-Override",
            "The method.",
            "PATCH",
            {"enum": ["PATCH", "HEAD", "GET", "DELETE"]},
            place="header",
        ),
    ),
    body=_BODY,
    body_required=False,
    responses=APPEND.responses,
    errors=_OF_BODIES,
)
