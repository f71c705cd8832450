"""Uploads on the page of the surface `named`, as people do them, in Chromium."""

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from playwright.sync_api import Page, Route, expect

from tests.pages.browsing import (
    BOTH,
    KIB,
    choose,
    cut_once,
    line,
    listed,
    name_in,
    on_upload,
    payload,
    posts,
    row,
    store,
    stored,
    unique,
)
from tests.services import Service, await_

# The page has no clipboard, as over plain HTTP; the test keeps it.
INSECURE = """
    const { clipboard } = navigator;
    window.reading = () => clipboard.readText();
    Object.defineProperty(navigator, "clipboard", { value: undefined });
"""
SLOW = 96 * KIB  # bytes per second; a body below takes tens of seconds, a small one no time
LARGE = bytes(4 * KIB * KIB)


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


@BOTH
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


@BOTH
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
    page.route("**/uploads/named", lambda route: held.append(route))  # noqa: PLW0108 -- Playwright cannot take a builtin
    names = [unique(f"{number}.txt") for number in range(5)]
    choose(page, *map(payload, names))
    waiting = page.get_by_role("list", name="Uploads").get_by_text("Waiting", exact=True)
    expect(waiting).to_have_count(2)
    await_(lambda: page.evaluate("1") and len(held) == 3)  # Playwright hands routes over while it is called
    row(page, names[4]).get_by_role("button", name="Cancel").click()
    expect(row(page, names[4])).to_contain_text("Cancelled")
    first = next(route for route in held if name_in(route.request) == names[0])  # they come in any order
    first.continue_()
    expect(row(page, names[0])).to_contain_text("Uploaded")
    expect(waiting).to_have_count(0)
    await_(lambda: page.evaluate("1") and len(held) == 4)
    for route in held:
        if route is not first:
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
    assert [name_in(request) for request in sent] == [good]
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
    on_upload(page, name, lambda route: route.fulfill(status=413, json=error))
    choose(page, payload(name))
    expect(row(page, name)).to_contain_text("The file is larger than the server accepts.")


@BOTH
def test_it_shows_the_answer_of_the_server_in_the_row_of_the_file(service: Service, visit: Callable[..., Page]) -> None:
    page = visit(before=limits(extensions="txt exe"))
    taken, odd, good = unique("taken.txt"), unique("odd.exe"), unique("good.txt")
    store(service, taken, b"the first\n")
    choose(page, payload(taken), payload(odd), payload(good))
    expect(row(page, taken)).to_contain_text(f"{taken} exists")
    expect(row(page, odd)).to_contain_text("exe file not allowed")
    expect(row(page, good)).to_contain_text("Uploaded")
    for name in (taken, odd, good):  # the same again would end the same
        expect(row(page, name).get_by_role("button", name=re.compile("^(Cancel|Try again)"))).to_have_count(0)
    assert stored(service, taken) == b"the first\n"


def test_it_tells_that_a_name_is_in_use_before_it_sends_anything_and_takes_another(
    service: Service, visit: Callable[..., Page]
) -> None:
    page = visit()
    taken = unique("taken (1).txt")
    store(service, taken, b"the first\n")
    with posts(page) as sent:
        choose(page, payload(taken, b"the second\n"))
        expect(row(page, taken)).to_contain_text(f"{taken} exists")
        assert sent == []
    other = taken.replace("(1)", "(2)")
    expect(page.get_by_label("New name")).to_have_value(other)
    page.get_by_label("New name").press("Enter")
    expect(row(page, other)).to_contain_text("Uploaded")
    assert (stored(service, taken), stored(service, other)) == (b"the first\n", b"the second\n")


def test_it_asks_for_another_name_if_somebody_was_faster(service: Service, visit: Callable[..., Page]) -> None:
    page = visit()
    taken = unique("taken.txt")
    on_upload(page, taken, lambda route: route.fulfill(status=409, json={"error": f"{taken} exists"}))
    choose(page, payload(taken))
    expect(page.get_by_label("New name")).to_have_value(taken.replace(".txt", " (2).txt"))


def test_it_offers_the_link_of_an_upload_to_be_copied(service: Service, visit: Callable[..., Page]) -> None:
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    name = unique("share me & more.txt")
    choose(page, payload(name))
    for place in (row(page, name), line(page, name)):
        place.get_by_role("button", name=f"Copy link: {name}").click()
        expect(page.get_by_role("log")).to_contain_text("Link copied")
        link = page.evaluate("navigator.clipboard.readText()")
        assert requests.get(link, timeout=60).content == b"some text\n"
        page.evaluate("navigator.clipboard.writeText('')")


