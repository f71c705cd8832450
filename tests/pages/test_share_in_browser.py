"""The page at /share in Chromium: a file becomes a link, whatever happens to the connection meanwhile."""

import io
import random
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import segno
from playwright.sync_api import FilePayload, Page, Route, expect

from tests.pages.browsing import BOTH, CONTRASTS, cut_once, overflow
from tests.services import Service, await_

MIB = 1024**2
CONTENT = random.Random(8).randbytes(15 * MIB)
FILE: FilePayload = {"name": "plan & budget.xls", "mimeType": "application/vnd.ms-excel", "buffer": b"numbers"}
BEGUN = "(sessionStorage.getItem('uploads') ?? '[]').length > 2"


def link_on(page: Page) -> str:
    expect(page.get_by_role("heading", level=1)).to_have_text("Your link is ready")
    return page.get_by_label("Link for the recipient").input_value()


@BOTH
def test_a_file_becomes_a_link_although_the_upload_is_cut(
    service: Service, visit: Callable[..., Page], tmp_path: Path
) -> None:
    path = tmp_path / FILE["name"]
    path.write_bytes(CONTENT)  # as a payload it would pass through Playwright, twice as Base64
    with cut_once(service, after=12 * MIB, uploads=True) as (port, seen):
        page = visit(f"http://127.0.0.1:{port}/share")
        page.get_by_label("Choose files").set_input_files(path)
        page.get_by_role("button", name="Make one").click()
        password = page.get_by_label(re.compile("^Password")).input_value()
        page.get_by_role("button", name="Get a link").click()
        link = urlsplit(link_on(page)).path
        offsets = [int(offset) for offset in re.findall(rb"(?i)\r\nupload-offset: (\d+)", b"".join(seen))]
        assert offsets[0] == 0
        assert 8 * MIB < offsets[-1] < len(CONTENT)  # it went on where it was
        expect(page.get_by_label("Password")).to_have_value(password)
        manage = urlsplit(page.get_by_label("Manage link").input_value()).path
    assert requests.get(service.url + link, timeout=60).status_code == 401
    assert requests.get(service.url + manage, timeout=60).json()["state"] == "waiting"
    got = requests.get(service.url + link, headers={"X-File-Password": password}, timeout=60)
    assert got.content == CONTENT
    assert 'filename="plan & budget.xls"' in got.headers["Content-Disposition"]


