"""The surface `manage`: what an uploader may see and do by the URL that came with the upload.

    GET DELETE  /manage/<key>           what has become of the file; removes it
    POST        /manage/<key>/release   lets a file in doubt be downloaded
    POST        /manage/<key>/delete    what the page's button sends

A browser's navigation gets a page.

Uploads to `vimeo` have the URL as `manage_url`, those to `named` and `transfer` as the header X-Manage-Url. Anyone who
has it needs no token and no password. No document describes it; errors have the form of `vimeo`. A one-time file that
is gone can still be seen. On the other surfaces, where its name or id may be taken again, it is 404.
"""

from http import HTTPStatus

from flask import Blueprint, Response, jsonify, redirect, url_for
from werkzeug.wrappers import Response as AnyResponse

from vimeo_api.core.database.models import ReceiptState
from vimeo_api.core.receipts.outbox import public_id
from vimeo_api.services import manage_links
from vimeo_api.services.manage_links import OVER, Managed, State
from vimeo_api.views.descriptions import manage as described_as
from vimeo_api.web import pages
from vimeo_api.web.manage_links import moment
from vimeo_api.web.openapi import described
from vimeo_api.web.problems import Problem
from vimeo_api.web.surface import Surface

blueprint = Blueprint("manage", __name__, url_prefix="/manage")


def render(problem: Problem) -> Response:
    """Word a problem as `{"error": "Not Found", "message": …}`."""
    sentence = problem.reason
    if problem.status == HTTPStatus.NOT_FOUND:
        sentence = "There is no file with this manage URL."
    if pages.names_html():
        return _said(pages.error(problem.status, sentence or f"{problem.phrase}.", again=None))
    response = jsonify(error=problem.phrase, message=sentence or f"{problem.phrase}.")
    response.headers["Cache-Control"] = "no-store"
    return response


surface = Surface("manage", frozenset({"manage"}), blueprint, render, remembers=False)


@blueprint.get("/<key>")
@described(described_as.SHOW)
def show(key: str) -> Response:
    """Show what has become of a file."""
    file = manage_links.find(key)
    if not pages.names_html():
        return _shown(file)
    over = file.state in OVER
    response = _said(pages.page("manage.html", pages.PLAIN_POLICY, file=file, entry=file.entry, key=key, over=over))
    if file.state is State.DOWNLOADING:
        response.headers["Refresh"] = "5"
    response.vary.add("Accept")
    return response


@blueprint.delete("/<key>")
@described(described_as.REMOVE)
def remove(key: str) -> Response:
    """Remove a file at once."""
    manage_links.remove(key)
    return _said(jsonify(state=State.REMOVED))


@blueprint.post("/<key>/release")
@described(described_as.RELEASE)
def release(key: str) -> AnyResponse:
    """Let a file in doubt be downloaded."""
    manage_links.release(key)
    return _again(key) if pages.names_html() else _shown(manage_links.find(key))


@blueprint.post("/<key>/delete")
@described(described_as.REMOVE_FORM)
def remove_form(key: str) -> AnyResponse:
    """Remove a file for a browser, and show what has become of it."""
    manage_links.remove(key)
    return _again(key)


def _again(key: str) -> AnyResponse:
    return redirect(url_for("manage.show", key=key), HTTPStatus.SEE_OTHER)


def _shown(file: Managed) -> Response:
    entry = file.entry
    shown = {
        "state": file.state,
        "name": entry.name,
        "size": entry.size,
        "created_at": moment(entry.created_at),
        "expires_at": moment(file.expires_at),
        "removed_at": moment(entry.removed_at),
    }
    if file.one_time:
        shown |= {
            "downloads": entry.downloads,
            "downloads_left": file.downloads_left,
            "downloaded_at": moment(entry.delivered_at),
            "attempts": [
                {
                    "began_at": moment(attempt.begun_at),
                    "ended_at": moment(attempt.ended_at),
                    "first_byte": attempt.start,
                    "bytes": attempt.sent,
                    "complete": attempt.complete,
                    "slot": attempt.slot if entry.downloads > 1 else 1,
                }
                for attempt in file.attempts
            ],
            "id": public_id(entry.key),
            "receipts": [
                {
                    "event": f"file.{receipt.event}",
                    "at": moment(receipt.happened_at),
                    "state": receipt.state,
                    "attempts": receipt.attempts,
                    "tried_at": moment(receipt.tried_at),
                    "next_try_at": moment(receipt.due_at) if receipt.state == ReceiptState.WAITING else None,
                    "error": receipt.error,
                }
                for receipt in file.receipts
            ],
        }
    return _said(jsonify(shown))


def _said(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
