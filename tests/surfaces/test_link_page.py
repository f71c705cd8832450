"""A one-time link in a browser: a page that uses nothing up, and one button that leads to the bytes; in process."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.inprocess import PROFILES, Clock, made
from vimeo_api.core.deliveries import confirmations
from vimeo_api.core.deliveries.lines import Sent, Ticket

CONTENT = bytes(200_000)
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "User-Agent": "Mozilla/5.0"}
LOOKING = [
    BROWSER,  # Outlook's Safe Links look like any browser
    BROWSER | {"Sec-Purpose": "prefetch;prerender"},  # Chromium, before anybody clicks
    BROWSER | {"Range": "bytes=0-32768"},
    {"User-Agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "Range": "bytes=0-32768"},
    {"User-Agent": "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com"},
    {"User-Agent": "WhatsApp/2.23.20.0"},
    {"User-Agent": "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)"},
    {"User-Agent": "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "Accept": "image/*"},
]


@pytest.fixture(params=PROFILES)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    with made(request.param, tmp_path / "data", PASSWORD_LIMIT_ADDRESS="4 per hour") as app:
        yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def put(client: FlaskClient, **fields: str) -> str:
    form = {"file": (io.BytesIO(CONTENT), "re<port>.xls"), **fields}
    return str(client.put("/vimeo/api/v1.0/file", data=form).get_json()["url"])


def shows(answer: TestResponse, status: int, words: str) -> str:
    assert (answer.status_code, answer.content_type) == (status, "text/html; charset=utf-8"), answer.text
    assert words in answer.text
    assert "Basic" not in answer.headers.get("WWW-Authenticate", "")
    assert "script" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.text


def begun(client: FlaskClient, link: str, **form: str) -> str:
    """Press the button; return the address of the download's page."""
    answer = client.post(f"{link}/download", data=form, headers=BROWSER)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["Location"])


def end(app: Flask, answer: TestResponse, span: tuple[int, int], *, complete: bool) -> None:
    """End a response; behind nginx, whose part this is, report it as its journal would."""
    if "X-Ticket" not in answer.headers:
        if complete:
            assert len(answer.data) == span[1] - span[0]
        else:
            next(answer.iter_encoded())
        answer.close()
        return
    answer.close()
    ticket = Ticket.parse(answer.headers["X-Ticket"])
    assert ticket is not None
    with app.app_context():
        confirmations.handle(Sent(ticket, span, complete=complete))


def test_looking_at_a_link_uses_nothing_up(client: FlaskClient) -> None:
    link = put(client, expires_in="1h")
    for headers in LOOKING:
        page = shows(client.get(link, headers=headers), 200, "re&lt;port&gt;.xls")
        assert "195.3 KiB" in page
        assert "until" in page
    assert "X-Ticket" not in client.get(link, headers=BROWSER).headers
    with client.get(link) as whole:
        assert whole.status_code == 200
        assert whole.headers["X-Download-Grant"]


def test_the_button_leads_to_the_bytes_and_then_it_says_when_they_were_downloaded(
    app: Flask, client: FlaskClient
) -> None:
    link = put(client)
    page = begun(client, link)
    first = client.get(page, headers=BROWSER)
    assert first.headers["Refresh"] == "4"
    assert f'src="{page}/file"' in shows(first, 200, "Your download starts")
    running = client.get(f"{page}/file", headers=BROWSER, buffered=False)
    assert running.status_code == 200
    assert running.headers["Content-Disposition"].startswith("attachment")
    shows(client.get(page, headers=BROWSER), 200, "Being downloaded")
    other = client.get(link, headers=BROWSER)
    shows(other, 423, "Somebody is downloading it.")
    assert re.fullmatch(rf"\d; url={link.removeprefix('http://localhost')}", other.headers["Refresh"])
    end(app, running, (0, 100_000), complete=False)
    shows(client.get(page, headers=BROWSER), 200, "The download was interrupted")
    rest = client.get(f"{page}/file", headers={"Range": "bytes=50000-"}, buffered=False)
    assert rest.status_code in {200, 206}  # nginx makes the range
    end(app, rest, (50_000, 200_000), complete=True)
    if client.get(page, headers=BROWSER).text.count("Downloaded") == 0:
        end(app, client.get(f"{page}/file", buffered=False), (0, 200_000), complete=True)
    done = client.get(page, headers=BROWSER)
    assert "Refresh" not in done.headers
    shows(done, 200, "The file was downloaded completely on")
    shows(client.get(link, headers=BROWSER), 410, "This file is gone")
    assert client.get(link).status_code == 410


