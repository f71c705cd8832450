"""The page of the surface `named` as people use it: in Chromium, by mouse, by keyboard and without JavaScript."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests
from jinja2 import Environment, FileSystemLoader
from playwright.sync_api import Locator, Page, Response, Route, expect

from tests.pages.browsing import CONTRASTS, choose, overflow, payload, posts, row, unique
from tests.services import ROOT, Service, await_

KIB = 1024
SLOW = 96 * KIB  # bytes per second; a body below takes tens of seconds, a small one no time
LARGE = bytes(4 * KIB * KIB)
PER_PAGE = 20  # of the lists that a test renders itself


def listed(page: Page, name: str) -> Locator:
    """Return the download link of a stored file."""
    return page.get_by_role("table").get_by_role("link", name=name, exact=True)


def line(page: Page, name: str) -> Locator:
    """Return the row of a stored file in the table."""
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def stored(service: Service, name: str) -> bytes | None:
    answer = requests.get(f"{service.url}/download/{quote(name, safe='')}", timeout=60)
    return answer.content if answer.status_code == 200 else None


def store(service: Service, name: str, content: bytes = b"some text\n") -> None:
    answer = requests.post(f"{service.url}/upload/{quote(name, safe='')}", content, timeout=60)
    assert answer.status_code == 201, answer.text


@contextmanager
def slow_network(page: Page) -> Iterator[None]:
    """Send no more than SLOW bytes per second within the block."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": SLOW}
    session.send("Network.emulateNetworkConditions", conditions)
    yield
    session.send("Network.emulateNetworkConditions", {**conditions, "uploadThroughput": -1})
    session.detach()


def limits(**attributes: str) -> Callable[[Page], None]:
    """Have the page believe in other limits than the server's."""

    def rewrite(route: Route) -> None:
        answer = route.fetch()
        body = answer.text()
        for name, value in attributes.items():
            body = re.sub(rf' data-{name}="[^"]*"', "", body)
            body = body.replace('id="upload-form"', f'id="upload-form" data-{name.replace("_", "-")}="{value}"')
        route.fulfill(response=answer, body=body)

    def apply(page: Page) -> None:
        page.route("**/upload", rewrite, times=1)

    return apply


