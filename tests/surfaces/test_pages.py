"""The pages as the server writes them; tests/pages has what browsers do with them."""

from collections.abc import Iterator
from html import unescape
from pathlib import Path
from re import findall

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.inprocess import PROFILES, made

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(params=PROFILES)
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FlaskClient]:
    """A client of a service with a name, where anyone may delete."""
    with made(request.param, tmp_path / "data", SITE_NAME="Müller & Co", NAMED_OPEN_DELETE="1") as app:
        yield app.test_client()


def heading(page: str) -> str:
    return unescape("".join(findall("<h1[^>]*>(.*?)</h1>", page)))


@pytest.mark.parametrize(
    ("path", "status", "title"),
    [
        ("/nothing", 404, "There is no such page"),
        ("/nothing/at/all", 404, "There is no such page"),
        ("/docs/nothing", 404, "There is no such page"),
        ("/upload/a/b", 404, "There is no such page"),
        ("/download/none.txt", 404, "There is no file of this name"),
        ("/download/none.txt/delete", 404, "There is no file of this name"),
    ],
)
def test_an_error_page_is_named_for_what_happened(inprocess: Flask, path: str, status: int, title: str) -> None:
    client = inprocess.test_client()
    answer = client.get(path, headers=BROWSER)
    if path.endswith("/delete"):
        status, title = 403, "This is not allowed"  # there is no token, and no setting
    assert (answer.status_code, heading(answer.text)) == (status, title)
    assert answer.headers["Content-Security-Policy"]
    if not path.startswith("/upload"):
        assert client.get(path, headers={"Accept": "*/*"}).is_json


def test_the_documentation_is_there_with_a_slash_too(inprocess: Flask) -> None:
    client = inprocess.test_client()
    assert heading(client.get("/docs/", headers=BROWSER).text).startswith("vimeo_api")


def test_every_page_has_the_name_of_the_site(client: FlaskClient) -> None:
    client.post("/upload/a.txt", data=b"x")
    for path in ("/upload", "/docs", "/nothing", "/download/none.txt", "/download/a.txt/delete"):
        page = unescape(client.get(path, headers=BROWSER).text)
        assert "Müller & Co" in page.partition("</title>")[0], path
        assert "<bdi>Müller & Co</bdi>" in page, path


def test_a_file_is_deleted_by_its_page(client: FlaskClient) -> None:
    client.post("/upload/Q%26A.txt", data=b"x")
    assert '/download/Q&amp;A.txt/delete"' in client.get("/upload").text
    asking = client.get("/download/Q%26A.txt/delete", headers=BROWSER).text
    assert (heading(asking), "Q&amp;A.txt" in asking) == ("Delete this file?", True)
    assert client.get("/download/Q%26A.txt").status_code == 200
    deleted = client.post("/download/Q%26A.txt/delete")
    assert (deleted.status_code, deleted.headers["Location"]) == (303, "/upload")
    assert client.get("/download/Q%26A.txt").status_code == 404


def test_a_page_of_another_site_deletes_nothing(client: FlaskClient) -> None:
    client.post("/upload/kept.txt", data=b"x")
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert client.post("/download/kept.txt/delete", headers=foreign).status_code == 403
    assert client.delete("/download/kept.txt", headers=foreign).status_code == 403
    assert client.get("/download/kept.txt").status_code == 200


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("", "c a B"),
        ("newest", "c a B"),
        ("oldest", "B a c"),
        ("name", "a B c"),
        ("largest", "a c B"),
        ("smallest", "B c a"),
        ("nonsense", "c a B"),
    ],
)
def test_the_list_is_sorted(client: FlaskClient, sort: str, names: str) -> None:
    for name, size in (("B", 1), ("a", 30), ("c", 20)):
        client.post(f"/upload/{name}.txt", data=b"x" * size)
    page = client.get("/upload", query_string={"sort": sort, "q": ".TXT"}).text
    assert findall(r'<bdi class="name">(.)\.txt', page) == names.split()
    current = findall(r'<a href="([^"]*)" aria-current="true">', page)
    chosen = sort if sort in {"oldest", "name", "largest", "smallest"} else ""
    assert current == [f"/upload?q=.TXT{chosen and f'&amp;sort={chosen}'}"]
