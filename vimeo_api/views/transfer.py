"""The surface `transfer`: files by sealed ids.

    POST      /uploadFile     a form with `file` → {"file_id": "<access_hash>:<file_name>"}
    POST GET  /downloadFile   `file_id` as JSON, as a form or in the query → the file, any number of times

The access hash is a random unsigned 64-bit number, the file name is encrypted and bound to it; both must match on the
way back. URL uploads (`{"file": "<url>"}`) are not there yet: 501.
"""

import json
from typing import Any
from urllib.parse import parse_qs

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import NotImplemented as NotYet

from vimeo_api import services
from vimeo_api.core import identifiers, sealing
from vimeo_api.core.errors import Malformed, NotThere
from vimeo_api.core.policy import Policy
from vimeo_api.web import delivery, receive
from vimeo_api.web.problems import Problem
from vimeo_api.web.surface import Surface

POLICY = Policy("transfer", new_key=identifiers.any_number)
MAX_QUESTION_BYTES = 64 * 1024  # of a JSON body or an urlencoded form

blueprint = Blueprint("transfer", __name__)


def render(problem: Problem) -> Response:
    """Word a problem as `{"error": …}`."""
    return jsonify(error=problem.reason or problem.phrase)


surface = Surface("transfer", frozenset({"uploadFile", "downloadFile"}), blueprint, render)


@blueprint.post("/uploadFile")
def upload() -> Response:
    """Store a file and answer its sealed id."""
    if request.mimetype == "application/json":
        _field(receive.text(MAX_QUESTION_BYTES), "file")
        raise NotYet("URL uploads are not implemented yet.")
    with receive.form(POLICY.max_bytes, prefer="file") as form:
        name = services.check_name(POLICY, form.filename)
        number = services.upload(POLICY, form.staging, name=name)
    return jsonify(file_id=sealing.seal(number, name))


@blueprint.route("/downloadFile", methods=["GET", "POST"])
def download() -> Response:
    """Send the file of a sealed id."""
    opened = sealing.open_sealed(_file_id())
    if opened is None:
        raise NotThere("There is no file with this id.")
    number, name = opened
    found = services.open_download(POLICY, number)
    if found.name != name:
        raise NotThere("There is no file with this id.")
    return delivery.send(found)


def _file_id() -> str:
    if request.method != "POST":
        file_id = request.args.get("file_id")
    elif receive.is_form():
        file_id = receive.fields().get("file_id")
    elif request.mimetype == "application/x-www-form-urlencoded":
        file_id = _urlencoded(receive.text(MAX_QUESTION_BYTES)).get("file_id")
    else:
        file_id = _field(receive.text(MAX_QUESTION_BYTES), "file_id")
    if not file_id:
        raise Malformed("file_id is missing.")
    return file_id


def _field(body: bytes, name: str) -> str:
    """Return a text field of a JSON object."""
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("The body is no JSON.") from None
    if not isinstance(value, dict) or not isinstance(value.get(name), str) or not value[name]:
        raise Malformed(f'The body must be {{"{name}": "…"}}.')
    return str(value[name])


def _urlencoded(body: bytes) -> dict[str, str]:
    try:
        return {name: values[0] for name, values in parse_qs(body.decode("ascii"), max_num_fields=100).items()}
    except ValueError:
        raise Malformed("The form is not urlencoded.") from None