def rendered(names: list[str], headers: dict[str, str]) -> Callable[[Page], None]:
    """Serve the page from the template, for lists that a server would need many uploads to show."""
    template = Environment(autoescape=True, loader=FileSystemLoader(ROOT / "vimeo_api" / "templates"))
    start = datetime(2026, 2, 3, 4, 5, tzinfo=UTC)

    def render(route: Route) -> None:
        asked = parse_qs(urlsplit(route.request.url).query)
        query, number = asked.get("q", [""])[0], int(asked.get("page", ["1"])[0])
        found = [name for name in names if query in name]
        files = [
            SimpleNamespace(
                name=name,
                size=1536 * place,
                created_at=start - timedelta(hours=place),
                content_type="text/plain",
                url=f"/download/{quote(name)}",
            )
            for place, name in enumerate(found)
        ]
        body = template.get_template("upload.html").render(
            files=files[(number - 1) * PER_PAGE : number * PER_PAGE],
            query=query,
            page=number,
            pages=max(1, -(-len(files) // PER_PAGE)),
            total=len(files),
            extensions=["csv", "txt"],
            max_bytes=None,
            fetch_urls=False,
        )
        route.fulfill(body=body, content_type="text/html; charset=utf-8", headers=headers)

    def serve(page: Page) -> None:
        page.route(lambda url: urlsplit(url).path == "/upload", render)

    return serve


@pytest.fixture
def headers(service: Service) -> dict[str, str]:
    """The policy of the real page, for pages that a test renders itself."""
    answer = requests.get(f"{service.url}/upload", timeout=60)
    return {"Content-Security-Policy": answer.headers["Content-Security-Policy"]}


def test_it_uploads_several_chosen_files_and_lists_them_without_a_reload(
    service: Service, visit: Callable[..., Page]
) -> None:
    page = visit()
    page.evaluate("window.before = true")
    files = {unique("first.txt"): b"first\n", unique("second.CSV"): b"a,b\n", unique("empty no more.txt"): b"1"}
    choose(page, *(payload(name, content) for name, content in files.items()))
    for name, content in files.items():
        expect(row(page, name)).to_contain_text("Uploaded")
        expect(listed(page, name)).to_be_visible()
        assert stored(service, name) == content
    expect(page.get_by_role("log")).to_contain_text(f"{next(iter(files))}: Uploaded")
    assert page.evaluate("window.before") is True
    page.get_by_role("button", name="Clear finished").click()
    expect(page.get_by_role("list", name="Uploads")).to_be_hidden()


def test_it_lists_a_file_with_its_type_size_and_time_newest_first(service: Service, visit: Callable[..., Page]) -> None:
    older, newer = unique("older.txt"), unique("newer.csv")
    store(service, older, bytes(3 * KIB))
    store(service, newer, b"x")
    page = visit(timezone_id="Asia/Kathmandu")
    cells = line(page, older).get_by_role("cell")
    expect(cells).to_have_count(4)
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
    expect(pages.get_by_role("link")).to_have_text(["Older"])
    pages.get_by_role("link", name="Older").click()
    expect(pages).to_contain_text("Page 2 of 3")
    assert parse_qs(urlsplit(page.url).query) == {"q": ["report"], "page": ["2"]}
    expect(listed(page, "report 20.txt")).to_be_visible()
    pages.get_by_role("link", name="Newer").click()
    expect(listed(page, "report 0.txt")).to_be_visible()
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


def test_it_takes_dropped_files(service: Service, visit: Callable[..., Page]) -> None:
    page = visit()
    names = [unique("dropped.txt"), unique("dropped too.txt")]
    transfer = page.evaluate_handle(
        """names => {
            const transfer = new DataTransfer();
            for (const name of names) transfer.items.add(new File([`I am ${name}`], name));
            return transfer;
        }""",
        names,
    )
    for event in ("dragenter", "dragover"):
        page.dispatch_event("main", event, {"dataTransfer": transfer})
    expect(page.locator("#upload-form")).to_have_class(re.compile("dropping"))
    page.dispatch_event("main", "drop", {"dataTransfer": transfer})
    expect(page.locator("#upload-form")).not_to_have_class(re.compile("dropping"))
    for name in names:
        expect(row(page, name)).to_contain_text("Uploaded")
        expect(listed(page, name)).to_be_visible()
        assert stored(service, name) == f"I am {name}".encode()


def test_it_shows_progress_and_cancels_a_slow_upload(service: Service, visit: Callable[..., Page]) -> None:
    page = visit()
    name = unique("slow.txt")
    with slow_network(page):
        choose(page, payload(name, LARGE))
        bar = page.get_by_role("progressbar", name=f"Progress of {name}")
        expect(row(page, name)).to_contain_text(
            re.compile(r"[1-9]\d?% · \d+\.\d\s[KM]iB of 4\.0\sMiB · \d+\.\d\sKiB/s")
        )
        assert 0 < bar.evaluate("bar => bar.value") < 1
        page.get_by_role("button", name=f"Cancel: {name}").click()
        expect(row(page, name)).to_contain_text("Cancelled")
        expect(bar).to_be_hidden()
        expect(page.get_by_role("log")).to_contain_text(f"{name}: Cancelled")
        assert stored(service, name) is None


def test_it_runs_three_uploads_at_once_and_lets_the_others_wait(visit: Callable[..., Page]) -> None:
    page = visit()
    held: list[Route] = []
    page.route("**/upload/*", lambda route: held.append(route))  # noqa: PLW0108 -- Playwright cannot take a builtin
    names = [unique(f"{number}.txt") for number in range(5)]
    choose(page, *map(payload, names))
    waiting = page.get_by_role("list", name="Uploads").get_by_text("Waiting", exact=True)
    expect(waiting).to_have_count(2)
    await_(lambda: page.evaluate("1") and len(held) == 3)  # Playwright hands routes over while it is called
    row(page, names[4]).get_by_role("button", name="Cancel").click()
    expect(row(page, names[4])).to_contain_text("Cancelled")
    held[0].continue_()
    expect(row(page, names[0])).to_contain_text("Uploaded")
    expect(waiting).to_have_count(0)
    await_(lambda: page.evaluate("1") and len(held) == 4)
    for route in held[1:]:
        route.continue_()
    for name in names[:4]:
        expect(row(page, name)).to_contain_text("Uploaded")
    assert len(held) == 4


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tool.exe", "exe file not allowed"),
        ("TOOL.Exe", "Exe file not allowed"),
        ("LICENCE", "No extension file not allowed"),
    ],
)
def test_it_refuses_an_extension_before_sending_with_the_words_of_the_server(
    service: Service, visit: Callable[..., Page], name: str, reason: str
) -> None:
    page = visit()
    good, bad = unique("fine.txt"), unique(name)
    with posts(page) as sent:
        choose(page, payload(bad), payload(good))
        expect(row(page, bad)).to_contain_text(reason)
        expect(row(page, good)).to_contain_text("Uploaded")
    assert [request.url.rsplit("/", 1)[1] for request in sent] == [good]
    expect(row(page, bad).get_by_role("button")).to_have_count(0)
    expect(page.get_by_role("log")).to_contain_text(f"{bad}: {reason}")
    answer = requests.post(f"{service.url}/upload/{bad}", b"x", headers={"Accept": "application/json"}, timeout=60)
    assert (answer.status_code, answer.json()) == (400, {"error": reason})