def test_it_copies_a_link_where_the_page_is_not_secure(service: Service, visit: Callable[..., Page]) -> None:
    name = unique("plain http.txt")
    store(service, name)
    page = visit(permissions=["clipboard-read"], before=lambda page: page.add_init_script(INSECURE))
    line(page, name).get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("log")).to_contain_text("Link copied")
    assert page.evaluate("reading()").endswith(f"/download/{quote(name)}")


def test_it_shows_how_far_all_uploads_are_while_some_run(visit: Callable[..., Page]) -> None:
    page = visit(viewport={"width": 800, "height": 400})
    slow, quick = unique("slow.txt"), unique("quick.txt")
    on_upload(page, slow, lambda _: None)  # it starts, and gets no further
    choose(page, payload(slow, bytes(3 * KIB)), payload(quick, bytes(KIB)))
    total = page.locator("#total")
    expect(total).to_have_text(re.compile(r"1 of 2 done · 25% · 1\.0\sKiB of 4\.0\sKiB"))
    expect(total).to_be_in_viewport()
    page.get_by_role("button", name=f"Cancel: {slow}").click()
    expect(total).to_be_hidden()


def test_it_tries_again_by_itself_and_offers_it_where_the_server_asks_for_a_long_wait(
    service: Service, visit: Callable[..., Page]
) -> None:
    page = visit()
    lost, plain, often = unique("lost.txt"), unique("plain.txt"), unique("often.txt")
    on_upload(page, lost, lambda route: route.abort())
    on_upload(page, plain, lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
    said, wait = {"error": "Too many attempts"}, {"Retry-After": "3600"}
    on_upload(page, often, lambda route: route.fulfill(status=429, json=said, headers=wait))
    choose(page, payload(lost), payload(plain), payload(often))
    expect(row(page, often)).to_contain_text("Too many attempts")
    page.get_by_role("button", name=f"Try again: {often}").click()
    for name in (lost, plain, often):
        expect(row(page, name)).to_contain_text("Uploaded")
        assert stored(service, name) is not None


@BOTH
def test_an_upload_that_is_cut_goes_on_where_it_was(
    service: Service, visit: Callable[..., Page], tmp_path: Path
) -> None:
    # More than the kernel's buffers hold, so that the server has begun to read when the connection is cut.
    name, content = unique("cut.txt"), bytes(16 * KIB * KIB)
    (tmp_path / name).write_bytes(content)
    with cut_once(service, after=12 * KIB * KIB, uploads=True) as (port, seen):
        page = visit(f"http://127.0.0.1:{port}/upload")
        page.get_by_label("Choose").set_input_files(tmp_path / name)
        expect(row(page, name)).to_contain_text("Uploaded")
    offsets = [int(offset) for offset in re.findall(rb"(?i)\r\nupload-offset: (\d+)", b"".join(seen))]
    assert 8 * KIB * KIB < offsets[-1] < len(content)
    assert stored(service, name) == content


def test_an_upload_in_parts_pauses_and_goes_on_after_a_reload(
    service: Service, visit: Callable[..., Page], tmp_path: Path
) -> None:
    path = tmp_path / unique("large.zip")
    content = random.Random(9).randbytes(1024**2) * 64
    path.write_bytes(content)
    page = visit()
    page.route("**/uploads/named/*", lambda _: None)  # its bytes get no further
    page.get_by_label("Choose").set_input_files(path)
    await_(lambda: page.evaluate("(sessionStorage.getItem('uploads') ?? '').match(/http/g)?.length") == 2)
    page.get_by_role("button", name=f"Pause: {path.name}").click()
    expect(row(page, path.name)).to_contain_text("Paused")
    page.unroute_all(behavior="ignoreErrors")
    page.reload()
    expect(row(page, path.name)).to_contain_text("Interrupted.")
    with posts(page) as sent:
        page.get_by_label("Choose").set_input_files(path)
        expect(row(page, path.name)).to_contain_text("Uploaded")
    assert len(sent) == 1  # only the one that joins the parts
    assert stored(service, path.name) == content


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
        with page.expect_download():  # a download does not leave the page
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
