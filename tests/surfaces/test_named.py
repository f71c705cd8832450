"""The surface `named` as programs see it; tests/pages has its page."""

import io
import random
import subprocess
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from flask import Flask

from tests.inprocess import PROFILES, made
from tests.services import Service
from vimeo_api.views import named

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
JSON = {"Accept": "application/json"}


def fresh(extension: str = "pdf") -> str:
    return f"sample-{random.randrange(10**12)}.{extension}"


def post(service: Service, name: str, content: bytes = b"x", **kwargs: object) -> requests.Response:
    return requests.post(f"{service.url}/upload/{name}", data=content, timeout=60, **kwargs)  # type: ignore[arg-type]


def test_it_serves_the_examples_of_its_document(service: Service, tmp_path: Path) -> None:
    sample = tmp_path / fresh()
    sample.write_bytes(random.randbytes(50_000))
    form = ["curl", "-i", "-sS", "-X", "POST", "-H", "Content-Type: multipart/form-data", "-F", f"file=@{sample}"]
    done = subprocess.run([*form, f"{service.url}/upload"], capture_output=True, text=True, check=True)
    assert "302" in done.stdout
    assert "Location: /download\r" in done.stdout.replace("\n", "\r")

    mine = fresh()
    raw = ["curl", "-i", "-sS", "-X", "POST", "-H", "Content-Type: application/json", "--data-binary", f"@{sample}"]
    done = subprocess.run([*raw, f"{service.url}/upload/{mine}"], capture_output=True, text=True, check=True)
    assert " 201 " in done.stdout
    assert done.stdout.endswith(f"{mine} uploaded")

    listed = requests.get(f"{service.url}/download", headers={"Content-Type": "application/json"}, timeout=60).json()
    assert [entry["filename"] for entry in listed] == sorted(entry["filename"] for entry in listed)
    assert {"filename": mine, "url": f"{service.url}/download/{mine}"} in listed
    for name in (mine, sample.name):
        answer = requests.get(f"{service.url}/download/{name}", timeout=60)
        assert answer.content == sample.read_bytes()
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
        assert answer.headers["Content-Type"] == "application/pdf"


def test_a_name_can_be_used_once(service: Service) -> None:
    name = fresh()
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda number: post(service, name, b"%d" % number), range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    winner = next(number for number, answer in enumerate(answers) if answer.status_code == 201)
    assert requests.get(f"{service.url}/download/{name}", timeout=60).content == b"%d" % winner
    refused = requests.post(f"{service.url}/upload", files={"file": (name, b"x")}, timeout=60)
    assert refused.status_code == 409
    assert f"{name} exists" in refused.text


def files_called(*names: str) -> list[tuple[str, tuple[str, bytes]]]:
    return [("file", (name, name.encode())) for name in names]


def test_several_files_in_one_form_are_all_stored(service: Service) -> None:
    names = [fresh() for _ in range(3)]
    form = [*files_called(*names[:2]), ("other", (names[2], names[2].encode()))]
    answer = requests.post(f"{service.url}/upload", files=form, allow_redirects=False, timeout=60)
    assert answer.status_code == 302
    for name in names:
        assert requests.get(f"{service.url}/download/{name}", timeout=60).content == name.encode()


@pytest.mark.parametrize("fault", ["taken", "refused", "twice"])
def test_several_files_in_one_form_are_all_stored_or_none(service: Service, fault: str) -> None:
    good, odd = fresh(), fresh("exe" if fault == "refused" else "pdf")
    if fault == "taken":
        assert post(service, odd).status_code == 201
    form = files_called(good, odd, odd) if fault == "twice" else files_called(good, odd)
    before = service.stored()
    answer = requests.post(f"{service.url}/upload", files=form, headers=JSON, timeout=60)
    expected = {
        "taken": (409, f"{odd} exists"),
        "refused": (400, "exe file not allowed"),
        "twice": (400, f"Two of the files are called {odd}."),
    }
    assert (answer.status_code, answer.json()["error"]) == expected[fault]
    assert requests.get(f"{service.url}/download/{good}", timeout=60).status_code == 404
    assert service.stored() <= before  # others' files may be removed meanwhile


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.exe", "exe file not allowed"),
        ("a.HTML", "HTML file not allowed"),
        ("noextension", "No extension file not allowed"),
        (".pdf", "No extension file not allowed"),
        ("a.", "No extension file not allowed"),
        ("a.pdf.svg", "svg file not allowed"),
    ],
)
def test_it_refuses_other_extensions(service: Service, name: str, reason: str) -> None:
    before = service.stored()
    page = requests.post(f"{service.url}/upload", files={"file": (name, b"x")}, headers=HTML, timeout=60)
    assert page.status_code == 400
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Upload file error" in page.text
    assert reason in page.text
    assert 'href="/upload"' in page.text
    answer = post(service, name, headers=JSON)
    assert (answer.status_code, answer.json()) == (400, {"error": reason})
    assert service.stored() <= before  # others' files may be removed meanwhile


