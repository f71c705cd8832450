"""The steps of an upload that both protocols share: what a request describes, begin, append, finish, answer."""

from collections.abc import Mapping

from flask import Response, request, url_for

from vimeo_api.core import hosts, identifiers
from vimeo_api.core.access import passwords
from vimeo_api.core.clock import now
from vimeo_api.core.errors import Elsewhere, Malformed, PipelineError
from vimeo_api.core.files import file_names
from vimeo_api.core.files.storing import Uploaded
from vimeo_api.core.resumable import expiry, joining
from vimeo_api.core.resumable.checks import Content
from vimeo_api.core.resumable.rows import NewUpload, Upload
from vimeo_api.extensions import reservations, settings
from vimeo_api.services import receipts, resumable
from vimeo_api.services.resumable import Answer
from vimeo_api.web import clients, manage_links
from vimeo_api.web.hooks import auth
from vimeo_api.web.receiving import bodies, body_digests, receive
from vimeo_api.web.resumable import draft, running
from vimeo_api.web.surface import Resumable

FIELDS = frozenset({"downloads", "expires_in", "notify", "password"})  # of one-time files


def new_upload(
    dialect: Resumable,
    sent: Mapping[str, str],
    *,
    name: str,
    length: int | None,
    closed: bool = True,
    concat: str = "",
    described: str = "",
    ignored: frozenset[str] = frozenset(),
) -> NewUpload:
    """Return the upload that a request describes. Raises Malformed."""
    if dialect.password and (unknown := set(sent) - ignored - FIELDS):
        known = ", ".join(sorted(FIELDS | {"filename"}))
        raise Malformed(f"{min(unknown)[:50]!r} is unknown; the fields are: {known}.")
    receive.check_options(sent, _options(dialect))
    password = dialect.password(sent.get("password")) if dialect.password else None
    queue = sent.get("queue") if dialect.queue else None
    return NewUpload(
        key=identifiers.random_hex(),
        surface=dialect.policy.surface,
        length=length,
        closed=closed,
        concat=concat,
        described=described,
        name=file_names.safe(name),
        password_hash=passwords.hashed(password) if password and not is_admission() else None,
        queue=dialect.queue(queue) if dialect.queue and queue is not None else None,
        expires_in=receive.expires_in(sent.get("expires_in")) if dialect.expires else None,
        downloads=receive.downloads(sent.get("downloads")) if dialect.policy.one_time else 1,
        notify_url=receipts.checked(sent.get("notify")) if dialect.notifies else None,
        expected_digest=body_digests.of_whole(),
        token_id=auth.token_id(),
    )


def _options(dialect: Resumable) -> set[str]:
    """Return the options that uploads to a surface have."""
    has = {"password": dialect.password, "notify": dialect.notifies, "expires_in": dialect.expires}
    return {name for name, had in {**has, "downloads": dialect.policy.one_time}.items() if had}


def begin(dialect: Resumable, new: NewUpload, content: Content, *, with_upload: bool) -> Upload | None:
    """Begin an upload with the bytes of the request, if any. Return None if nginx only asks whether it may send them.

    Raises Elsewhere for a part whose bytes belong on another host.
    """
    if is_admission():
        if with_upload and new.is_partial:
            _check_host()
        resumable.check_new(dialect.policy, new)
        resumable.check_size(dialect.policy, new.length, content.size)
        _reserve()
        return None
    writer = request.environ["X_REQUEST_ID"]
    if not with_upload:
        host = hosts.for_parts_of(clients.client()) if new.is_partial else None
        return resumable.begin(dialect.policy, new, host=host)
    upload = resumable.begin(dialect.policy, new, writer=writer if settings.behind_nginx else None)
    try:
        return _received(dialect, upload, 0, writer, content)
    except PipelineError:
        expiry.remove(upload.key)  # the client does not know its URL yet
        raise


def append(dialect: Resumable, upload: Upload, offset: int, content: Content) -> Upload | None:
    """Append the bytes of the request. Return None if nginx only asks whether it may send them."""
    writer = request.environ["X_REQUEST_ID"]
    if is_admission():
        # A browser by itself repeats a request whose kept-alive connection was closed. Keep what the first one brought.
        as_known = offset == upload.offset
        upload = resumable.settled(upload, resumable.GLANCE_SECONDS if as_known else resumable.SETTLE_SECONDS)
        resumable.claim(dialect.policy, upload, offset, writer, content)
        _reserve()
        return None
    if not settings.behind_nginx:
        running.end(upload.key)
        upload = resumable.settled(upload)
    return _received(dialect, upload, offset, writer, content)


def _received(dialect: Resumable, upload: Upload, offset: int, writer: str, content: Content) -> Upload:
    if settings.behind_nginx:
        return resumable.append_spooled(dialect.policy, upload, writer, bodies.spooled_file(), content)
    with running.sending(upload.key), bodies.opened(None) as read:
        return resumable.append_streamed(dialect.policy, upload, read, offset=offset, writer=writer, content=content)


def finished(dialect: Resumable, upload: Upload) -> Upload:
    """Return an upload; if it is whole, it has become a file. Raises what kept it from being joined."""
    joining.check(upload)
    if upload.is_answered or upload.is_partial or upload.is_joining or not upload.is_whole:
        return upload

    def word(new: Uploaded) -> Answer:
        response = dialect.answer(new)
        body, manage_url = response.get_data(as_text=True), response.headers.get(manage_links.HEADER)
        return Answer(response.status_code, response.content_type or "", body, manage_url)

    return resumable.finish(dialect.policy, upload, word)


def answer(upload: Upload) -> Response:
    """Return what the surface answered to a finished upload."""
    response = Response(upload.answer, upload.answer_status, content_type=upload.answer_type)
    response.headers.update(manage_url(upload))
    return response


def manage_url(upload: Upload) -> dict[str, str]:
    """Return the header with which the answer's manage URL comes, if it has one."""
    return {manage_links.HEADER: upload.answer_manage_url} if upload.answer_manage_url else {}


def limits(dialect: Resumable, upload: Upload) -> str:
    """Return `Upload-Limit`: the limits of the surface, and how long the upload lives."""
    left = int((upload.expires_at - now()).total_seconds()) if upload.expires_at else None
    return draft.limits(dialect.policy.max_bytes, left)


def url(upload: Upload) -> str:
    """Return the URL of an upload."""
    return url_for("uploads.state", surface=upload.surface, key=upload.key, _external=True)


def is_admission() -> bool:
    """Return whether nginx asks, before the first byte, if the request may send its body."""
    return bool(request.environ.get("X_ADMIT_UPLOAD"))


def body_size() -> int | None:
    """Return the length of the request's body, None if it does not say."""
    if is_admission():
        announced = request.environ["X_ANNOUNCED"]
        return int(announced) if announced else None
    if settings.behind_nginx:
        body = bodies.spooled_file()
        return body.stat().st_size if body else 0
    return request.content_length


def _check_host() -> None:
    """Raise Elsewhere if the parts of this client belong on another host, unless a host has passed the request on."""
    host = hosts.for_parts_of(clients.client())
    if not hosts.is_here(host) and not hosts.is_key(request.headers.get("X-Spool-Key", "")):
        raise Elsewhere(hosts.address(host))


def _reserve() -> None:
    """Reserve space for a large body, as `hooks.admission` does for other uploads."""
    if request.environ.get("X_LARGE"):
        reservations.reserve(request.environ["X_REQUEST_ID"], body_size() or 0, client=clients.client())
    else:
        reservations.check_spool_space(body_size() or 0)
