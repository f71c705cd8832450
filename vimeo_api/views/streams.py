"""The surface `streams`: raw streams by id, and queues of them.

    POST PUT  /v1/streams               the raw body, whatever its type   → 201 {"id":…,"status":"created"}
    GET       /v1/streams/<id>          its bytes, with ranges and conditions
    DELETE    /v1/streams/<id>          → {"id":…,"status":"deleted"}; running GETs finish
    POST      /v1/streams:join          {"streams":[…]} → a new stream of their bytes in that order; 202 if it is slow
    GET DELETE  /v1/joins/<id>          the progress of a join; cancels it
    POST      /v1/queues/<queue>/streams                  as above, and at the end of the queue
    GET       /v1/queues/<queue>/streams?after=&limit=    in the order of creation
    GET       /v1/queues/<queue>/first  /v1/queues/<queue>/streams/<id>/next  …/previous
    POST      /v1/queues/<queue>/take?seconds=            leases the first free one; → its receipt
    DELETE    /v1/queues/<queue>/streams/<id>?receipt=    confirms; a receipt that lapses puts the stream back
    GET       /ping

Departures from its document: streams are sent with a `Content-Security-Policy` that keeps browsers from running them,
as an attachment if they are HTML or XML, with `Cache-Control: no-cache`, and with `Repr-Digest` once it is known. The
path in the error of DELETE has the folder as `--path` gives it, not the real one. Queues and joining, which the
original only announced, are ours. A taken stream can still be read and deleted by its id.
"""

import json
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request, url_for

from vimeo_api.core import policy
from vimeo_api.core.errors import Malformed, NotFound
from vimeo_api.core.files import storing, types_by_content
from vimeo_api.core.files.catalog import Entry
from vimeo_api.extensions import settings
from vimeo_api.services import downloads, fetches, files, joins, queues
from vimeo_api.views.descriptions import queues as described_queues
from vimeo_api.views.descriptions import streams as described_as
from vimeo_api.web import clients
from vimeo_api.web.hooks import auth
from vimeo_api.web.hooks.auth import needs
from vimeo_api.web.openapi import described
from vimeo_api.web.problems import Problem
from vimeo_api.web.receiving import receive
from vimeo_api.web.sending import delivery
from vimeo_api.web.surface import RAW, Resumable, Surface

POLICY = policy.STREAMS

MAX_JOIN_BYTES = 1024**2  # of the request with the list of ids
MAX_JOINED = 10_000
MAX_LISTED = 1000
MAX_LEASE_SECONDS = 12 * 3600
MAX_QUEUE_NAME = 128  # characters

blueprint = Blueprint("streams", __name__)


