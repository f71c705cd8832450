"""The API's description: complete, valid, and true of the service in both profiles."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import pytest
import requests
import schemathesis
from flask import Flask
from hypothesis import settings
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.generation.hypothesis.builder import HypothesisTestConfig, HypothesisTestMode, create_test
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    unsupported_method,
)

from tests.services import ROOT, Service, await_
from vimeo_api import views
from vimeo_api.version import VERSION
from vimeo_api.web import openapi
from vimeo_api.web.pipeline import Pipeline

Check = Callable[..., bool | None]

APP = Pipeline("vimeo_api")
views.init_app(APP)
DOCUMENT = openapi.document(APP)
OPERATIONS = [(path, method, api) for path, methods in DOCUMENT["paths"].items() for method, api in methods.items()]

PASSWORDS = ("password", "X-File-Password")

# Valid requests that are refused for good reasons: the file is used up, taken, or shorter than the range.
REFUSED = ["404", "409", "410", "412", "416", "423"]
CHECKS = {"checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "3xx", *REFUSED]}}}
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT, config=schemathesis.Config.from_dict(CHECKS))


@schemathesis.serializer("application/offset+octet-stream", "application/partial-upload")
def _raw(_context: object, value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


def test_it_describes_every_route_and_method() -> None:
    described = {(path, method.upper()) for path, method, _ in OPERATIONS}
    routed = {
        (rule.rule.replace("<", "{").replace(">", "}"), method)
        for rule in APP.url_map.iter_rules()
        if rule.endpoint != "static"
        for method in rule.methods or ()
    }
    assert described == {(path, method) for path, method in routed if method not in {"HEAD", "OPTIONS"}}


def test_it_refuses_a_route_that_nobody_has_described() -> None:
    app = Flask("bare")
    app.add_url_rule("/new", "new", lambda: "")
    with pytest.raises(LookupError, match="new is not described"):
        openapi.document(app)


def test_it_is_valid_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    assert len({api["operationId"] for _, _, api in OPERATIONS}) == len(OPERATIONS)


def test_it_has_the_version_of_the_package() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert tools["hatch"]["version"]["path"] == "vimeo_api/version.py"
    assert DOCUMENT["info"]["version"] == VERSION


def test_it_gives_examples_that_its_schemas_accept() -> None:
    found = list(_exemplified(DOCUMENT))
    assert len(found) > 100
    for holder in found:
        Draft202012Validator.check_schema(holder["schema"])
        Draft202012Validator(holder["schema"]).validate(holder["example"])


def test_it_gives_every_body_an_example_and_every_operation_a_curl_line() -> None:
    for path, method, api in OPERATIONS:
        bodies = [api.get("requestBody", {}), *api["responses"].values(), *DOCUMENT["components"]["responses"].values()]
        assert all("example" in body for answer in bodies for body in answer.get("content", {}).values())
        assert api["x-codeSamples"][0]["source"].startswith("curl "), (path, method)


def _exemplified(node: object) -> Iterator[dict[str, Any]]:
    """Yield every object that has a schema and an example."""
    if isinstance(node, dict):
        if {"schema", "example"} <= set(node):
            yield node
        for value in node.values():
            yield from _exemplified(value)
    if isinstance(node, list):
        for value in node:
            yield from _exemplified(value)


def test_its_texts_have_no_markup_but_code() -> None:
    """The page knows only backticks."""
    assert re.findall(r"\]\(|\*\*", json.dumps(DOCUMENT)) == []


def test_it_is_served_for_programs_and_for_people(service: Service) -> None:
    assert requests.get(f"{service.url}/openapi.json", timeout=60).json() == DOCUMENT
    page = requests.get(f"{service.url}/docs", timeout=60)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
    assert "<script" not in page.text
    assert "http://localhost:8080" not in page.text
    text = page.text.replace("<wbr>", "")
    for path, method, api in OPERATIONS:
        assert f'id="op-{api["operationId"]}"' in text
        assert f">{method.upper()}</span> <code>{path}</code>" in text
    style = requests.get(f"{service.url}/static/docs.css", timeout=60)
    assert style.headers["Content-Type"].startswith("text/css")


# Made while the test runs: `SCHEMA.parametrize()` makes the requests while tests are collected, in each worker, and
# schemathesis's own remedy, `from_fixture`, does not work with pytest 9.2.
@pytest.mark.parametrize("operation", [f"{method.upper()} {path}" for path, method, _ in OPERATIONS])
def test_it_tells_the_truth(operation: str, service: Service) -> None:
    schema, modes, number = SCHEMA, list(HypothesisTestMode), 20
    if service.profile == "embedded":  # the same views: random requests suffice to show how it frames responses
        modes, number = [HypothesisTestMode.EXAMPLES, HypothesisTestMode.FUZZING], 5
    chosen = settings(max_examples=number, deadline=None, derandomize=True)  # the same requests in each run
    config = HypothesisTestConfig(project=schema.config, modes=modes, settings=chosen)
    method, path = operation.split()
    create_test(operation=schema[path][method], test_func=check, config=config)(service=service)


def check(case: schemathesis.Case[Any], service: Service) -> None:
    """Send a request and check all that schemathesis checks.

    No 5XX; status, type, schema and headers as described; invalid requests refused and valid ones accepted; 405 with
    Allow for other methods.
    """
    case.call_and_validate(base_url=service.url, timeout=60, excluded_checks=list(_inapplicable(case)))


REFUSED_THOUGH_VALID = {
    "DELETE /download/{key}",  # this service has deleting turned off
    "GET /download/{key}/delete",
    "POST /download/{key}/delete",
    "DELETE /downloadFile",
    "POST /v1/streams:join",  # JSON Schema cannot say how often a stream may be repeated
}


def _inapplicable(case: schemathesis.Case[Any]) -> Iterator[Check]:
    if case.method == "TRACE":
        yield unsupported_method  # nginx itself refuses TRACE, and names no methods
    fetches = case.operation.label == "POST /uploadFile" and case.media_type == "application/json"
    if fetches or case.operation.label in REFUSED_THOUGH_VALID:
        yield positive_data_acceptance  # 403: these tests do not fetch from wherever a random URL leads
    if "/uploads/" in case.operation.label:
        yield positive_data_acceptance  # which headers go together depends on the protocol
        yield negative_data_rejection  # what one of them cannot read, the other ignores
    if case.operation.label == "GET /upload":
        yield negative_data_rejection  # a page for people: a bad page number shows the nearest page
    if case.media_type == "multipart/form-data":
        yield negative_data_rejection  # a field of a form is text, whatever it was made from
    body = case.body if isinstance(case.body, dict) else {}
    if case.operation.label == "POST /" and case.media_type != "application/octet-stream" and not body:
        yield positive_data_acceptance  # what is generated for */* is encoded: as a form, which is described apart,
        yield negative_data_rejection  # or so that nothing becomes something
    ways = (parts and parts.get(name) for parts in (body, case.query, case.headers) for name in PASSWORDS)
    if len({password for password in ways if password}) > 1:
        yield positive_data_acceptance  # each way is valid, and passwords that differ are refused
    if "%00" in case.formatted_path:
        yield content_type_conformance  # nginx refuses NUL in a path before it knows whose path it is
    queues = [unquote(str(parts.get("queue") or "")) for parts in (case.path_parameters, body)]
    if "\0" in "".join(map(str, (case.query or {}).values())) or not all(
        queue.isprintable() and "/" not in queue and queue not in {".", ".."} for queue in queues
    ):
        yield positive_data_acceptance  # JSON Schema has no name for printable characters, nor for text without NUL


def test_it_tells_the_truth_about_existing_files(service: Service) -> None:
    # Generated ids name nothing; these name files that are there.
    content = b"quarterly numbers\n"
    form = {"file": ("report.xls", content)}
    link = requests.put(service.vimeo, files=form, data={"password": "hello world"}, timeout=60).json()["url"]
    queue = f"{service.url}/v1/queues/described/streams"
    ids = [requests.post(queue, data=content, timeout=60).json()["id"] for _ in range(3)]
    digest = requests.post(f"{service.url}/", data=content, timeout=60).text
    sealed = requests.post(f"{service.url}/uploadFile", files=form, timeout=60).json()["file_id"]

    one_time = {"path_parameters": {"key": link.rsplit("/", 1)[1]}}
    queued = {"path_parameters": {"queue": "described", "key": ids[1]}}
    stream = {"path_parameters": {"key": ids[1]}}
    again = {"headers": {"If-None-Match": "*"}}
    part = {"headers": {"Range": "bytes=0-3"}}
    beyond = {"headers": {"Range": "bytes=99-"}}

    _meets(service, "GET", "/vimeo/api/v1.0/file/{key}", 401, **one_time)
    one_time["query"] = {"password": "hello world"}
    for status, more in {206: part, 304: again, 416: beyond, 200: {}, 410: {}}.items():
        _meets(service, "GET", "/vimeo/api/v1.0/file/{key}", status, **one_time, **more)
    for status, more in {200: {}, 206: part, 304: again, 416: beyond}.items():
        _meets(service, "GET", "/v1/streams/{key}", status, **stream, **more)
        _meets(service, "GET", "/", status, query={"file_hash": digest}, **more)
        _meets(service, "GET", "/downloadFile", status, query={"file_id": sealed}, **more)
        for kind in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data"):
            _meets(service, "POST", "/downloadFile", status, body={"file_id": sealed}, media_type=kind, **more)
    _meets(service, "DELETE", "/downloadFile", 403, query={"file_id": sealed})
    _meets(service, "DELETE", "/download/{key}", 403, path_parameters={"key": "sample.pdf"})
    _meets(service, "POST", "/v1/streams:join", 201, body={"streams": ids}, media_type="application/json")
    _meets(service, "GET", "/v1/queues/{queue}/streams", 200, path_parameters={"queue": "described"})
    _meets(service, "GET", "/v1/queues/{queue}/first", 200, path_parameters={"queue": "described"})
    _meets(service, "GET", "/v1/queues/{queue}/streams/{key}/next", 200, **queued)
    _meets(service, "GET", "/v1/queues/{queue}/streams/{key}/previous", 200, **queued)
    _meets(service, "POST", "/v1/queues/{queue}/take", 200, path_parameters={"queue": "described"})
    _meets(service, "DELETE", "/v1/queues/{queue}/streams/{key}", 409, **queued, query={"receipt": "none"})
    for status in (200, 404):
        _meets(service, "DELETE", "/v1/streams/{key}", status, **stream)
        _meets(service, "DELETE", "/", status, query={"file_hash": digest})


def _meets(service: Service, method: str, path: str, status: int, **parts: Any) -> None:
    case = SCHEMA[path][method].Case(**parts)

    def unlocked() -> int | None:
        # The end of a download is recorded a moment after its client has it.
        found = case.call_and_validate(base_url=service.url, timeout=60).status_code
        return None if found == requests.codes.locked else found

    assert await_(unlocked) == status, (method, path, parts)


@pytest.mark.parametrize("path", ["/upload?q=%00", "/v1/queues/q/streams?after=%00", "/?file_hash=%00", "/ping?%00"])
def test_it_refuses_a_nul_in_the_query(service: Service, path: str) -> None:
    assert requests.get(service.url + path, timeout=60).status_code == 400


@pytest.mark.parametrize("key", [r"\u0000", r"\ud800"])
def test_it_refuses_to_join_an_invalid_id(service: Service, key: str) -> None:
    answer = requests.post(f"{service.url}/v1/streams:join", data=f'{{"streams":["{key}"]}}', timeout=60)
    assert (answer.status_code, answer.text) == (400, 'The body must be {"streams": [id, …]}.\n')


def test_it_answers_a_failed_condition_without_a_body_that_never_comes(service: Service) -> None:
    key = requests.post(f"{service.url}/v1/streams", data=b"abc", timeout=60).json()["id"]
    answer = requests.get(f"{service.url}/v1/streams/{key}", headers={"If-Match": '"other"'}, timeout=60)
    assert answer.status_code == 412


def test_it_ignores_ranges_in_units_nobody_knows(service: Service) -> None:
    key = requests.post(f"{service.url}/v1/streams", data=b"abc", timeout=60).json()["id"]
    answer = requests.get(f"{service.url}/v1/streams/{key}", headers={"Range": "lines=1-2"}, timeout=60)
    assert (answer.status_code, answer.content) == (200, b"abc")