def test_it_takes_extensions_in_any_case(service: Service) -> None:
    for extension in ("PDF", "Txt", "jpeg", "xlsx"):
        assert post(service, fresh(extension)).status_code == 201


def test_it_says_that_there_is_no_file(service: Service) -> None:
    cases: list[dict[str, Any]] = [{"data": {"x": "y"}}, {"files": {"file": ("", b"")}}, {}]
    for kwargs in cases:
        answer = requests.post(f"{service.url}/upload", headers=HTML, timeout=60, **kwargs)
        assert answer.status_code == 400
        assert "Upload file error" in answer.text


def test_clients_that_ask_for_json_get_it(service: Service) -> None:
    name = fresh()
    assert post(service, name, headers=JSON).json() == {"status": f"{name} uploaded"}
    assert post(service, name, headers=JSON).json() == {"error": f"{name} exists"}
    missing = requests.get(f"{service.url}/download/{fresh()}", timeout=60)
    assert missing.status_code == 404
    assert "error" in missing.json()
    assert requests.get(f"{service.url}/download", headers=HTML, allow_redirects=False, timeout=60).status_code == 302


@pytest.mark.parametrize("name", ['"><img src=x onerror=alert(1)>.txt', "отчёт.pdf", "a b&c%41.txt", "'; drop.csv"])
def test_hostile_names_come_back_as_they_are_and_escaped(service: Service, name: str) -> None:
    unique = f"{random.randrange(10**12)}{name}"
    assert post(service, quote(unique, safe="")).status_code == 201
    listed = requests.get(f"{service.url}/download", timeout=60).json()
    (entry,) = [entry for entry in listed if entry["filename"] == unique]
    assert requests.get(entry["url"], timeout=60).content == b"x"
    page = requests.get(f"{service.url}/upload", params={"q": unique}, timeout=60)
    assert "<img src=x" not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_the_page_lists_the_newest_first_searches_and_pages(service: Service) -> None:
    mark = f"mark{random.randrange(10**9)}"
    names = [f"{mark}-{number:02}.txt" for number in range(53)]
    for name in names:
        assert post(service, name).status_code == 201
    first = requests.get(f"{service.url}/upload", params={"q": mark.upper()}, timeout=60).text
    assert first.index(names[52]) < first.index(names[51])
    assert names[2] not in first
    second = requests.get(f"{service.url}/upload", params={"q": mark, "page": "2"}, timeout=60).text
    assert names[0] in second
    assert names[3] not in second
    for page in ("0", "-1", "99", "x", "9" * 30):
        assert requests.get(f"{service.url}/upload", params={"page": page}, timeout=60).status_code == 200


def test_the_list_comes_in_pages_that_link_to_the_next(service: Service) -> None:
    suffix = fresh()
    for stem in ("a", "B", "é", "\U0001f469"):  # sorted by code point, whatever the database's locale says
        assert post(service, quote(f"{stem}-{suffix}")).status_code == 201
    paged: list[dict[str, str]] = []
    link = f"{service.url}/download?limit=3"
    while link:
        answer = requests.get(link, timeout=60)
        assert len(answer.json()) <= 3
        paged += answer.json()
        link = answer.links.get("next", {}).get("url", "")
    whole = requests.get(f"{service.url}/download", timeout=60).json()
    ours = [entry for entry in whole if suffix in entry["filename"]]  # files of other tests may expire meanwhile
    assert [entry for entry in paged if suffix in entry["filename"]] == ours
    assert len(ours) == 4
    assert paged == sorted(paged, key=lambda entry: entry["filename"])