def render(problem: Problem) -> Response:
    """Word a problem as the original's server does, in plain text."""
    text = "404 page not found" if problem.status == HTTPStatus.NOT_FOUND else problem.reason or problem.phrase
    response = Response(f"{text}\n", content_type="text/plain; charset=utf-8")
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _json(value: dict[str, Any], status: int = HTTPStatus.OK) -> Response:
    """Return JSON as Go's encoder writes it: keys in order, no spaces, a newline."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Response(f"{text}\n", status, content_type="application/json; charset=utf-8")


def _created(key: str) -> Response:
    return _json({"id": key, "status": "created"}, HTTPStatus.CREATED)


def _checked(queue: str) -> str:
    if not 0 < len(queue) <= MAX_QUEUE_NAME or not queue.isprintable():
        raise Malformed(f"The name of a queue must be 1 to {MAX_QUEUE_NAME} printable characters.")
    if queue in {".", ".."} or "/" in queue:  # no URL would lead there
        raise Malformed("The name of a queue must not be a dot or two, nor contain a slash.")
    return queue


surface = Surface(
    "streams",
    frozenset({"v1", "ping"}),
    blueprint,
    render,
    resumable=Resumable(
        POLICY,
        lambda new: _created(new.key),
        {"streams.create": RAW, "streams.enqueue": RAW},
        queue=_checked,
    ),
    makes_keys=POLICY.makes_keys,
)


@blueprint.get("/ping")
@described(described_as.PING)
def ping() -> Response:
    """Report that the service is up."""
    return _json({"message": "pong", "status": "ok"})


@blueprint.route("/v1/streams", methods=["POST", "PUT"])
@described(described_as.CREATE)
@needs("write")
def create() -> Response:
    """Store a stream; return its id once the bytes are durable."""
    return _created(_stored(queue=None))


@blueprint.get("/v1/streams/<key>")
@described(described_as.READ)
def read(key: str) -> Response:
    """Send a stream."""
    return delivery.send(*downloads.open_download(POLICY, key), attachment=False)


@blueprint.delete("/v1/streams/<key>")
@described(described_as.DELETE)
@needs("delete")
def delete(key: str) -> Response:
    """Delete a stream."""
    try:
        files.remove(POLICY, key)
    except NotFound:
        return _not_removed(key)
    return _deleted(key)


@blueprint.post("/v1/streams:join")
@described(described_as.JOIN)
@needs("write")
def join() -> Response:
    """Make a new stream of the bytes of others, in the given order."""
    wanted = receive.json_object(MAX_JOIN_BYTES)
    receive.check_options(wanted, ())
    keys, queue = wanted.get("streams"), wanted.get("queue")
    # Ids are printable, and a lone surrogate could not be sent to the database.
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) and key.isprintable() for key in keys):
        raise Malformed('The body must be {"streams": [id, …]}.')
    if len(keys) > MAX_JOINED:
        raise Malformed(f"At most {MAX_JOINED} streams can be joined at once.")
    if queue is not None and not isinstance(queue, str):
        raise Malformed("The queue must be a name.")
    queue = _checked(queue) if queue is not None else None
    key = joins.begin(POLICY, keys, client=clients.client(), queue=queue, token_id=auth.token_id())
    if fetches.wait(POLICY, key):
        downloads.open_download(POLICY, key, with_body=False)  # raises the error of a failed join
        return _created(key)
    link = url_for("streams.join_status", key=key, _external=True)
    response = _json({"id": key, "status": "joining", "status_url": link}, HTTPStatus.ACCEPTED)
    response.headers["Location"] = link
    return response


@blueprint.get("/v1/joins/<key>")
@described(described_as.JOIN_STATUS)
def join_status(key: str) -> Response:
    """Report the progress of a join."""
    return _json({"id": key, **joins.status(POLICY, key)})


@blueprint.delete("/v1/joins/<key>")
@described(described_as.JOIN_CANCEL)
@needs("delete")
def join_cancel(key: str) -> Response:
    """Cancel a join."""
    return _json({"id": key, **joins.cancel(POLICY, key)})


@blueprint.post("/v1/queues/<queue>/streams")
@described(described_queues.ENQUEUE)
@needs("write")
def enqueue(queue: str) -> Response:
    """Store a stream at the end of a queue."""
    return _created(_stored(queue=_checked(queue)))


@blueprint.get("/v1/queues/<queue>/streams")
@described(described_queues.LISTING)
@needs("list")
def listing(queue: str) -> Response:
    """List the streams of a queue in the order of creation; `next` leads to the next page."""
    limit = receive.number("limit", request.args.get("limit"), default=100, most=MAX_LISTED)
    found = queues.listing(POLICY, _checked(queue), after=request.args.get("after"), limit=limit + 1)
    following = found[limit - 1].key if len(found) > limit else None
    return _json({"streams": [_described(entry) for entry in found[:limit]], "next": following})


@blueprint.get("/v1/queues/<queue>/first")
@described(described_queues.FIRST)
@needs("list")
def first(queue: str) -> Response:
    """Describe the first stream of a queue."""
    return _json(_described(queues.first(POLICY, _checked(queue))))


@blueprint.get("/v1/queues/<queue>/streams/<key>/next")
@described(described_queues.NEXT)
@needs("list")
def following(queue: str, key: str) -> Response:
    """Describe the stream after a given one."""
    return _json(_described(queues.following(POLICY, _checked(queue), key)))


@blueprint.get("/v1/queues/<queue>/streams/<key>/previous")
@described(described_queues.PREVIOUS)
@needs("list")
def previous(queue: str, key: str) -> Response:
    """Describe the stream before a given one."""
    return _json(_described(queues.preceding(POLICY, _checked(queue), key)))


@blueprint.post("/v1/queues/<queue>/take")
@described(described_queues.TAKE)
@needs("take")
def take(queue: str) -> Response:
    """Lease the first free stream for `seconds`; return its receipt."""
    seconds = receive.number("seconds", request.args.get("seconds"), default=30, most=MAX_LEASE_SECONDS)
    entry, receipt = queues.take_first(POLICY, _checked(queue), seconds=seconds)
    return _json(_described(entry) | {"receipt": receipt})


@blueprint.delete("/v1/queues/<queue>/streams/<key>")
@described(described_queues.CONFIRM)
@needs("take")
def confirm(queue: str, key: str) -> Response:
    """Delete a taken stream; the receipt must still be the latest."""
    receipt = request.args.get("receipt")
    if receipt is None:
        raise Malformed("The receipt is missing.")
    try:
        queues.confirm(POLICY, _checked(queue), key, receipt=receipt)
    except NotFound:
        return _not_removed(key)
    return _deleted(key)


def _stored(*, queue: str | None) -> str:
    with receive.raw(POLICY.max_bytes, options={"expires_in"}) as staging:
        kind, expires_in = types_by_content.detect(staging.head), receive.lifetime()
        return storing.upload(
            POLICY, staging, content_type=kind, queue=queue, expires_in=expires_in, token_id=auth.token_id()
        ).key


def _deleted(key: str) -> Response:
    return _json({"id": key, "status": "deleted"})


def _not_removed(key: str) -> Response:
    """Say what Go's os.Remove says; ENOENT is 2."""
    error = {"Op": "remove", "Path": f"{settings.streams.path}/{key}.data", "Err": 2}
    return _json({"error": error, "status": "error"}, HTTPStatus.NOT_FOUND)


def _described(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.key,
        "size": entry.size,
        "type": entry.content_type,
        "created_at": entry.created_at.isoformat(),
        "taken": entry.status == "leased",
    }
