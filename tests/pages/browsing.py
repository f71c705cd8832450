"""What the tests of the page do and check in the browser; the fixtures are in conftest."""

import base64
import re
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests
from jinja2 import Environment, FileSystemLoader
from playwright.sync_api import FilePayload, Locator, Page, Request, Route

from tests.services import ROOT, Service

KIB = 1024
PER_PAGE = 20  # of the lists that a test renders itself
BOTH = pytest.mark.parametrize("service", ["embedded", "production"], indirect=True)

CONTRASTS = """() => {
    const luminance = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
    const paper = element => {
        const background = numbers(getComputedStyle(element).backgroundColor);
        return background[3] === 0 ? paper(element.parentElement) : background;
    };
    const poor = [];
    for (const element of document.querySelectorAll("main *")) {
        const texts = [...element.childNodes].filter(node => node.nodeType === Node.TEXT_NODE);
        const words = texts.map(node => node.data.trim()).join("");
        if (!words || !element.checkVisibility()) continue;
        const pair = [luminance(numbers(getComputedStyle(element).color)), luminance(paper(element))].sort();
        const contrast = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
        if (contrast < 4.5) poor.push(`${words}: ${contrast}`);
    }
    return poor;
}"""


def unique(name: str) -> str:
    return f"{secrets.token_hex(4)}-{name}"


def payload(name: str, content: bytes = b"some text\n") -> FilePayload:
    return {"name": name, "mimeType": "text/plain", "buffer": content}


def choose(page: Page, *files: FilePayload) -> None:
    page.get_by_label("Choose").set_input_files(list(files))


def row(page: Page, name: str) -> Locator:
    """Return the row of a file being uploaded."""
    rows = page.get_by_role("list", name="Uploads").get_by_role("listitem")
    return rows.filter(has=page.locator("bdi", has_text=re.compile(f"^{re.escape(name)}$")))


def name_in(request: Request) -> str:
    """Return the name of the file whose upload a request begins, "" for other requests."""
    found = re.search("filename ([^,]*)", request.headers.get("upload-metadata", ""))
    return base64.b64decode(found[1]).decode() if found else ""


def on_upload(page: Page, name: str, handle: Callable[[Route], object]) -> None:
    """Let `handle` answer the first request that begins the upload of a file."""
    left = [handle]

    def answer(route: Route) -> None:
        if left and name_in(route.request) == name:
            left.pop()(route)
        else:
            route.fallback()

    page.route("**/uploads/named", answer)


@contextmanager
def posts(page: Page) -> Iterator[list[Request]]:
    """Collect the uploads that the page sends within the block."""
    seen: list[Request] = []

    def note(request: Request) -> None:
        if request.method == "POST":
            seen.append(request)

    page.on("request", note)
    yield seen
    page.remove_listener("request", note)


@contextmanager
def cut_once(service: Service, after: int, *, uploads: bool = False) -> Iterator[tuple[int, list[bytes]]]:
    """Yield a port that leads to the service, and what clients send there.

    It cuts the first connection on which more comes down, or up.
    """
    requests_seen: list[bytes] = []
    left = [1]

    def carry(source: socket.socket, target: socket.socket, *, up: bool) -> None:
        sent = 0
        with suppress(OSError):
            while data := source.recv(65536):
                if up:
                    requests_seen.append(data)
                target.sendall(data)
                sent += len(data)
                if up is uploads and sent > after and left:
                    left.clear()
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", service.port))
                threading.Thread(target=carry, args=(client, server), kwargs={"up": True}, daemon=True).start()
                threading.Thread(target=carry, args=(server, client), kwargs={"up": False}, daemon=True).start()
                del client, server  # else the last ones would stay open: a browser that still sends would wait for ever

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1], requests_seen
        listener.shutdown(socket.SHUT_RDWR)


def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than the screen."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


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


ADDRESSES = {"named.page": "/upload", "docs.page": "/docs", "share.page": "/share"}


def url_for(endpoint: str, *, filename: str = "") -> str:
    """Stand in for Flask's function of this name."""
    return f"/static/{filename}" if endpoint == "static" else ADDRESSES[endpoint]


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
                delete_url=f"/download/{quote(name)}/delete",
            )
            for place, name in enumerate(found)
        ]
        body = template.get_template("upload.html").render(
            files=files[(number - 1) * PER_PAGE : number * PER_PAGE],
            query=query,
            sort="newest",
            sorts={"newest": "Newest", "name": "Name"},
            may_delete=False,
            site="Files",
            url_for=url_for,
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
