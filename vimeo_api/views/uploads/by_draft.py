"""Creation and PATCH by the IETF's draft."""

from http import HTTPStatus

from flask import Response, g, request

from vimeo_api.core.errors import Inconsistent, Malformed, TooLarge
from vimeo_api.core.resumable import expiry
from vimeo_api.core.resumable.checks import Content
from vimeo_api.core.resumable.rows import Upload
from vimeo_api.views.uploads import steps
from vimeo_api.web.receiving import body_digests
from vimeo_api.web.resumable import draft, tus
from vimeo_api.web.surface import Resumable


def create(dialect: Resumable, *, name: str = "", queue: str | None = None) -> Response:
    """Begin an upload with the body, which may be all of it; name and queue may come in the path of a surface."""
    completes = draft.completes()
    if completes is None:
        raise Malformed("Upload-Complete must be ?0 or ?1.")
    length = _length(0, completes=completes)
    described = tus.fields()  # tus-js-client sends it in the draft, too
    new = steps.new_upload(
        dialect,
        {**described, **request.args, **({} if queue is None else {"queue": queue})},
        name=name or draft.file_name() or tus.file_name(described),
        length=length,
        closed=completes,
        described=tus.repeatable(),
        ignored=tus.IGNORED,
    )
    content = Content(size=steps.body_size(), closed=completes, ends=completes, digests=body_digests.of_content())
    upload = steps.begin(dialect, new, content, with_upload=True)
    if upload is None:
        return Response(status=HTTPStatus.NO_CONTENT)
    response = _outcome(dialect, upload, HTTPStatus.CREATED)
    response.headers["Location"] = steps.url(upload)
    return response


def append(dialect: Resumable, upload: Upload) -> Response:
    """Append the body at `Upload-Offset`."""
    draft.check_media_type()
    completes, offset = draft.completes(), draft.number("Upload-Offset")
    if completes is None or offset is None:
        raise Malformed("Upload-Complete and Upload-Offset are both needed.")
    if upload.is_finished and completes and offset == upload.offset and not steps.body_size():
        return _outcome(dialect, upload, HTTPStatus.NO_CONTENT)  # the client lost the response
    length = _length(offset, completes=completes)
    content = Content(length, steps.body_size(), completes, completes, body_digests.of_content())
    try:
        after = steps.append(dialect, upload, offset, content)
    except TooLarge:
        expiry.remove(upload.key)  # section 4.4.2: the upload is invalid from now on
        raise
    if after is None:
        return Response(status=HTTPStatus.NO_CONTENT)
    return _outcome(dialect, after, HTTPStatus.NO_CONTENT)


def _length(offset: int, *, completes: bool) -> int | None:
    """Return the length of the whole as the request says it, in one way or two. Raises Inconsistent."""
    said, size = draft.number("Upload-Length"), steps.body_size()
    ends = offset + size if completes and size is not None else None
    if None not in {said, ends} and said != ends:
        raise Inconsistent("The lengths in the request differ.")
    return said if ends is None else ends


def _outcome(dialect: Resumable, upload: Upload, status: HTTPStatus) -> Response:
    if upload.is_whole:
        g.processed = True  # an error from now on is about the file, not about the upload
        upload = steps.finished(dialect, upload)
        response = steps.answer(upload)
    else:
        response = Response(status=status)
        response.headers["Upload-Limit"] = steps.limits(dialect, upload)
    response.headers["Upload-Offset"] = str(upload.offset)
    response.headers["Upload-Complete"] = draft.boolean(upload.is_finished)
    return response
