"""Fixtures of the page: Debian's headless Chromium, and a way to open the page in it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, expect, sync_playwright

from tests.services import Service

PATIENCE = 60_000  # milliseconds
CHROMIUM = "/usr/bin/chromium-headless-shell"  # takes a third less CPU than `chromium --headless`
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium, started once; each page has a context of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        expect.set_options(timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture(params=["embedded"])
def service(request: pytest.FixtureRequest, services: Callable[[str], Service]) -> Service:
    """The real service in one profile, for the page is the same; `BOTH` is for what depends on the server."""
    return services(request.param)


@pytest.fixture
def visit(browser: Browser, service: Service) -> Iterator[Callable[..., Page]]:
    """Open the page in a context with the given options; no page may break its policy, throw or open a dialog."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            complaints.append(message.text)

    def dismiss(dialog: Dialog) -> None:
        if dialog.type != "beforeunload":
            complaints.append(f"{dialog.type}: {dialog.message}")
        dialog.dismiss()

    def open_(path: str = "/upload", *, before: Callable[[Page], None] | None = None, **options: Any) -> Page:
        context = browser.new_context(base_url=service.url, locale="en-GB", **options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", dismiss)
        if before:
            before(page)
        page.goto(path)
        return page

    yield open_
    for context in contexts:
        for page in context.pages:
            page.unroute_all(behavior="ignoreErrors")
        context.close()
    assert complaints == []


@pytest.fixture
def headers(service: Service) -> dict[str, str]:
    """The policy of the real page, for pages that a test renders itself."""
    answer = requests.get(f"{service.url}/upload", timeout=60)
    return {"Content-Security-Policy": answer.headers["Content-Security-Policy"]}
