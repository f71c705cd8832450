"""The list of files on the page of the surface `named`, in Chromium: searched, paged, refreshed, harmless."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote, urlsplit

from playwright.sync_api import Page, expect

from tests.pages.browsing import BOTH, KIB, choose, line, listed, payload, rendered, row, store, stored, unique
from tests.services import Service


@BOTH
def test_it_lists_a_file_with_its_type_size_and_time_newest_first(service: Service, visit: Callable[..., Page]) -> None:
    older, newer = unique("older.txt"), unique("newer.csv")
    store(service, older, bytes(3 * KIB))
    store(service, newer, b"x")
    page = visit(timezone_id="Asia/Kathmandu")
    cells = line(page, older).get_by_role("cell")
    expect(cells).to_have_count(5)
    expect(cells.nth(1)).to_have_text("TXT")
    expect(cells.nth(2)).to_have_text("3.0 KiB")
    expect(cells.nth(2)).to_have_attribute("title", "3,072 bytes")
    time = cells.nth(3).locator("time")
    moment = datetime.fromisoformat(time.get_attribute("datetime") or "")
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=5)
    here = moment.astimezone(UTC) + timedelta(hours=5, minutes=45)
    expect(time).to_contain_text(f"{here:%H:%M}")
    names = page.get_by_role("table").get_by_role("link").all_inner_texts()
    assert names.index(newer) < names.index(older)


@BOTH
def test_it_finds_a_file_by_its_name(service: Service, visit: Callable[..., Page]) -> None:
    name = unique("needle & thread.txt")
    store(service, name)
    page = visit(f"/upload?q={quote(name)}")
    expect(page.get_by_role("searchbox")).to_have_value(name)
    expect(page.get_by_role("table").get_by_role("link")).to_have_text([name])
    page.get_by_role("searchbox").fill(f"{name} no more")
    page.get_by_role("searchbox").press("Enter")
    expect(page.get_by_text("No file matches")).to_be_visible()
    page.get_by_role("link", name="Show all files").click()
    expect(listed(page, name)).to_be_visible()


def test_it_pages_a_long_list_and_keeps_the_query(visit: Callable[..., Page], headers: dict[str, str]) -> None:
    names = [f"report {number}.txt" for number in range(45)] + ["other.txt"]
    page = visit("/upload?q=report", before=rendered(names, headers))
    expect(page.get_by_text("45 files match")).to_be_visible()
    pages = page.get_by_role("navigation", name="Pages of files")
    expect(pages.get_by_role("link")).to_have_text(["Next"])
    pages.get_by_role("link", name="Next").click()
    expect(pages).to_contain_text("Page 2 of 3")
    assert parse_qs(urlsplit(page.url).query) == {"q": ["report"], "page": ["2"]}
    expect(listed(page, "report 20.txt")).to_be_visible()
    pages.get_by_role("link", name="Previous").click()
    expect(listed(page, "report 0.txt")).to_be_visible()
    pages.get_by_label("Go to page").fill("3")
    pages.get_by_role("button", name="Go").click()
    expect(pages).to_contain_text("Page 3 of 3")
    assert parse_qs(urlsplit(page.url).query) == {"q": ["report"], "page": ["3"]}
    page.goto("/upload?q=report&page=9")
    page.get_by_role("link", name="Go to the last page").click()
    expect(pages).to_contain_text("Page 3 of 3")


def test_it_refreshes_the_very_page_of_the_list_that_is_shown(
    visit: Callable[..., Page], headers: dict[str, str]
) -> None:
    names = [f"report {number}.txt" for number in range(45)]
    page = visit("/upload?q=report&page=2", before=rendered(names, headers))
    with page.expect_request("**/upload?q=report&page=2"):
        names.insert(0, "report new.txt")
        choose(page, payload(unique("new.txt")))
    expect(page.get_by_text("46 files match")).to_be_visible()
    expect(page.get_by_role("table").get_by_role("link").first).to_have_text("report 19.txt")


def test_it_says_what_to_expect_of_an_empty_list(visit: Callable[..., Page], headers: dict[str, str]) -> None:
    page = visit(before=rendered([], headers))
    expect(page.get_by_text("Nothing here yet.")).to_be_visible()
    expect(page.get_by_role("table")).to_have_count(0)
    expect(page.get_by_role("searchbox")).to_be_hidden()


@BOTH
def test_it_shows_hostile_names_as_text(service: Service, visit: Callable[..., Page]) -> None:
    page = visit()
    names = [
        unique('"><img src=x onerror=alert(1)>.txt'),
        unique("<script>alert(2)<\N{DIVISION SLASH}script>.txt"),
        unique("{{ 7 * 7 }} &lt;b&gt; 100%25 ?q=#x.txt"),
        unique("").ljust(251, "w") + ".txt",
        unique("שלום - straße - 東京 🎞.txt"),
    ]
    choose(page, *map(payload, names))
    for name in names:
        expect(row(page, name)).to_contain_text("Uploaded")
        expect(listed(page, name)).to_be_visible()
        assert stored(service, name) is not None
    page.reload()
    for name in names:
        expect(listed(page, name)).to_be_visible()
        with page.expect_download() as download:
            listed(page, name).click()
        assert download.value.path().read_bytes() == b"some text\n"
    assert page.locator("img, main script").count() == 0
    page.goto(f"/upload?q={quote(names[0])}")
    expect(page.get_by_role("searchbox")).to_have_value(names[0])
    expect(page.get_by_role("table").get_by_role("link")).to_have_text([names[0]])


def test_it_lists_a_name_without_its_direction_overrides(service: Service, visit: Callable[..., Page]) -> None:
    page = visit()
    name = unique("invoice\u202efdp.txt")
    choose(page, payload(name))
    plain = name.replace("\u202e", "")
    expect(listed(page, plain)).to_be_visible()
    expect(row(page, name)).to_contain_text(f"{plain} uploaded")
    assert stored(service, plain) is not None