def test_the_list_can_be_paged_past_any_name(inprocess: Flask) -> None:
    client = inprocess.test_client()
    names = {f"{stem}{fresh()}" for stem in ("a;b", "a,b", "a <b>", "a&b=c", "a#b", "a+b", "a%3B", 'a"b')}
    for name in names:
        assert client.post(f"/upload/{quote(name)}", data=b"x").status_code == 201
    link, paged = "/download?limit=1", set[str]()
    while link:
        answer = client.get(link)
        paged |= {entry["filename"] for entry in answer.json or []}
        link = requests.utils.parse_header_links(answer.headers["Link"])[0]["url"] if "Link" in answer.headers else ""
    assert names <= paged


@pytest.mark.parametrize("limit", ["0", "1001", "x", "-1", "1e3", "\N{ARABIC-INDIC DIGIT TWO}", ""])
def test_an_invalid_page_limit_is_refused(inprocess: Flask, limit: str) -> None:
    answer = inprocess.test_client().get("/download", query_string={"limit": limit})
    assert (answer.status_code, answer.json) == (400, {"error": "limit must be a number from 1 to 1000."})


def test_the_whole_list_is_never_in_memory_at_once(inprocess: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    client = inprocess.test_client()
    names = sorted(fresh() for _ in range(7))
    for name in names:
        assert client.post(f"/upload/{name}", data=b"x").status_code == 201
    whole: list[dict[str, str]] = client.get("/download").get_json()
    lengths = []
    for most in (1, 3, len(whole), len(whole) + 1):
        monkeypatch.setattr(named, "MAX_LISTED", most)
        answer = client.get("/download", buffered=False)
        lengths.append(answer.content_length)
        assert answer.json == whole
    assert lengths[:3] == [None] * 3


FAMILY = "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"


def test_different_emoji_are_different_names(service: Service) -> None:
    names = [f"{emoji}{fresh()}" for emoji in (FAMILY, FAMILY.replace("\u200d", ""), "\U0001fae9", "\U0001fac6")]
    same = names[0][len(FAMILY) :]
    names = [name.rpartition("sample-")[0] + same for name in names]
    for name in names:
        assert post(service, quote(name), name.encode()).status_code == 201
    listed = {entry["filename"]: entry["url"] for entry in requests.get(f"{service.url}/download", timeout=60).json()}
    for name in names:
        assert requests.get(listed[name], timeout=60).content == name.encode()


def test_a_file_is_found_however_its_name_is_spelt(service: Service) -> None:
    composed = f"é-{fresh()}"
    spelt = quote(unicodedata.normalize("NFD", composed))
    for _ in range(3):  # a refusal that is remembered would be found under this spelling
        assert requests.get(f"{service.url}/download/{spelt}", timeout=60).status_code == 404
    assert post(service, spelt).status_code == 201
    for name in (quote(composed), spelt):
        assert requests.get(f"{service.url}/download/{name}", timeout=60).content == b"x"
    assert post(service, quote(composed)).status_code == 409


def test_the_search_knows_the_capitals_of_every_script(service: Service) -> None:
    name = f"Отчёт-{fresh()}"
    assert post(service, quote(name)).status_code == 201
    for query in (name.upper(), name.lower(), unicodedata.normalize("NFD", name)):
        assert name in requests.get(f"{service.url}/upload", params={"q": query}, timeout=60).text
    other = requests.get(f"{service.url}/upload", params={"q": f"x{name}"}, timeout=60).text
    assert f"/download/{quote(name)}" not in other


def test_its_assets_are_served(service: Service) -> None:
    for asset, kind in (("named.css", "text/css"), ("named.js", "javascript")):
        answer = requests.get(f"{service.url}/static/{asset}", timeout=60)
        assert answer.status_code == 200
        assert kind in answer.headers["Content-Type"]


@pytest.mark.parametrize("profile", PROFILES)
def test_it_says_in_a_sentence_that_a_file_is_too_large(profile: str, tmp_path: Path) -> None:
    with made(profile, tmp_path / "data", NAMED_MAX_BYTES="2KiB") as app:
        client, large = app.test_client(), bytes(2 * 1024 + 1)
        raw = client.post(f"/upload/{fresh()}", data=large, headers=JSON)
        assert (raw.status_code, raw.get_json()) == (413, {"error": "The file is larger than 2.0 KiB."})
        form = client.post("/upload", data={"file": (io.BytesIO(large), fresh())}, headers=HTML)
        assert form.status_code == 413
        assert "The file is larger than 2.0 KiB." in form.text
