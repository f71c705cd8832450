"""The page when API tokens are required: the browser asks for one and then sends it."""

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.access.guarded import Guarded
from tests.pages.browsing import choose, listed, payload, row, unique
from tests.services import Service
from vimeo_api.web.problems import ASKING


@pytest.fixture(params=["production"])
def guarded(request: pytest.FixtureRequest, all_guarded: Callable[[str], Guarded]) -> Guarded:
    """The production stack with tokens."""
    return all_guarded(request.param)


@pytest.fixture
def service(guarded: Guarded) -> Service:
    """The same, for `visit`."""
    return guarded.service


@pytest.mark.parametrize("scripted", [True, False])
def test_it_uploads_with_the_token_that_the_browser_was_given(
    guarded: Guarded, visit: Callable[..., Page], *, scripted: bool
) -> None:
    token = guarded.token(f"page {scripted}", "named:*")["Authorization"].removeprefix("Bearer ")
    page = visit(http_credentials={"username": "", "password": token}, java_script_enabled=scripted)
    name = unique("mine.txt")
    if scripted:
        choose(page, payload(name))
        expect(row(page, name)).to_contain_text("Uploaded")
    else:
        page.get_by_label("Choose a file").set_input_files([payload(name)])
        page.get_by_role("button", name="Upload").click()
        page.goto("/upload")
    expect(listed(page, name)).to_be_visible()
    assert requests.get(f"{guarded.url}/download/{name}", timeout=60).content == b"some text\n"  # a link


@pytest.mark.parametrize("scripted", [True, False])
def test_it_deletes_a_file_once_the_viewer_has_confirmed_it(
    guarded: Guarded, visit: Callable[..., Page], *, scripted: bool
) -> None:
    token = guarded.token(f"deleting {scripted}", "named:*")["Authorization"].removeprefix("Bearer ")
    page = visit("about:blank", http_credentials={"username": "", "password": token}, java_script_enabled=scripted)
    name = unique("not for long.txt")
    url = f"{guarded.url}/download/{quote(name)}"
    requests.post(url.replace("/download/", "/upload/"), b"x", headers={"Authorization": f"Bearer {token}"}, timeout=60)
    page.goto("/upload")
    page.get_by_role("link", name=f"Delete: {name}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Delete this file?")
    assert requests.get(url, timeout=60).status_code == 200
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Stored files")).to_be_visible()
    expect(listed(page, name)).to_have_count(0)
    assert requests.get(url, timeout=60).status_code == 404


def test_it_offers_to_delete_only_to_who_may(guarded: Guarded, visit: Callable[..., Page]) -> None:
    token = guarded.token("no deleting", "named:list", "named:write")["Authorization"].removeprefix("Bearer ")
    page = visit("about:blank", http_credentials={"username": "", "password": token})
    name = unique("to stay.txt")
    page.goto("/upload")
    choose(page, payload(name))
    expect(listed(page, name)).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("^Delete"))).to_have_count(0)


def test_a_browser_without_one_is_asked_for_it(visit: Callable[..., Page]) -> None:
    answer = visit("about:blank").goto("/upload")
    assert answer is not None
    assert (answer.status, answer.headers["www-authenticate"]) == (401, ASKING)  # a browser with a window asks then
