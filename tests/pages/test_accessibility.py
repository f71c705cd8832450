"""axe-core, the checker of accessibility, finds nothing on any page in any state, in light and dark."""

import json
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import requests
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from tests.pages.browsing import choose, payload, row, store, unique
from tests.services import Service

# Without `preload` axe reads stylesheets again, which our policy forbids.
ALL = {"resultTypes": ["violations"], "preload": False}
COLOURS = ["color-contrast", "link-in-text-block"]
ONLY_COLOURS = {**ALL, "runOnly": COLOURS}
NO_COLOURS = {**ALL, "rules": {name: {"enabled": False} for name in COLOURS}}
# Removes elements that repeat earlier ones; /docs has ten thousand elements of few kinds.
THIN = """() => {
    const seen = new Set();
    const kind = element => element === document.body ? ""
        : `${kind(element.parentElement)} ${element.tagName}.${element.className} ${element.getAttributeNames()}`;
    const thin = element => {
        const kinds = [element, ...element.querySelectorAll("*")].map(kind);
        if (kinds.every(one => seen.has(one))) return element.remove();
        seen.add(kinds[0]);
        [...element.children].forEach(thin);
    };
    [...document.body.children].forEach(thin);
}"""


def violations(page: Page) -> list[str]:
    """Return what axe finds: everything on the whole page, and colours in light and dark on elements of each kind."""
    page.evaluate(AXE_SCRIPT)
    found = page.evaluate(f"axe.run({json.dumps(NO_COLOURS)})")["violations"]
    page.evaluate(THIN)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # a fading colour has no contrast yet
        found += page.evaluate(f"axe.run({json.dumps(ONLY_COLOURS)})")["violations"]
    return [f"{page.url}: {one['id']}: {node['html']}" for one in found for node in one["nodes"]]


def put(service: Service, **data: str) -> dict[str, str]:
    answer = requests.put(service.vimeo, files={"file": ("report.xls", b"numbers")}, data=data, timeout=60)
    assert answer.status_code == 201
    return dict(answer.json())


def addresses(service: Service) -> Iterator[str]:
    """Yield the address of each page that needs no browser to get into its state."""
    new, protected, used, removed = (
        put(service, expires_in="7d"),
        put(service, password="sesame"),
        put(service),
        put(service),
    )
    requests.get(used["url"], timeout=60)
    requests.delete(removed["manage_url"], timeout=60)
    yield new["url"]
    yield protected["url"]
    yield f"{protected['url']}?password=no"
    yield used["url"]
    yield new["url"][:-1]
    for one in (new, used, removed):
        yield one["manage_url"]
    yield removed["manage_url"][:-1]
    yield "/upload"
    yield "/share"
    yield "/upload?q=nothing-has-this-name"
    yield "/docs"
    yield "/no/such/page"
    yield "/download/none.txt"


def test_axe_finds_nothing_on_any_page(service: Service, visit: Callable[..., Page]) -> None:
    store(service, unique("listed.txt"))
    page = visit()
    found = []
    for address in addresses(service):
        parts = urlsplit(address)
        page.goto(f"{parts.path}?{parts.query}")
        found += violations(page)
    assert found == []


def test_axe_finds_nothing_while_a_link_is_used(service: Service, visit: Callable[..., Page]) -> None:
    page = visit(urlsplit(put(service)["url"]).path)
    with page.expect_download():
        page.get_by_role("button", name="Download").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Downloaded")
    assert violations(page) == []


def test_axe_finds_nothing_on_the_page_of_a_new_link(visit: Callable[..., Page]) -> None:
    page = visit("/share")
    page.get_by_label("Choose files").set_input_files([payload("report.xls")])
    page.get_by_role("button", name="Make one").click()
    page.get_by_role("button", name="Get a link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your link is ready")
    assert violations(page) == []


def test_axe_finds_nothing_while_files_are_uploaded_and_refused(service: Service, visit: Callable[..., Page]) -> None:
    page = visit()
    stored, refused = unique("stored.txt"), unique("refused.exe")
    choose(page, payload(stored), payload(refused))
    expect(row(page, refused)).to_contain_text("not allowed")
    expect(row(page, stored)).to_contain_text("Copy")
    assert violations(page) == []
