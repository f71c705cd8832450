"""What the tests of URL uploads on the page do and check."""

import re
from typing import Any

import requests
from playwright.sync_api import Page

from tests.origin import Page as Source
from tests.origin import noise
from tests.services import Service

MIB = 1024**2
SLOW = 16 * 1024  # bytes per second and connection
WAITING = "Waiting for the server…"
FETCHING = re.compile(r"\d% · \d+\.\d\s[KM]iB of 8\.0\sMiB · \d+\.\d\s[KM]iB/s · (\d+\smin\s)?\d+\ss\sleft")


def fetch(page: Page, url: str) -> None:
    page.get_by_label("From a URL").fill(url)
    page.get_by_role("button", name="Fetch").click()


def slow(**more: Any) -> Source:
    """Return a file that takes a minute, until its throttle is taken off."""
    return Source(content=noise(8 * MIB), throttle=SLOW, **more)


def kept(page: Page) -> list[dict[str, str]]:
    """Return what the page keeps for its next load."""
    return list(page.evaluate("JSON.parse(sessionStorage.getItem('fetches') ?? '[]')"))


def status(service: Service, page: Page) -> dict[str, Any]:
    """Return what the server says of the only fetch of a page."""
    [fetch] = kept(page)
    return dict(requests.get(f"{service.url}/uploadFile/{fetch['id']}", timeout=60).json())


def downloaded(page: Page, name: str) -> tuple[str, bytes]:
    """Return name and content of what the link in a row leads to."""
    with page.expect_download() as download:
        page.get_by_role("link", name=f"Download: {name}").click()
    return download.value.suggested_filename, download.value.path().read_bytes()