def test_an_upload_that_a_reload_interrupts_goes_on_with_its_password(
    service: Service, visit: Callable[..., Page], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("share") / "plan.xls"
    path.write_bytes(CONTENT)
    page = visit("/share")
    page.get_by_label("Choose files").set_input_files(path)
    page.get_by_label(re.compile("^Password")).fill("sesame")
    page.route("**/uploads/vimeo/*", lambda _: None)  # its bytes get no further
    page.get_by_role("button", name="Get a link").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    await_(lambda: page.evaluate(BEGUN))
    assert "sesame" not in page.evaluate("JSON.stringify(sessionStorage)")
    page.get_by_role("button", name="Pause").click()
    page.unroute_all(behavior="ignoreErrors")
    page.reload()
    expect(page.get_by_text("was interrupted")).to_contain_text("plan.xls")
    page.get_by_label("Choose plan.xls again").set_input_files(path)
    link = service.url + urlsplit(link_on(page)).path
    assert requests.get(link, timeout=60).status_code == 401
    assert requests.get(link, headers={"X-File-Password": "sesame"}, timeout=60).content == CONTENT
    assert page.evaluate("sessionStorage.getItem('uploads')") == "[]"


def test_an_upload_pauses_and_resumes_and_a_refusal_leads_back_to_the_form(visit: Callable[..., Page]) -> None:
    page = visit("/share")
    page.get_by_role("button", name="Get a link").click()
    expect(page.get_by_role("alert")).to_have_text("Choose a file first.")
    page.get_by_label("Choose files").set_input_files([FILE])
    page.get_by_text("Send receipts to a URL").click()
    page.get_by_label("URL for receipts").fill("ftp://example.org/")
    page.get_by_role("button", name="Get a link").click()
    expect(page.get_by_role("alert")).to_contain_text("notify cannot be used.")
    page.get_by_label("URL for receipts").fill("")
    held: list[Route] = []  # the bytes get no further, until the page gives up this request
    # Playwright cannot take a built-in method itself.
    page.route("**/uploads/vimeo/*", lambda route: held.append(route), times=1)  # noqa: PLW0108
    page.get_by_role("button", name="Get a link").click()
    await_(lambda: page.evaluate(BEGUN) and held)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused", exact=True)).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    link_on(page)


def test_several_files_and_folders_become_one_zip(service: Service, visit: Callable[..., Page], tmp_path: Path) -> None:
    (tmp_path / "trip" / "photos").mkdir(parents=True)
    for name in ("trip/plan.txt", "trip/photos/1.txt"):
        (tmp_path / name).write_text(name)
    page = visit("/share")
    page.get_by_label("Choose a folder").set_input_files(tmp_path / "trip")
    expect(page.locator("#chosen")).to_contain_text("2 files, in one zip")
    page.get_by_label("Number of downloads").fill("2")
    page.get_by_role("button", name="Get a link").click()
    link = service.url + urlsplit(link_on(page)).path
    expect(page.get_by_text("It can be downloaded 2 times")).to_be_visible()
    with zipfile.ZipFile(io.BytesIO(requests.get(link, timeout=60).content)) as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == {
            "trip/photos/1.txt": "trip/photos/1.txt",
            "trip/plan.txt": "trip/plan.txt",
        }


def test_a_stored_file_whose_link_is_not_shown_is_not_sent_again(visit: Callable[..., Page]) -> None:
    page = visit("/share")
    page.route("**/share/link", lambda route: route.abort(), times=1)
    page.get_by_label("Choose files").set_input_files(FILE)
    page.get_by_role("button", name="Get a link").click()
    expect(page.locator("#progress .state")).to_have_text("Stored, but its link could not be shown")
    page.route("**/uploads/**", lambda route: route.abort())
    page.get_by_role("button", name="Try again").click()
    link_on(page)


def test_cancel_while_the_link_is_made_removes_the_stored_file(service: Service, visit: Callable[..., Page]) -> None:
    page = visit("/share")
    held: list[Route] = []
    page.route("**/share/link", lambda route: held.append(route), times=1)  # noqa: PLW0108 -- as above
    page.get_by_label("Choose files").set_input_files(FILE)
    page.get_by_role("button", name="Get a link").click()
    await_(lambda: page.evaluate("1") and held)
    page.get_by_role("button", name="Cancel").click()
    manage = f"{service.url}/manage/{parse_qs(held[0].request.post_data)['manage'][0]}"
    await_(lambda: page.evaluate("1") and requests.get(manage, timeout=60).json()["state"] == "removed")
    with page.expect_response("**/share/link"):
        held[0].continue_()
    expect(page.get_by_role("button", name="Get a link")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Your link is ready")
    page.get_by_role("button", name="Get a link").click()
    link_on(page)


@BOTH
def test_it_works_without_a_script_down_to_the_delete_button(service: Service, visit: Callable[..., Page]) -> None:
    page = visit("/share", java_script_enabled=False)
    page.get_by_label("Choose files").set_input_files([FILE])
    page.get_by_role("button", name="Get a link").click()
    link = link_on(page)
    path = segno.make(link, micro=False).svg_inline(omitsize=True).split(' d="')[1].split('"')[0]
    assert path in page.content()
    page.get_by_role("link", name="Open it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Waiting to be downloaded")
    page.get_by_role("button", name="Delete now").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Deleted")
    assert requests.get(link, timeout=60).status_code == 410


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_can_be_read_on_every_screen(visit: Callable[..., Page], scheme: str) -> None:
    page = visit("/share", color_scheme=scheme, viewport={"width": 320, "height": 640})
    for ready in (False, True):
        if ready:
            page.get_by_label("Choose files").set_input_files([FILE])
            page.get_by_label(re.compile("^Password")).fill("sesame")
            page.get_by_role("button", name="Get a link").click()
            link_on(page)
        assert overflow(page) == 0
        assert page.evaluate(CONTRASTS) == []
