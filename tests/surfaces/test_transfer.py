"""The surface `transfer` as its clients see it."""

import io
import random
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from werkzeug.test import TestResponse

from tests.inprocess import made
from tests.services import Service


def upload(service: Service, content: bytes, name: str = "report.xls") -> str:
    answer = requests.post(f"{service.url}/uploadFile", files={"file": (name, content)}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["file_id"]
    return str(answer.json()["file_id"])


def get(service: Service, file_id: str) -> requests.Response:
    return requests.get(f"{service.url}/downloadFile", params={"file_id": file_id}, timeout=60)


def test_it_hands_the_file_back_by_json_form_and_query_any_number_of_times(service: Service) -> None:
    content = random.randbytes(100_000)
    file_id = upload(service, content, "отчёт.xls")
    number, _, name = file_id.partition(":")
    assert 0 <= int(number) < 2**64
    assert "xls" not in name
    url = f"{service.url}/downloadFile"
    for _ in range(2):
        for answer in (
            requests.post(url, json={"file_id": file_id}, timeout=60),
            requests.post(url, data={"file_id": file_id}, timeout=60),
            requests.post(url, files={"file_id": (None, file_id)}, timeout=60),
            get(service, file_id),
        ):
            assert (answer.status_code, answer.content) == (200, content)
            assert "filename*=UTF-8''%D0%BE" in answer.headers["Content-Disposition"]
            assert answer.headers["Content-Type"] == "application/vnd.ms-excel"
    part = requests.post(url, json={"file_id": file_id}, headers={"Range": "bytes=0-9"}, timeout=60)
    assert (part.status_code, part.content) == (206, content[:10])
    head = requests.head(url, params={"file_id": file_id}, timeout=60)
    assert (head.status_code, head.headers["Content-Length"]) == (200, "100000")


def test_a_form_with_two_files_is_refused(service: Service) -> None:
    for fields in (("file", "file"), ("a", "b")):
        form = [(field, (f"{field}.txt", b"x")) for field in fields]
        answer = requests.post(f"{service.url}/uploadFile", files=form, timeout=60)
        expected = (400, {"error": "The form has 2 files where one is expected."})
        assert (answer.status_code, answer.json()) == expected
    answer = requests.post(f"{service.url}/", files=form, timeout=60)
    assert (answer.status_code, answer.text) == (400, "The form has 2 files where one is expected.")


def test_an_id_that_a_browser_sends_as_a_blob_is_one(service: Service) -> None:
    form = {"file_id": ("blob", upload(service, b"content"), "text/plain")}
    assert requests.post(f"{service.url}/downloadFile", files=form, timeout=60).content == b"content"


def test_ids_are_unique(service: Service) -> None:
    assert len({upload(service, b"same") for _ in range(10)}) == 10


def test_a_tampered_id_is_unknown(service: Service) -> None:
    mine, other = upload(service, b"mine"), upload(service, b"other")
    number, _, name = mine.partition(":")
    for tampered in (
        f"{int(number) ^ 1}:{name}",
        f"{number}:{other.partition(':')[2]}",
        f"{other.partition(':')[0]}:{name}",
        f"{number}:{name[:-4]}AAA=",
        f"0{number}:{name}",
        f"+{number}:{name}",
        f"{number}:",
        f":{name}",
        number,
        name,
        f"{mine} ",
        f"{mine}:x",
        "١٢٣:x",
        "x" * 4000,
    ):
        answer = get(service, tampered)
        assert answer.status_code == 404, tampered
        assert list(answer.json()) == ["error"]
    assert get(service, mine).content == b"mine"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b""),
        ("application/json", b"{"),
        ("application/json", b"[]"),
        ("application/json", b"{}"),
        ("application/json", b'{"file_id": 1}'),
        ("application/json", b'{"file_id": ""}'),
        ("application/json", b"\xff"),
        ("application/json", b"[" * 60_000),
        ("application/x-www-form-urlencoded", b"x=y"),
        ("application/x-www-form-urlencoded", b"\xff"),
        ("application/x-www-form-urlencoded", b"a=b&" * 1000),
        ("multipart/form-data; boundary=x", b"nonsense"),
        ("text/plain", b"nonsense"),
        ("", b""),
    ],
)
def test_an_invalid_download_is_refused(service: Service, kind: str, body: bytes) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = requests.post(f"{service.url}/downloadFile", data=body, headers=headers, timeout=60)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


def test_an_invalid_upload_is_refused(service: Service) -> None:
    before = service.stored()
    cases: list[dict[str, Any]] = [
        {},
        {"data": b"x"},
        {"json": {}},
        {"json": {"file": 1}},
        {"data": {"file": "text"}},
    ]
    for kwargs in cases:
        answer = requests.post(f"{service.url}/uploadFile", timeout=60, **kwargs)
        assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert requests.get(f"{service.url}/uploadFile", timeout=60).status_code == 405
    assert get(service, "").status_code == 400
    assert service.stored() <= before  # others' files may be removed meanwhile


def test_ids_outlive_a_restart_and_a_new_key(tmp_path: Path) -> None:
    data, new = tmp_path / "data", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    with made("embedded", data) as app:
        file_id = uploaded(app, b"kept")
    with made("embedded", data) as app:
        assert fetched(app, file_id).data == b"kept"
    old = (data / "sealing.keys").read_text().strip()
    with made("embedded", data, SEALING_KEYS=f"{new},{old}") as app:
        assert fetched(app, file_id).data == b"kept"
        newer = uploaded(app, b"newer")
    with made("embedded", data, SEALING_KEYS=new) as app:
        assert fetched(app, newer).data == b"newer"
        assert fetched(app, file_id).status_code == 404


def uploaded(app: Flask, content: bytes) -> str:
    """Upload to the app in this process, and return the id."""
    answer = app.test_client().post("/uploadFile", data={"file": (io.BytesIO(content), "a.txt")})
    return str(answer.get_json()["file_id"])


def fetched(app: Flask, file_id: str) -> TestResponse:
    return app.test_client().get("/downloadFile", query_string={"file_id": file_id})
