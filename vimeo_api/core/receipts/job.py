"""Send receipts; `tasks.notify` calls it.

A receipt is a POST in the form of Standard Webhooks, signed with each of our secrets, over a connection that keeps the
rules of fetches: a public address, checked after the lookup; no redirect is followed. Of the response only the status
counts; its body is not read. Source: https://github.com/standard-webhooks/standard-webhooks (spec)
"""

import logging
import socket
import threading
import time
from http import HTTPStatus

from standardwebhooks import Webhook

from vimeo_api.core.clock import now
from vimeo_api.core.database import counters
from vimeo_api.core.database.counters import Counted
from vimeo_api.core.errors import PipelineError
from vimeo_api.core.fetching.session import Limits, Session
from vimeo_api.core.fetching.ssrf import OriginFailed, OriginTooSlow
from vimeo_api.core.receipts import outbox
from vimeo_api.core.receipts.outbox import Taken
from vimeo_api.extensions import notify_secrets, settings

SECONDS = 10.0  # for one try, after the lookup of its host
_LIMITS = Limits(connect=5, stall=SECONDS, per_host=1000)  # no waiting for fetches from the same host
_senders = threading.BoundedSemaphore(3)  # of a process, so that slow receivers leave threads for fetches

_log = logging.getLogger(__name__)


def run(*, seconds: float) -> None:
    """Send the receipts that are due, one after the other; begin none after `seconds`."""
    if not _senders.acquire(blocking=False):
        return
    try:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and (taken := outbox.take()) is not None:
            _send(taken)
    finally:
        _senders.release()


def headers(message_id: str, body: str) -> dict[str, str]:
    """Return the headers of a try, made at this moment."""
    moment = now()
    signatures = [Webhook(secret).sign(message_id, moment, body) for secret in notify_secrets]
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _send(taken: Taken) -> None:
    try:
        status = _post(taken)
        if status == HTTPStatus.GONE:
            outbox.unwanted(taken)
            counters.add({Counted.RECEIPTS_UNWANTED: 1})
            return
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise OriginFailed(f"{taken.host} answers {status}.")
    except PipelineError as error:
        if isinstance(error, OriginTooSlow):
            outbox.put_off(taken.host)
        again = outbox.failed(taken, str(error))
        _log.info("receipt %s of file %d: %s", taken.event, taken.file_id, "to be tried again" if again else "given up")
        counters.add({Counted.RECEIPT_TRIES_FAILED: 1, Counted.RECEIPTS_FAILED: int(not again)})
        return
    outbox.delivered(taken)
    counters.add({Counted.RECEIPTS_DELIVERED: 1})


def _post(taken: Taken) -> int:
    """Return the status of the receiver's response. Raises UrlRefused, AddressRefused, OriginFailed, OriginTooSlow."""
    session = Session(
        _LIMITS,
        time.monotonic() + SECONDS,
        allow_private=settings.fetch_allow_private,
        connections=1,
        resolver=socket.getaddrinfo,
    )
    end = threading.Timer(SECONDS, session.stop)
    end.start()
    try:
        with session.post(taken.url, taken.body.encode(), headers(taken.message_id, taken.body)) as response:
            return response.status
    except OriginFailed as error:
        if session.stopped.is_set():
            raise OriginTooSlow(f"{taken.host} does not answer in time.") from error
        raise
    finally:
        end.cancel()
        session.close()
