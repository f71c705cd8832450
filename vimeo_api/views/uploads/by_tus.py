"""Creation and PATCH by tus 1.0.0."""

from http import HTTPStatus
from urllib.parse import quote

from flask import Response, jsonify, request
from werkzeug.http import http_date

from vimeo_api.core.errors import DigestMismatch
from vimeo_api.core.resumable.checks import Content
from vimeo_api.core.resumable.rows import NewUpload, Upload
from vimeo_api.services import concatenation
from vimeo_api.views.uploads import steps
from vimeo_api.web.receiving import body_digests
from vimeo_api.web.resumable import tus
from vimeo_api.web.surface import Resumable

_RESULT_SAFE = " !\"#$&'()*+,/:;<=>?@[]^`{|}~"  # printable ASCII but for the percent sign


def create(dialect: Resumable) -> Response:
    """Begin an upload, or join partial ones."""
    tus.check_version()
    concat = tus.concat()
    sent = tus.fields()
    is_final = concat.startswith("final")
    length = None if is_final else tus.new_length()
    new = steps.new_upload(
        dialect,
        sent,
        name=tus.file_name(sent),
        length=length,
        concat=concat,
        described=tus.repeatable(),
        ignored=tus.IGNORED,
    )
    if is_final:
        return _join(dialect, new)
    with_upload = request.mimetype == tus.MEDIA_TYPE
    content = Content(size=steps.body_size(), digests=_digests())
    try:
        upload = steps.begin(dialect, new, content, with_upload=with_upload)
    except DigestMismatch as error:
        return _mismatch(error)
    if upload is None:
        return Response(status=HTTPStatus.NO_CONTENT)
    response = Response(status=HTTPStatus.CREATED)
    response.headers.update(headers(steps.finished(dialect, upload), with_offset=with_upload))
    response.headers["Location"] = steps.url(upload)
    return response


def append(dialect: Resumable, upload: Upload) -> Response:
    """Append the body at `Upload-Offset`."""
    tus.check_version()
    tus.check_media_type()
    content = Content(length=tus.number("Upload-Length"), size=steps.body_size(), digests=_digests())
    try:
        after = upload if _lost_response(upload) else steps.append(dialect, upload, tus.offset(), content)
    except DigestMismatch as error:
        return _mismatch(error)
    response = Response(status=HTTPStatus.NO_CONTENT)
    if after is not None:
        response.headers.update(headers(steps.finished(dialect, after)))
    return response


def _lost_response(upload: Upload) -> bool:
    """Return whether the client has all bytes acknowledged but not the response to the last one, and asks for it."""
    return upload.is_finished and not upload.is_final and tus.offset() == upload.offset and not steps.body_size()


def _digests() -> body_digests.Digests:
    return tus.checksum() + body_digests.of_content()


def headers(upload: Upload, *, with_offset: bool = True) -> dict[str, str]:
    """Return what tus says of an upload in every response about it."""
    headers = {"Upload-Offset": str(upload.offset)} if with_offset and not upload.is_joining else {}
    if upload.is_answered:
        headers["Upload-Result"] = quote((upload.answer or "").rstrip("\n"), safe=_RESULT_SAFE)
        headers |= steps.manage_url(upload)
    elif upload.expires_at is not None:
        headers["Upload-Expires"] = http_date(upload.expires_at)
    return headers


def _join(dialect: Resumable, new: NewUpload) -> Response:
    keys = tus.sources(new.concat, new.surface)
    if steps.is_admission():
        return Response(status=HTTPStatus.NO_CONTENT)
    upload = steps.finished(dialect, concatenation.join(dialect.policy, new, keys))
    response = Response(status=HTTPStatus.CREATED)
    response.headers.update(headers(upload))
    response.headers["Location"] = steps.url(upload)
    return response


def _mismatch(error: DigestMismatch) -> Response:
    response = jsonify(error=str(error))
    response.status = f"{tus.CHECKSUM_MISMATCH} Checksum Mismatch"
    return response
