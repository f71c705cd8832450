"""A one-time link in Chromium: looking, the password, the download, and one that is cut and resumes."""

import hashlib
import random
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.pages.browsing import BOTH, CONTRASTS, cut_once, overflow
from tests.services import Service

CONTENT = random.Random(7).randbytes(8 * 1024**2)


def put(service: Service, **data: str) -> dict[str, str]:
    answer = requests.put(service.vimeo, files={"file": ("report.xls", CONTENT)}, data=data, timeout=60)
    assert answer.status_code == 201
    return dict(answer.json())


@BOTH
def test_a_file_is_downloaded_by_the_button_and_the_page_says_when(
    service: Service, visit: Callable[..., Page]
) -> None:
    new = put(service, password="sesame")
    page = visit(urlsplit(new["url"]).path, java_script_enabled=False)
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Download").click()
    expect(page.get_by_role("alert")).to_have_text("This password is not right. Check it and try again.")
    page.get_by_label("Password").fill("sesame")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "report.xls"
    assert download.value.path().read_bytes() == CONTENT
    expect(page.get_by_role("heading", level=1)).to_have_text("Downloaded")
    page.goto(urlsplit(new["url"]).path)
    expect(page.get_by_role("heading", level=1)).to_have_text("This file is gone")
    page.goto(urlsplit(new["manage_url"]).path)
    expect(page.get_by_role("heading", level=1)).to_have_text("Downloaded")


@BOTH
def test_a_download_that_is_cut_resumes_where_it_was(service: Service, visit: Callable[..., Page]) -> None:
    new = put(service)
    with cut_once(service, after=3 * 1024**2) as (port, seen):
        page = visit(f"http://127.0.0.1:{port}{urlsplit(new['url']).path}")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        assert hashlib.sha256(download.value.path().read_bytes()).digest() == hashlib.sha256(CONTENT).digest()
        assert b"\r\nrange: bytes=" in b"".join(seen).lower()
        expect(page.get_by_role("heading", level=1)).to_have_text("Downloaded")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_the_pages_can_be_read_on_every_screen(
    service: Service, visit: Callable[..., Page], scheme: str, width: int
) -> None:
    new, protected = put(service, expires_in="7d"), put(service, password="sesame")
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 640}}
    for address in (
        new["url"],
        protected["url"],
        f"{protected['url']}?password=no",
        new["url"][:-1],
        new["manage_url"],
    ):
        parts = urlsplit(address)
        page = visit(f"{parts.path}?{parts.query}", **options)
        assert overflow(page) == 0
        assert page.evaluate(CONTRASTS) == []