def test_a_password_is_asked_for_in_the_page_and_hides_the_name(client: FlaskClient) -> None:
    link = put(client, password="sesame")
    asking = shows(client.get(link, headers=BROWSER), 200, "A protected file")
    assert "xls" not in asking
    for form in ({"password": "wrong"}, {}):
        wrong = shows(client.post(f"{link}/download", data=form, headers=BROWSER), 401, "This password is not right.")
        assert "xls" not in wrong
    assert client.get(f"{begun(client, link, password='sesame')}/file").status_code == 200


def test_wrong_passwords_in_the_page_are_counted(client: FlaskClient) -> None:
    link = put(client, password="sesame")
    for _ in range(4):
        assert client.post(f"{link}/download", data={"password": "no"}, headers=BROWSER).status_code == 401
    refused = client.post(f"{link}/download", data={"password": "sesame"}, headers=BROWSER)
    shows(refused, 429, "There were too many wrong passwords")


def test_the_right_password_in_the_link_shows_the_name(client: FlaskClient) -> None:
    link = put(client, password="sesame")
    page = shows(client.get(link, query_string="password=sesame", headers=BROWSER), 200, "re&lt;port&gt;.xls")
    assert 'value="sesame"' in page
    shows(client.get(link, query_string="password=no", headers=BROWSER), 401, "This password is not right.")


def test_only_a_grant_of_ours_opens_only_its_file(client: FlaskClient) -> None:
    link, other = put(client, password="sesame"), put(client, password="sesame")
    grant = begun(client, link, password="sesame").rsplit("/", 1)[1]
    wrong = ("0" * 64, grant[:-1], grant[::-1], "a")
    for address in (f"{other}/download/{grant}", *(f"{link}/download/{one}" for one in wrong)):
        for path in (address, f"{address}/file"):
            shows(client.get(path, headers=BROWSER), 404, "There is no such file")
            assert client.get(path).get_json()["error"] == "Not Found"


def test_two_who_pressed_the_button_do_not_both_get_it(app: Flask, client: FlaskClient) -> None:
    link = put(client)
    pages = [begun(client, link), begun(client, link)]
    running = client.get(f"{pages[0]}/file", buffered=False)
    assert client.get(f"{pages[1]}/file").status_code == 423
    shows(client.get(pages[1], headers=BROWSER), 423, "Somebody is downloading it.")
    end(app, running, (0, 200_000), complete=True)
    shows(client.get(pages[1], headers=BROWSER), 410, "This file is gone")


def test_the_uploader_sees_it_in_a_browser_and_deletes_it_there(client: FlaskClient) -> None:
    form = {"file": (io.BytesIO(CONTENT), "re<port>.xls")}
    new = client.put("/vimeo/api/v1.0/file", data=form).get_json()
    page = shows(client.get(new["manage_url"], headers=BROWSER), 200, "Waiting to be downloaded")
    assert "re&lt;port&gt;.xls" in page
    deleted = client.post(f"{new['manage_url']}/delete", headers=BROWSER)
    assert deleted.status_code == 303
    shows(client.get(deleted.headers["Location"], headers=BROWSER), 200, "Deleted")
    shows(client.post(f"{new['manage_url']}/delete", headers=BROWSER), 410, "it was removed")
    shows(client.get("/manage/unknown", headers=BROWSER), 404, "There is no file with this manage URL.")


def test_an_unknown_link_is_a_page_for_browsers_and_json_for_programs(client: FlaskClient, clock: Clock) -> None:
    unknown = "/vimeo/api/v1.0/file/" + "0" * 32
    for _ in range(3):  # no cache serves one for the other
        shows(client.get(unknown, headers=BROWSER), 404, "There is no such file")
        assert client.get(unknown).is_json
    link = put(client, expires_in="60")
    clock.forward(61)
    shows(client.get(link, headers=BROWSER), 410, "This file is gone")
