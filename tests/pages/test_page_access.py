"""The page of the surface `named` for everyone: by keyboard, without JavaScript, on small and dark screens, safely."""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import Page, Response, expect

from tests.pages.browsing import (
    BOTH,
    CONTRASTS,
    choose,
    line,
    listed,
    on_upload,
    overflow,
    payload,
    rendered,
    row,
    store,
    stored,
    unique,
)
from tests.services import Service


@BOTH
def test_it_works_without_javascript(service: Service, visit: Callable[..., Page]) -> None:
    page = visit(java_script_enabled=False)
    name = unique("plain.txt")
    page.get_by_label("Choose a file").set_input_files([payload(name, b"by form\n")])
    with page.expect_response(is_form_answer) as answer:
        page.get_by_role("button", name="Upload").click()
    assert answer.value.status == 302
    page.wait_for_load_state()
    assert stored(service, name) == b"by form\n"
    page.goto("/upload")
    expect(listed(page, name)).to_be_visible()
    expect(page.locator("time").first).to_have_text(re.compile(r"^\d+ \w+ \d{4}, \d\d:\d\d UTC$"))


@BOTH
def test_it_shows_a_page_with_the_reason_and_a_way_back_without_javascript(
    service: Service, visit: Callable[..., Page]
) -> None:
    page = visit(java_script_enabled=False)
    taken = unique("taken.txt")
    store(service, taken)
    reasons = {taken: (409, f"{taken} exists"), unique("tool.exe"): (400, "exe file not allowed")}
    for name, (status, reason) in reasons.items():
        page.get_by_label("Choose a file").set_input_files([payload(name)])
        with page.expect_response(is_form_answer) as answer:
            page.get_by_role("button", name="Upload").click()
        assert answer.value.status == status
        expect(page).to_have_title("Upload file error")
        expect(page.get_by_role("heading", level=1)).to_have_text("Upload file error")
        expect(page.get_by_text(reason, exact=True)).to_be_visible()
        page.get_by_role("link", name="Back to upload").click()
        expect(page.get_by_role("heading", name="Stored files")).to_be_visible()


def is_form_answer(response: Response) -> bool:
    return response.request.method == "POST"


def test_it_can_be_used_with_the_keyboard_alone(service: Service, visit: Callable[..., Page]) -> None:
    page = visit()
    page.on("filechooser", lambda _: None)  # Chromium must know in time that no real dialog is wanted
    slow, bad = unique("slow.txt"), unique("bad.exe")
    for _ in ("the site's name", "Send", "Files", "API", "Choose files"):
        page.keyboard.press("Tab")
    expect(page.get_by_label("Choose files")).to_be_focused()
    ring = page.locator("label[for=file]").evaluate("label => getComputedStyle(label).outlineStyle")
    assert ring == "solid"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    assert chooser.value.is_multiple()
    on_upload(page, slow, lambda _: None)  # it starts, and gets no further
    chooser.value.set_files([payload(slow), payload(bad)])
    expect(page.get_by_role("button", name=f"Pause: {slow}")).to_be_visible()
    expect(row(page, bad)).to_contain_text("exe file not allowed")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=f"Pause: {slow}")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=f"Cancel: {slow}")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name=f"Try again: {slow}")).to_be_focused()
    page.keyboard.press("Space")
    expect(row(page, slow)).to_contain_text("Uploaded")
    expect(row(page, slow)).to_be_focused()  # where its button was
    page.keyboard.press("Tab")
    expect(row(page, slow).get_by_role("link", name="Download")).to_be_focused()
    page.keyboard.press("Tab")
    expect(row(page, slow).get_by_role("button", name="Copy link")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Clear finished")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Choose files")).to_be_focused()
    listed(page, slow).focus()
    with page.expect_download():
        page.keyboard.press("Enter")
    choose(page, payload(unique("another.txt")))
    expect(page.get_by_role("table").get_by_role("link").nth(1)).to_have_text(slow)
    expect(listed(page, slow)).to_be_focused()  # though the list is a new one
    assert stored(service, slow) == b"some text\n"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_in_light_and_dark(
    service: Service, visit: Callable[..., Page], headers: dict[str, str], scheme: str
) -> None:
    page = visit(color_scheme=scheme)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(value => value < 64)")
    assert dark is (scheme == "dark")
    names = [unique("good.txt"), unique("bad.exe")]
    choose(page, *map(payload, names))
    expect(row(page, names[0])).to_contain_text("Uploaded")
    expect(listed(page, names[0])).to_be_visible()
    assert page.evaluate(CONTRASTS) == []
    long = visit("/upload?q=report&page=2", color_scheme=scheme, before=rendered(["report"] * 45, headers))
    assert long.evaluate(CONTRASTS) == []
    plain = visit(color_scheme=scheme, java_script_enabled=False)
    plain.get_by_label("Choose a file").set_input_files([payload(unique("bad.exe"))])
    plain.get_by_role("button", name="Upload").click()
    expect(plain).to_have_title("Upload file error")
    plain.wait_for_load_state()  # for its colours
    assert plain.evaluate(CONTRASTS) == []


@pytest.mark.parametrize("scripted", [True, False])
def test_it_fits_a_narrow_screen(service: Service, visit: Callable[..., Page], *, scripted: bool) -> None:
    long = unique("").ljust(251, "w") + ".txt"
    store(service, long)
    page = visit(viewport={"width": 320, "height": 640}, java_script_enabled=scripted)
    expect(listed(page, long)).to_be_visible()
    expect(line(page, long).get_by_role("cell")).to_have_count(5)
    if scripted:
        choose(page, payload(long), payload(long.replace(".txt", ".exe")))
        expect(row(page, long)).to_contain_text(f"{long} exists")
        assert overflow(page) == 0
    else:
        assert overflow(page) == 0
        page.get_by_label("Choose a file").set_input_files([payload(long)])
        page.get_by_role("button", name="Upload").click()
        expect(page).to_have_title("Upload file error")
        page.wait_for_load_state()
        assert overflow(page) == 0


def test_it_moves_nothing_for_those_who_asked_for_that(visit: Callable[..., Page]) -> None:
    moving = "[...document.querySelectorAll('*')].some(e => getComputedStyle(e).transitionDuration !== '0s')"
    assert visit(reduced_motion="no-preference").evaluate(moving) is True
    assert visit(reduced_motion="reduce").evaluate(moving) is False


@BOTH
def test_it_comes_with_a_policy_that_allows_its_own_files_alone(service: Service, visit: Callable[..., Page]) -> None:
    answer = requests.get(f"{service.url}/upload", timeout=60)
    policy = answer.headers["Content-Security-Policy"]
    for rule in ("default-src 'none'", "style-src 'self'", "script-src 'self'", "base-uri 'none'"):
        assert rule in policy
    assert "unsafe" not in policy
    hosts: set[str] = set()
    visit(before=lambda page: page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc)))
    assert hosts == {urlsplit(service.url).netloc}
    plain = visit(java_script_enabled=False)
    expect(plain.locator("style, script:not([src])")).to_have_count(0)
    attributes = plain.evaluate("[...document.querySelectorAll('*')].flatMap(element => element.getAttributeNames())")
    assert [name for name in attributes if name == "style" or name.startswith("on")] == []


def test_it_offers_no_url_uploads_where_they_are_turned_off(visit: Callable[..., Page]) -> None:
    page = visit()
    expect(page.get_by_label("Choose files")).to_be_attached()
    expect(page.locator("form.way")).to_have_count(1)
    expect(page.locator("script")).to_have_count(1)
