"""URL uploads on the page: real workers fetch, Chromium shows the progress."""

import hashlib
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.origin import Origin
from tests.origin import Page as Source
from tests.pages.browsing import BOTH, CONTRASTS, choose, overflow, payload, posts, row, unique
from tests.pages.urls.fetching import FETCHING, downloaded, fetch, kept, slow, status
from tests.services import Service, await_


@BOTH
def test_it_shows_how_far_a_fetch_is_and_links_to_the_file(
    service: Service, origin: Origin, visit: Callable[..., Page]
) -> None:
    source = slow(headers={"Content-Disposition": "attachment; filename*=UTF-8''%D0%BE%D1%82.iso"})
    page = visit()
    page.get_by_label("From a URL").fill(origin.serve("/images/disk%201.iso", source))
    page.get_by_label("From a URL").press("Enter")
    expect(page.get_by_label("From a URL")).to_have_value("")
    expect(row(page, "disk 1.iso")).to_contain_text(FETCHING)
    bar = page.get_by_role("progressbar", name="Progress of disk 1.iso")
    assert 0 < bar.evaluate("bar => bar.value") < 1
    source.throttle = None
    expect(row(page, "от.iso")).to_contain_text("Ready · 8.0 MiB")
    expect(row(page, "от.iso").get_by_role("button", name=re.compile("Cancel|Try again"))).to_have_count(0)
    expect(page.get_by_role("log")).to_contain_text("disk 1.iso: Started")
    expect(page.get_by_role("log")).to_contain_text("от.iso: Ready")
    assert downloaded(page, "от.iso") == ("от.iso", source.content)


def test_it_shows_no_share_of_what_has_no_length(origin: Origin, visit: Callable[..., Page]) -> None:
    source = slow(ranges="no", framing="chunked")
    page = visit()
    fetch(page, origin.serve("/stream.csv", source))
    expect(row(page, "stream.csv").locator(".state")).to_have_text(re.compile(r"^\s*[\d.]+\sKiB · \d+\.\d\sKiB/s\s*$"))
    bar = page.get_by_role("progressbar", name="Progress of stream.csv")
    assert bar.evaluate("bar => bar.position") == -1
    source.throttle = None
    expect(row(page, "stream.csv")).to_contain_text("Ready · 8.0 MiB")


@BOTH
def test_it_cancels_a_fetch_and_tries_it_again(service: Service, origin: Origin, visit: Callable[..., Page]) -> None:
    source = slow()
    page = visit()
    fetch(page, origin.serve("/large.bin", source))
    expect(row(page, "large.bin")).to_contain_text(FETCHING)
    page.get_by_role("button", name="Cancel: large.bin").click()
    expect(row(page, "large.bin")).to_contain_text("Cancelled")
    expect(page.get_by_role("progressbar")).to_have_count(0)
    expect(page.get_by_role("log")).to_contain_text("large.bin: Cancelled")
    assert status(service, page)["failure"] == "cancelled"
    source.throttle = None
    page.get_by_role("button", name="Try again: large.bin").click()
    expect(row(page, "large.bin")).to_contain_text("Ready")
    assert downloaded(page, "large.bin")[1] == source.content


def test_it_cancels_before_it_knows_the_id(service: Service, origin: Origin, visit: Callable[..., Page]) -> None:
    page = visit()
    held: list[Route] = []
    page.route("**/uploadFile", lambda route: held.append(route))  # noqa: PLW0108 -- Playwright cannot take a builtin
    fetch(page, origin.serve("/large.bin", slow()))
    page.get_by_role("button", name="Cancel: large.bin").click()
    expect(row(page, "large.bin")).to_contain_text("Cancelling…")
    await_(lambda: page.evaluate("1") and held)
    held[0].continue_()
    expect(row(page, "large.bin")).to_contain_text("Cancelled")
    assert status(service, page)["failure"] == "cancelled"


@BOTH
def test_it_says_in_the_words_of_the_server_why_a_fetch_failed(
    service: Service, origin: Origin, visit: Callable[..., Page]
) -> None:
    page = visit()
    fetch(page, origin.url("/missing.txt"))
    expect(row(page, "missing.txt")).to_contain_text("answers 404 (Not Found).")
    assert status(service, page)["error"] in row(page, "missing.txt").inner_text()
    origin.serve("/missing.txt", Source(content=b"here now"))
    page.get_by_role("button", name="Try again: missing.txt").click()
    expect(row(page, "missing.txt")).to_contain_text("Ready · 8 bytes")


def test_it_gives_a_refused_url_back_to_be_put_right(visit: Callable[..., Page]) -> None:
    page = visit()
    refused = "https://user:word@example.org/report.xls"
    fetch(page, refused)
    expect(row(page, "report.xls")).to_contain_text("The URL contains a user name or a password.")
    expect(row(page, "report.xls").get_by_role("button")).to_have_count(0)
    expect(page.get_by_label("From a URL")).to_have_value(refused)
    assert kept(page) == []


@pytest.mark.parametrize("text", ["example.org/report.xls", "ftp://example.org/report.xls", "javascript:alert(1)"])
def test_it_takes_no_other_scheme(visit: Callable[..., Page], text: str) -> None:
    page = visit()
    with posts(page) as sent:
        fetch(page, text)
        said = page.get_by_label("From a URL").evaluate("field => field.validationMessage")
        assert said == "The URL must begin with http:// or https://"
        page.get_by_label("From a URL").fill("HTTPS://example.org/")
        assert page.get_by_label("From a URL").evaluate("field => field.validity.valid")
    assert sent == []


