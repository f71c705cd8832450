"""The page during a fetch: reloaded, cut off from the server, or in a hidden tab."""

from collections.abc import Callable

import requests
from playwright.sync_api import Page, expect

from tests.origin import Origin
from tests.origin import Page as Source
from tests.pages.browsing import BOTH, row
from tests.pages.urls.fetching import FETCHING, WAITING, downloaded, fetch, kept, slow
from tests.services import Service, await_

STATUSES = "**/uploadFile/*"

# Lets the page's timers run a hundred times as fast, and notes how long they should have been and what was asked.
HURRY = """
    window.delays = []; window.fired = 0; window.asked = 0;
    const [later, ask] = [window.setTimeout, window.fetch];
    window.setTimeout = (act, delay) => {
        window.delays.push(delay);
        return later(() => { act(); window.fired += 1; }, delay / 100);
    };
    window.fetch = (...args) => { window.asked += 1; return ask(...args); };
"""
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@BOTH
def test_it_goes_on_after_a_reload_and_keeps_no_url(
    service: Service, origin: Origin, visit: Callable[..., Page]
) -> None:
    source = slow()
    page = visit()
    fetch(page, origin.serve("/large.bin", source) + "?token=geheim")
    expect(row(page, "large.bin")).to_contain_text(FETCHING)
    page.reload()  # and nobody asks whether to leave
    expect(row(page, "large.bin")).to_contain_text(FETCHING)
    assert [fetch["name"] for fetch in kept(page)] == ["large.bin"]
    assert "geheim" not in page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}])")
    source.throttle = None
    expect(row(page, "large.bin")).to_contain_text("Ready")
    page.reload()
    assert downloaded(page, "large.bin")[1] == source.content
    other = page.context.new_page()
    other.goto("/upload")
    expect(other.get_by_label("From a URL")).to_be_visible()
    assert kept(other) == []
    page.get_by_role("button", name="Clear finished").click()
    page.reload()
    expect(page.get_by_label("From a URL")).to_be_visible()
    expect(page.get_by_role("list", name="Uploads")).to_be_hidden()
    assert kept(page) == []


def test_it_says_what_became_of_a_fetch_meanwhile(service: Service, origin: Origin, visit: Callable[..., Page]) -> None:
    page = visit()
    fetch(page, origin.serve("/large.bin", slow()))
    expect(row(page, "large.bin")).to_contain_text(FETCHING)
    [file] = kept(page)
    page.goto("about:blank")
    assert requests.delete(f"{service.url}/uploadFile/{file['id']}", timeout=60).json()["state"] == "failed"
    page.goto("/upload")
    expect(row(page, "large.bin")).to_contain_text("Cancelled")
    expect(row(page, "large.bin").get_by_role("button")).to_have_count(0)  # its URL is not known any more


def test_it_survives_what_others_left_in_its_storage(visit: Callable[..., Page]) -> None:
    page = visit()
    page.evaluate("sessionStorage.setItem('fetches', 'no JSON')")
    page.reload()
    expect(page.get_by_label("From a URL")).to_be_visible()
    page.evaluate('sessionStorage.setItem(\'fetches\', \'[{"id": "1:AAAA", "name": "forged.txt"}]\')')
    page.reload()
    expect(row(page, "forged.txt")).to_contain_text("There is no file with this id.")


def test_it_waits_for_a_server_that_is_away(origin: Origin, visit: Callable[..., Page]) -> None:
    source = slow()
    page = visit()
    fetch(page, origin.serve("/large.bin", source))
    expect(row(page, "large.bin")).to_contain_text(FETCHING)
    page.context.set_offline(offline=True)
    expect(row(page, "large.bin")).to_contain_text(WAITING)
    expect(row(page, "large.bin")).to_have_attribute("data-state", "running")
    page.context.set_offline(offline=False)
    expect(row(page, "large.bin")).to_contain_text(FETCHING)
    page.route(STATUSES, lambda route: route.fulfill(status=503, body="<h1>Service Unavailable</h1>"))
    expect(row(page, "large.bin")).to_contain_text(WAITING)
    page.get_by_role("button", name="Cancel: large.bin").click()
    expect(row(page, "large.bin")).to_contain_text(WAITING)
    page.unroute(STATUSES)
    expect(row(page, "large.bin")).to_contain_text("Cancelled")


def test_it_offers_to_try_again_when_nothing_could_be_asked(origin: Origin, visit: Callable[..., Page]) -> None:
    url = origin.serve("/small.txt", Source(content=b"small"))
    page = visit()
    page.route("**/uploadFile", lambda route: route.abort(), times=1)
    fetch(page, url)
    expect(row(page, "small.txt")).to_contain_text("The server cannot be reached")
    page.route("**/uploadFile", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"), times=1)
    page.get_by_role("button", name="Try again: small.txt").click()
    expect(row(page, "small.txt")).to_contain_text("The server answered with status 502")
    page.get_by_role("button", name="Try again: small.txt").click()
    expect(row(page, "small.txt")).to_contain_text("Ready · 5 bytes")


def test_it_asks_less_and_less_often(origin: Origin, visit: Callable[..., Page]) -> None:
    page = visit(before=lambda page: page.add_init_script(HURRY))
    fetch(page, origin.serve("/large.bin", slow()))
    delays = await_(lambda: (seen := page.evaluate("delays")) and seen[-1] == 5000 and seen)
    assert delays[0] == 500
    assert delays == sorted(delays)
    page.route(STATUSES, lambda route: route.abort())
    expect(row(page, "large.bin")).to_contain_text(WAITING)
    away = await_(lambda: (seen := page.evaluate("delays")) and seen[-1] == 30_000 and seen)
    assert 500 in away[len(delays) :]  # it asks soon again at first
    page.unroute(STATUSES)
    expect(row(page, "large.bin")).to_contain_text(FETCHING)
    page.get_by_role("button", name="Cancel: large.bin").click()
    expect(row(page, "large.bin")).to_contain_text("Cancelled")
    asked = page.evaluate("asked")
    page.evaluate("new Promise(resolve => setTimeout(resolve, 60000))")  # a minute of the page's, 0.6 s of ours
    assert page.evaluate("asked") == asked


def test_it_asks_nothing_while_nobody_looks(origin: Origin, visit: Callable[..., Page]) -> None:
    source = slow()
    page = visit(before=lambda page: page.add_init_script(HURRY))
    fetch(page, origin.serve("/large.bin", source))
    expect(row(page, "large.bin")).to_contain_text(FETCHING)
    fired = page.evaluate("fired")
    page.evaluate(HIDE, arg=True)
    asked = page.evaluate("asked")
    await_(lambda: page.evaluate("fired") > fired)  # the timer of its next question, which it does not ask
    assert page.evaluate("asked") == asked
    source.throttle = None
    page.evaluate(HIDE, arg=False)
    expect(row(page, "large.bin")).to_contain_text("Ready")