def test_it_refuses_a_file_that_is_too_large_before_sending(visit: Callable[..., Page]) -> None:
    page = visit(before=limits(max_bytes=str(2 * KIB)))
    name = unique("large.txt")
    with posts(page) as sent:
        choose(page, payload(name, bytes(2 * KIB + 1)))
        expect(row(page, name)).to_contain_text("The file is larger than 2.0 KiB.")
    assert sent == []


def test_it_words_the_413_of_what_stands_before_the_server(visit: Callable[..., Page]) -> None:
    page = visit()
    name = unique("large.txt")
    error = {"error": "Request Entity too Large"}
    page.route(f"**/upload/{name}", lambda route: route.fulfill(status=413, json=error), times=1)
    choose(page, payload(name))
    expect(row(page, name)).to_contain_text("The file is larger than the server takes.")


def test_it_shows_the_answer_of_the_server_in_the_row_of_the_file(service: Service, visit: Callable[..., Page]) -> None:
    page = visit(before=limits(extensions="txt exe"))
    taken, odd, good = unique("taken.txt"), unique("odd.exe"), unique("good.txt")
    store(service, taken, b"the first\n")
    choose(page, payload(taken), payload(odd), payload(good))
    expect(row(page, taken)).to_contain_text(f"{taken} exists")
    expect(row(page, odd)).to_contain_text("exe file not allowed")
    expect(row(page, good)).to_contain_text("Uploaded")
    for name in (taken, odd, good):  # the same again would end the same
        expect(row(page, name).get_by_role("button")).to_have_count(0)
    assert stored(service, taken) == b"the first\n"


def test_it_offers_to_try_again_where_that_may_help(service: Service, visit: Callable[..., Page]) -> None:
    page = visit()
    lost, busy, plain = unique("lost.txt"), unique("busy.txt"), unique("plain.txt")
    page.route(f"**/upload/{lost}", lambda route: route.abort(), times=1)
    page.route(f"**/upload/{busy}", lambda route: route.fulfill(status=503, json={"error": "busy"}), times=1)
    page.route(f"**/upload/{plain}", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"), times=1)
    choose(page, payload(lost), payload(busy), payload(plain))
    reasons = {lost: "The connection was lost", busy: "busy", plain: "The server answered with status 502"}
    for name, reason in reasons.items():
        expect(row(page, name)).to_contain_text(reason)
        page.get_by_role("button", name=f"Try again: {name}").click()
        expect(row(page, name)).to_contain_text("Uploaded")
        assert stored(service, name) is not None


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
    page.keyboard.press("Tab")
    expect(page.get_by_label("Choose files")).to_be_focused()
    ring = page.locator("label[for=file]").evaluate("label => getComputedStyle(label).outlineStyle")
    assert ring == "solid"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    assert chooser.value.is_multiple()
    page.route(f"**/upload/{slow}", lambda _: None, times=1)  # it starts, and gets no further
    chooser.value.set_files([payload(slow), payload(bad)])
    expect(row(page, slow)).to_contain_text("Starting")
    expect(row(page, bad)).to_contain_text("exe file not allowed")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=f"Cancel: {slow}")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name=f"Try again: {slow}")).to_be_focused()
    page.keyboard.press("Space")
    expect(row(page, slow)).to_contain_text("Uploaded")
    expect(row(page, slow)).to_be_focused()  # where its button was
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


def test_it_asks_before_leaving_only_while_uploads_run(service: Service, visit: Callable[..., Page]) -> None:
    page = visit()
    name, slow = unique("to download.txt"), unique("slow.txt")
    store(service, name)
    page.reload()
    asked: list[str] = []
    page.on("dialog", lambda dialog: asked.append(dialog.type))
    with slow_network(page):
        choose(page, payload(slow, LARGE))
        expect(row(page, slow)).to_contain_text("%")
        with page.expect_download():  # a download is no leaving
            listed(page, name).click()
        assert asked == []
        with page.expect_event("dialog"):
            page.close(run_before_unload=True)
        assert asked == ["beforeunload"]
        row(page, slow).get_by_role("button", name="Cancel").click()
        expect(row(page, slow)).to_contain_text("Cancelled")
    with page.expect_event("close"):
        page.close(run_before_unload=True)
    assert asked == ["beforeunload"]


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
    expect(line(page, long).get_by_role("cell")).to_have_count(4)
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