def test_it_checks_the_digest_that_it_is_given(origin: Origin, visit: Callable[..., Page]) -> None:
    content = b"these very bytes"
    url = origin.serve("/exact.txt", Source(content=content))
    page = visit()
    page.get_by_text("Check its SHA-256").click()
    page.get_by_label("Expected SHA-256").fill(f" {hashlib.sha256(content).hexdigest().upper()} ")
    fetch(page, url)
    expect(row(page, "exact.txt")).to_contain_text("Ready")
    expect(page.get_by_label("Expected SHA-256")).to_be_hidden()
    page.get_by_role("button", name="Clear finished").click()
    page.get_by_text("Check its SHA-256").click()
    page.get_by_label("Expected SHA-256").fill("0" * 64)
    fetch(page, url)
    expect(row(page, "exact.txt")).to_contain_text("another SHA-256 than the request expects.")
    expect(row(page, "exact.txt").get_by_role("button")).to_have_count(0)


def test_it_shows_the_digest_field_when_that_is_what_is_wrong(origin: Origin, visit: Callable[..., Page]) -> None:
    page = visit()
    page.get_by_text("Check its SHA-256").click()
    page.get_by_label("Expected SHA-256").fill("d41d8cd98f00b204e9800998ecf8427e")
    page.get_by_text("Check its SHA-256").click()
    expect(page.get_by_label("Expected SHA-256")).to_be_hidden()
    with posts(page) as sent:
        fetch(page, origin.url("/any.txt"))
        expect(page.get_by_label("Expected SHA-256")).to_be_visible()
    assert sent == []


def test_it_shows_both_ways_in_one_list(origin: Origin, visit: Callable[..., Page]) -> None:
    page = visit()
    fetched = [f"{number}.bin" for number in range(3)]
    for name in fetched:
        fetch(page, origin.serve(f"/{name}", slow()))
    uploaded = unique("small.txt")
    choose(page, payload(uploaded))
    expect(row(page, uploaded)).to_contain_text("Uploaded")  # though three fetches run
    page.get_by_role("button", name="Clear finished").click()
    expect(page.get_by_role("list", name="Uploads").get_by_role("listitem")).to_have_count(3)
    for name in fetched:
        page.get_by_role("button", name=f"Cancel: {name}").click()
        expect(row(page, name)).to_contain_text("Cancelled")


@BOTH
def test_it_shows_hostile_names_as_text(service: Service, origin: Origin, visit: Callable[..., Page]) -> None:
    page = visit()
    name = '"><img src=x onerror=alert(1)>.txt'
    headers = {"Content-Disposition": "attachment; filename*=UTF-8''%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E.txt"}
    fetch(page, origin.serve("/innocent.txt", Source(content=b"1", headers=headers)))
    expect(row(page, name)).to_contain_text("Ready · 1 byte")
    fetch(page, origin.serve("/%FF%00", Source(content=b"1")))
    expect(page.get_by_role("list", name="Uploads").get_by_text("Ready")).to_have_count(2)
    assert page.locator("main img").count() == 0


def test_it_can_be_used_with_the_keyboard_alone(origin: Origin, visit: Callable[..., Page]) -> None:
    source = slow()
    page = visit()
    field = page.get_by_label("From a URL")
    for _ in range(10):  # past the links of the site and the form for files
        page.keyboard.press("Tab")
        if field.evaluate("field => field === document.activeElement"):
            break
    expect(field).to_be_focused()
    page.keyboard.insert_text(origin.serve("/large.bin", source))
    page.keyboard.press("Enter")
    expect(row(page, "large.bin")).to_contain_text(FETCHING)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Fetch")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("summary")).to_be_focused()
    for _ in range(3):  # back past the button and the field, for the rows stand above them
        page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Cancel: large.bin")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Try again: large.bin")).to_be_focused()
    source.throttle = None
    page.keyboard.press("Enter")
    expect(row(page, "large.bin")).to_contain_text("Ready")
    expect(row(page, "large.bin")).to_be_focused()  # where its button was
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Download: large.bin")).to_be_focused()


def test_it_says_without_javascript_what_is_missing(visit: Callable[..., Page]) -> None:
    page = visit(java_script_enabled=False)
    expect(page.get_by_label("From a URL")).to_be_hidden()
    expect(page.locator("noscript p")).to_be_visible()
    page.get_by_role("link", name="the API").click()
    expect(page.get_by_role("heading", name="Files by sealed ids")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_on_a_narrow_screen(origin: Origin, visit: Callable[..., Page], scheme: str) -> None:
    long = "w" * 200 + ".bin"
    page = visit(viewport={"width": 320, "height": 640}, color_scheme=scheme)
    page.get_by_text("Check its SHA-256").click()
    assert page.evaluate(CONTRASTS) == []
    assert overflow(page) == 0
    fetch(page, origin.serve("/small.txt", Source(content=b"small")))
    fetch(page, origin.url("/missing.txt"))
    fetch(page, origin.serve(f"/{long}", slow()))
    expect(row(page, "small.txt")).to_contain_text("Ready")
    expect(row(page, "missing.txt")).to_contain_text("404")
    expect(row(page, long)).to_contain_text(FETCHING)
    assert page.evaluate(CONTRASTS) == []
    assert overflow(page) == 0
    page.get_by_role("button", name=f"Cancel: {long}").click()


@pytest.mark.parametrize(("motion", "name"), [("reduce", "none"), ("no-preference", "to-and-fro")])
def test_it_moves_nothing_for_those_who_asked_for_that(
    origin: Origin, visit: Callable[..., Page], motion: str, name: str
) -> None:
    page = visit(reduced_motion=motion)
    page.route("**/uploadFile", lambda _: None, times=1)  # it starts, and gets no further
    fetch(page, origin.url("/any.txt"))
    bar = page.get_by_role("progressbar", name="Progress of any.txt")
    assert bar.evaluate("bar => getComputedStyle(bar).animationName") == name
